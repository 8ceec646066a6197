-- Plans that backends keep are right from the first row on: whatever is looked up by its id uses the key.
\ir ../setup.sql
SELECT plan(4);
CREATE FUNCTION pg_temp.index_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; used text = '';
BEGIN
    SET LOCAL plan_cache_mode = force_generic_plan;
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
    FOR line IN EXECUTE 'EXPLAIN ' || statement LOOP
        used := used || coalesce(substring(line FROM 'using (\w+)') || ' ', '');
    END LOOP;
    RETURN used;
END $$;
PREPARE by_id(bigint) AS SELECT u.balance FROM auth.users u WHERE u.id = $1 AND u.deleted_at IS NULL;
PREPARE update_by_id(bigint) AS UPDATE auth.users u SET balance = 0 WHERE u.id = $1 AND u.deleted_at IS NULL;
PREPARE live(bigint) AS SELECT u.balance FROM auth.users u WHERE u.id = $1 AND u.deleted_at IS NULL AND u.blocked_at IS NULL AND u.role = 'user';
SELECT is(pg_temp.index_of(s || '(1)'), 'users_pkey ', s || ': by the primary key, in an empty table') FROM unnest('{EXECUTE by_id,EXECUTE update_by_id,EXECUTE live}'::text[]) s;
SELECT auth.register('ann@example.com', 'Secret123') \gset
SELECT is(pg_temp.index_of('EXECUTE by_id(1)'), 'users_pkey ', 'and with one row');
SELECT finish();
