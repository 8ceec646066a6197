-- Substrings in lists: the index finds what a plain ILIKE finds, of any length and in any letters; pages are right
-- whether they come of the order's first rows, of more of them, or of the index; who may write need not know of it.
\ir ../setup.sql
SELECT plan(84);

SELECT ok(amvalidate(oid), 'the operator class is whole') FROM pg_opclass WHERE opcname = 'substring_ops';

-- ---- The index against ILIKE ----

CREATE TABLE words (w text, id int GENERATED ALWAYS AS IDENTITY);
INSERT INTO words VALUES (''), (NULL), ('a'), ('ab'), ('abc'), ('ABCD'), ('a%b'), ('a_b'), ('a\b'), ('%'), ('_'), ('\'), ('%%'), ('\%'), ('_ab_'),
    ('Straße'), ('STRASSE'), ('İstanbul'), ('ISTANBUL'), ('ıstanbul'), ('istanbul'), ('Σίσυφος'), ('ΣΊΣΥΦΟΣ'), ('σας'), ('ΣΑΣ'), ('ÅNGSTRÖM'), ('ångström'),
    (U&'A\030Angstro\0308m'), (U&'e\0301'), ('é'), ('Ǆ'), ('ǅ'), ('ǆ'), ('Привет'), ('ПРИВЕТ'), ('日本語'), ('本'), ('日本'), (U&'\+01F600 \+01F600'), (U&'\+010400'),
    (U&'\+010428'), ('ÿ'), ('Ÿ'), ('Ā'), ('ā'), ('K'), (U&'\212A'), ('ẞ'), (repeat('ab', 400)), (repeat('ü', 300)), (U&'\0001x');
-- Of few letters, so that much is nearly right.
INSERT INTO words SELECT (SELECT string_agg((ARRAY['a', 'b', 'A', 'ß', 'Ä', 'ä', '%', '_', '\', '本', 'I', 'ı', 'İ'])[1 + (hashint8(i * 31 + j) & 1023) % 13], '') FROM generate_series(1, 1 + i % 7) j)
    FROM generate_series(1, 3000) i;
CREATE INDEX words_idx ON words USING gin (w auth.substring_ops);
ANALYZE words;
CREATE FUNCTION pg_temp.found(pattern text, bitmaps boolean) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE found bigint[];
BEGIN
    PERFORM set_config('enable_bitmapscan', bitmaps::text, true), set_config('enable_seqscan', (NOT bitmaps)::text, true);
    EXECUTE format('SELECT array_agg(id ORDER BY id) FROM words WHERE w ILIKE %L', pattern) INTO found;
    RETURN found;
END $$;
CREATE TABLE patterns AS
    SELECT DISTINCT p FROM (
        SELECT '%' || regexp_replace(s, '([%_\\])', '\\\1', 'g') || '%' FROM words, LATERAL (VALUES (w), (left(w, 1)), (left(w, 2)), (right(w, 2)), (substr(w, 2, 3)), (upper(w))) v (s) WHERE length(w) < 9
        UNION ALL SELECT unnest(ARRAY['', '%', '%%', '_', '__', '%_%', 'a', 'a%', '%a', 'ab%', '%ab', 'abc', '%a%b%', '%a_b%', '%a\_b%', '%a\%b%', '%ab\%', '\%%', '%\\%', 'a%b', '_b%', '%ab%abc%', '%\a\b\c%', '%a%abab%', '%b_%'])) x (p);
SELECT is((SELECT array_agg(p) FROM patterns WHERE pg_temp.found(p, true) IS DISTINCT FROM pg_temp.found(p, false)), NULL, (count(*) > 800) || ': the index finds what ILIKE finds') FROM patterns;
SET enable_seqscan = off;
CREATE FUNCTION pg_temp.plan(pattern text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; lines text = '';
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT FROM words WHERE w ILIKE %L', pattern) LOOP lines := lines || line; END LOOP;
    RETURN lines;
END $$;
SELECT matches(pg_temp.plan(p), 'Bitmap Index Scan on words_idx', p || ': by the index') FROM unnest('{%a%,%ab%,%abc%,%本%,%\%%}'::text[]) p;
SELECT unalike(pg_temp.plan(p), '%Removed by Index Recheck%', p || ': which is right at once') FROM unnest('{%a%,%ab%,%ba%,%aaa%,%ä%}'::text[]) p;
RESET enable_seqscan;
DELETE FROM words WHERE w LIKE '%a%'; VACUUM words; INSERT INTO words VALUES ('xabcx');
SELECT is(pg_temp.found('%abc%', true), pg_temp.found('%abc%', false), 'after VACUUM');

-- ---- Pages ----

-- "zz" and what is like it is rare; "early" and "late" are many, but all at one end of the order.
INSERT INTO auth.users (email, email_normalized, first_name, last_name, role, balance, created_at, updated_at, last_activity_at, blocked_at, deleted_at)
SELECT e, e, CASE WHEN i <= 600 THEN 'Early' WHEN i > 9600 THEN 'Late' ELSE (ARRAY['Anna', 'ÄNNE', 'Bob', NULL])[1 + i % 4] END,
       CASE WHEN i % 4000 = 77 THEN 'Zz' ELSE '' END || translate(left(md5(i::text), 6), '0123456789abcdef', 'abdeghiklmnoprst'),
       CASE WHEN i % 9 = 0 THEN 'admin' ELSE 'user' END::auth.user_role, i % 700, now(), now(), CASE WHEN i % 3 > 0 THEN now() - i % 5000 * interval '1 hour' END,
       CASE WHEN i % 5 = 0 THEN now() END, CASE WHEN i % 50 = 1 THEN now() END
FROM (SELECT i, 'user' || i || '@example' || i % 97 || '.com' FROM generate_series(1, 12000) i) x (i, e);
SELECT is((SELECT array_agg(id) FROM auth.list_users(last_name => 'zz')), '{77,4077,8077}', 'before anything was counted');
VACUUM ANALYZE auth.users;
CREATE FUNCTION pg_temp.pages(filter text, sort text, direction text, size int) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE ids bigint[] = '{}'; page record; c text;
BEGIN
    FOR i IN 1 .. 8 LOOP
        EXECUTE format('SELECT array_agg(l.id) AS ids, (array_agg(l.next_cursor))[count(*)] AS next FROM auth.list_users(sort_by => %L, sort_order => %L, "limit" => %s, cursor => %L, %s) l',
                       sort, direction, size, c, filter) INTO page;
        ids := ids || page.ids;
        c := page.next;
        EXIT WHEN c IS NULL;
    END LOOP;
    RETURN ids;
END $$;
CREATE FUNCTION pg_temp.plain(condition text, sort text, direction text, size int) RETURNS bigint[] LANGUAGE plpgsql SET enable_bitmapscan = off AS $$
DECLARE ids bigint[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(id), ''{}'') FROM (SELECT id FROM auth.users WHERE deleted_at IS NULL AND %s ORDER BY %s %s, id %3$s LIMIT %s) x',
                   condition, sort, direction, 8 * size) INTO ids;
    RETURN ids;
END $$;
SELECT is(pg_temp.pages(filter, s, o, 20), pg_temp.plain(condition, sql, o, 20), format('%s by %s %s', filter, s, o))
FROM (VALUES ('last_name => ''zz''', 'last_name ILIKE ''%zz%'''), ('last_name => ''Z''', 'last_name ILIKE ''%z%'''), ('last_name => ''q''', 'false'),
             ('last_name => ''ab''', 'last_name ILIKE ''%ab%'''), ('last_name => ''ABE''', 'last_name ILIKE ''%abe%'''),
             ('first_name => ''än''', 'first_name ILIKE ''%än%'''), ('first_name => ''lat''', 'first_name = ''Late'''), ('first_name => ''early''', 'first_name = ''Early'''),
             ('email => ''@example55.com''', 'email LIKE ''%@example55.com%'''), ('email => ''user77@''', 'email LIKE ''%user77@%'''),
             ('email => ''1'', first_name => ''te'', last_name => ''a''', 'email LIKE ''%1%'' AND first_name = ''Late'' AND last_name ILIKE ''%a%'''),
             ('last_name => ''ab'', role => ''admin''', 'last_name ILIKE ''%ab%'' AND role = ''admin'''),
             ('last_name => ''zz'', is_blocked => false', 'last_name ILIKE ''%zz%'' AND blocked_at IS NULL'),
             ('first_name => ''late'', is_blocked => true, role => ''user''', 'first_name = ''Late'' AND blocked_at IS NOT NULL AND role = ''user'''),
             ('first_name => ''anna'', is_blocked => true, role => ''admin''', 'first_name = ''Anna'' AND blocked_at IS NOT NULL AND role = ''admin'''))
         f (filter, condition),
     (VALUES ('id', 'id', 'asc'), ('id', 'id', 'desc'), ('balance', 'balance', 'desc'), ('last_activity_at', 'coalesce(last_activity_at, ''-infinity'')', 'asc')) c (s, sql, o);
SELECT is((SELECT count(*) FROM auth.list_users(last_name => 'a', "limit" => 1000)), 1000::bigint, 'a page of 1000');
SET enable_bitmapscan = off; SET enable_indexscan = off;
SELECT is((SELECT array_agg(id) FROM auth.list_users(last_name => 'zz')), '{77,4077,8077}', 'with the caller''s own settings of the planner');
SELECT is(current_setting('enable_bitmapscan') || current_setting('enable_seqscan') || current_setting('jit'), 'offon' || current_setting('jit'), 'which stay as they were');
SET gin_fuzzy_search_limit = 1;
SELECT is((SELECT array_agg(id) FROM auth.list_users(last_name => 'zz')), '{77,4077,8077}', 'and of the index');
RESET enable_bitmapscan; RESET enable_indexscan; RESET gin_fuzzy_search_limit;
BEGIN;
UPDATE auth.users SET last_name = 'Zzyx' WHERE id = 5;
SELECT is((SELECT array_agg(id) FROM auth.list_users(last_name => 'zz')), '{5,77,4077,8077}', 'what the transaction itself has written');
ROLLBACK;

-- ---- Rights ----

CREATE ROLE regress_22_clerk; GRANT SELECT, INSERT, UPDATE (email, email_normalized, first_name, last_name), DELETE ON auth.users TO regress_22_clerk;
SET ROLE regress_22_clerk;
SELECT lives_ok($$UPDATE auth.users SET last_name = 'Zzanders' WHERE id = 9$$, 'a role that may change names changes one');
SELECT lives_ok($$INSERT INTO auth.users (id, email, email_normalized, created_at, updated_at) VALUES (99999, 'Zz@x.org', 'zz@x.org', now(), now())$$, 'one that may add rows adds one');
SELECT is((SELECT array_agg(id ORDER BY id) FROM auth.users WHERE last_name ILIKE '%zza%'), '{9}', 'and searches');
RESET ROLE;
SELECT is((SELECT array_agg(id) FROM auth.list_users(email => 'zz@')), '{99999}', 'the index has it');
SELECT is((SELECT array_agg(id) FROM auth.list_users(last_name => 'zzan')), '{9}', 'and the other');
SELECT finish();
