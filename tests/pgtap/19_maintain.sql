-- maintain: what is over is deleted, some rows a call, and nothing else.
\ir ../setup.sql
SELECT plan(32);

SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
CREATE FUNCTION pg_temp.session(agent text, created interval, used interval, lasts interval) RETURNS uuid LANGUAGE sql AS $$
    INSERT INTO auth.sessions (user_id, id, refresh_key, refresh_counter, refresh_nonce, previous_nonce, created_at, last_used_at, expires_at, user_agent)
    SELECT min(id), gen_random_uuid(), '\x00', 0, 1, 1, now() + created, now() + used, now() + lasts, agent FROM auth.users RETURNING id $$;
CREATE FUNCTION pg_temp.agents() RETURNS text LANGUAGE sql AS $$SELECT string_agg(user_agent, ' ' ORDER BY user_agent) FROM auth.sessions$$;
CREATE FUNCTION pg_temp.all_of_it() RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE steps bigint[] = '{}'; step bigint;
BEGIN
    LOOP step := auth.maintain(); steps := steps || step; EXIT WHEN step = 0; END LOOP;
    RETURN steps;
END $$;

SELECT is(auth.maintain(), 0::bigint, 'nothing is there: nothing is deleted');

-- Sessions: the absolute limit.
SELECT pg_temp.session(a, '-30 days', '-1 minute', l) FROM (VALUES ('over', interval '-1 second'), ('long over', '-100 days'), ('lives', '1 minute')) v (a, l) \g /dev/null
SELECT is(auth.maintain(), 2::bigint, 'sessions: those past their absolute limit');
SELECT is(pg_temp.agents(), 'lives', 'sessions: and no other');
SELECT is((SELECT count(*) FROM auth.audit_log WHERE action <> 'register'), 0::bigint, 'sessions: that they ended by themselves is no deed');
DELETE FROM auth.sessions;

-- Sessions: the idle limit, which ends refreshing; the access tokens may live on.
SELECT pg_temp.session(a, '-20 days', u, '10 days') FROM (VALUES ('idle', interval '-7 days -1 second'), ('used', '-7 days 1 minute')) v (a, u) \g /dev/null
SELECT is(auth.maintain(), 1::bigint, 'sessions: one past its idle limit');
SELECT is(pg_temp.agents(), 'used', 'sessions: and not the one before it');
SET auth_service.refresh_token_idle_ttl = '10min'; SET auth_service.access_token_ttl = '1h'; SET auth_service.refresh_token_grace = '1min';
DELETE FROM auth.sessions;
SELECT pg_temp.session(a, '-1 day', u, '10 days') FROM (VALUES ('idle', interval '-63 min'), ('a token lives', '-59 min'), ('a forgiven one too', '-60.5 min')) v (a, u) \g /dev/null
SELECT is(auth.maintain(), 1::bigint, 'sessions: where an access token outlives the idle limit');
SELECT is(pg_temp.agents(), 'a forgiven one too a token lives', 'sessions: they stay until it has expired');
RESET auth_service.refresh_token_idle_ttl; RESET auth_service.access_token_ttl; RESET auth_service.refresh_token_grace;
DELETE FROM auth.sessions;

-- A real one: its tokens are good before and after.
SELECT access_token AS a, refresh_token AS r FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT is(auth.maintain(), 0::bigint, 'a living session is not deleted');
SELECT isnt(auth.verify_token(:'a'), NULL, 'and its access token is good');
SELECT isnt(auth.refresh(:'r'), NULL, 'and its refresh token');
DELETE FROM auth.sessions;

-- Steps.
SELECT count(pg_temp.session('over', '-9 days', '-1 day', '-1 hour')) FROM generate_series(1, 1500) \g /dev/null
SELECT count(pg_temp.session('idle', '-9 days', '-8 days', '1 day')) FROM generate_series(1, 2500) \g /dev/null
SELECT pg_temp.session('lives', '-1 day', '-1 day', '1 day') \g /dev/null
SELECT is(pg_temp.all_of_it(), '{1000,1500,1000,500,0}', 'steps: 1000 rows of a kind at most, expired ones first, then 0');
SELECT is(pg_temp.agents(), 'lives', 'steps: until all is gone that is over');

-- A table of more pages than a step walks over: it comes round.
ALTER TABLE auth.sessions SET (fillfactor = 10);
INSERT INTO auth.sessions (user_id, id, refresh_key, refresh_counter, refresh_nonce, previous_nonce, created_at, last_used_at, expires_at, user_agent)
    SELECT :ann, gen_random_uuid(), '\x00', 0, 1, 1, now(), now(), now() + interval '1 day', repeat('x', 200) FROM generate_series(1, 9000) i;
DELETE FROM auth.sessions WHERE ctid < '(2100,0)' AND user_agent <> 'lives';
SELECT cmp_ok(pg_relation_size('auth.sessions'), '>', (2 * 1024 * 8192)::bigint, 'walk: the table has more than two parts');
UPDATE auth.sessions SET last_used_at = now() - interval '8 days' WHERE ctid >= '(2100,0)' AND ctid < '(2101,0)';
CREATE TEMP TABLE walk AS SELECT i, auth.maintain() AS deleted FROM generate_series(1, 6) i;
SELECT cmp_ok((SELECT sum(deleted) FROM walk), '>', 0::numeric, 'walk: an idle session in the last part is found');
SELECT cmp_ok((SELECT count(*) FROM walk WHERE deleted > 0), '<=', 2::bigint, 'walk: when its part comes');
SELECT is((SELECT count(*) FROM auth.sessions WHERE last_used_at < now() - interval '7 days'), 0::bigint, 'walk: all of it');
DELETE FROM auth.sessions;

-- The audit log.
SELECT is(current_setting('auth_service.audit_retention'), '0', 'audit log: kept unless somebody says so');
UPDATE auth.audit_log SET at = now() - interval '20 years';
SELECT is(auth.maintain(), 0::bigint, 'audit log: for ever');
SET auth_service.audit_retention = '365d';
INSERT INTO auth.audit_log (at, action, db_role, user_id)
    SELECT now() - a, 'login', 'x', CASE WHEN i % 2 = 0 THEN 7 END FROM (VALUES (interval '366 days', 1500), ('364 days', 10)) v (a, n), generate_series(1, n) i ORDER BY a DESC;
SELECT cmp_ok((SELECT count(*) FROM auth.audit_log), '>', 1510::bigint, 'audit log: old rows and young ones');
SELECT is((pg_temp.all_of_it())[1], 1000::bigint, 'audit log: 1000 rows a step');
SELECT is((SELECT count(*) FROM auth.audit_log), 10::bigint, 'audit log: what is older is gone, the rest is there');
SELECT is((SELECT count(*) FROM auth.audit_log WHERE at < now() - interval '365 days'), 0::bigint, 'audit log: by its time');

-- Who may, and where.
CREATE ROLE regress_19_app; CREATE ROLE regress_19_none; SELECT auth.allow_api('regress_19_app');
SELECT pg_temp.session('over', '-9 days', '-8 days', '-1 day') \g /dev/null
SET ROLE regress_19_none;
SELECT throws_ok('SELECT auth.maintain()', '42501', NULL, 'a role without the API may not');
SET ROLE regress_19_app;
SELECT throws_ok('SET auth_service.audit_retention = 1', '42501', NULL, 'a role with it may not say how long');
SELECT is(auth.maintain(), 1::bigint, 'and may have it done, with no right on the tables');
RESET ROLE;
BEGIN READ ONLY;
SELECT throws_ok('SELECT auth.maintain()', '25006', NULL, 'READ ONLY: 25006, with nothing to do as well');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_temp.session('over', '-9 days', '-8 days', '-1 day') \g /dev/null
SELECT is(auth.maintain(), 1::bigint, 'REPEATABLE READ: own rows as well');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT is(auth.maintain(), 0::bigint, 'SERIALIZABLE: works');
SELECT is(auth.maintain(), 0::bigint, 'twice in a transaction: it has the turn already');
COMMIT;

-- A refresh writes to no index, still.
SELECT is((SELECT array_agg(indexrelid::regclass::text ORDER BY 1) FROM pg_index i JOIN pg_attribute a ON attrelid = indrelid AND attnum = ANY (indkey)
           WHERE indrelid = 'auth.sessions'::regclass AND attname IN ('last_used_at', 'refresh_counter', 'refresh_nonce', 'previous_nonce', 'older_generations')),
          NULL, 'no index has a column that a refresh changes');
SELECT is((SELECT count(*) FROM auth.users), 1::bigint, 'and no account was deleted');
SELECT finish();
