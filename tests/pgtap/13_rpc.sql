-- _rpc: who may call which of the application's functions, with what, and what comes back.
\ir ../setup.sql
SELECT plan(19 + 14 + 30 + 24 + 27 + 10 + 9 + 18 + 6);

CREATE ROLE regress_13_front; CREATE ROLE regress_13_anonymous; CREATE ROLE regress_13_other;
GRANT regress_13_anonymous, regress_13_other TO regress_13_front;
SELECT auth.allow_api('regress_13_front');
SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
CREATE TABLE token AS SELECT access_token FROM auth.login('ann@example.com', 'Secret123');

CREATE SCHEMA api; GRANT USAGE ON SCHEMA api TO regress_13_front, regress_13_anonymous;
CREATE SCHEMA closed; CREATE FUNCTION closed.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE api.mood AS ENUM ('sad', 'glad');
CREATE DOMAIN api.percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN api.told AS text CHECK (VALUE <> 'secret word');
CREATE TYPE api.point AS (x int, y int);
CREATE TYPE api."Wei""rd, Type" AS (a text);
CREATE TABLE api.notes (id bigint GENERATED ALWAYS AS IDENTITY, owner bigint NOT NULL DEFAULT auth.uid(), r text);
ALTER TABLE api.notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON api.notes USING (owner = auth.uid()) WITH CHECK (owner = auth.uid());
GRANT SELECT, INSERT ON api.notes TO regress_13_front;
INSERT INTO api.notes (owner, r) VALUES (:ann, 'hers'), (:ann + 1, 'another''s');

-- A call as who: 'user' or 'nobody'; its answer, or SQLSTATE and message.  All that it did is undone.
CREATE FUNCTION pg_temp.call(who text, function text, arguments text DEFAULT '{}', by_get boolean DEFAULT false,
                             schema text DEFAULT 'api', anonymous text DEFAULT 'regress_13_anonymous') RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text; told text;
BEGIN
    IF who = 'user' THEN PERFORM auth.authenticate(access_token) FROM token; END IF;
    SET LOCAL ROLE regress_13_front;
    answer := auth._rpc(schema, function, arguments, anonymous, by_get);
    RAISE EXCEPTION USING ERRCODE = 'ZZ999', MESSAGE = COALESCE(answer, 'nothing');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS told = PG_EXCEPTION_DETAIL;
    IF SQLSTATE = 'ZZ999' THEN RETURN SQLERRM; END IF;
    RETURN SQLSTATE || ' ' || SQLERRM || CASE WHEN told <> '' THEN ' / ' || told ELSE '' END;
END $$;

-- What comes back.
CREATE FUNCTION api.nothing() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION api.number() RETURNS int LANGUAGE sql AS 'SELECT 5';
CREATE FUNCTION api.no_number() RETURNS int LANGUAGE sql AS 'SELECT NULL::int';
CREATE FUNCTION api.words() RETURNS text LANGUAGE sql AS $$SELECT E'"é\n'$$;
CREATE FUNCTION api.object() RETURNS json LANGUAGE sql AS $$SELECT '{"b": 1,  "a": [true]}'::json$$;
CREATE FUNCTION api.objectb() RETURNS jsonb LANGUAGE sql AS $$SELECT '{"b": 1,  "a": [true]}'::jsonb$$;
CREATE FUNCTION api.composite() RETURNS api.point LANGUAGE sql AS 'SELECT 1, 2';
CREATE FUNCTION api.no_composite() RETURNS api.point LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION api.outs(OUT a int, OUT "B c" text) LANGUAGE plpgsql AS $$BEGIN a := 1; "B c" := 'x'; END$$;
CREATE FUNCTION api.outs_sql(OUT a int, OUT b text) LANGUAGE sql AS $$SELECT 1, 'x'$$;
CREATE FUNCTION api.out1(OUT a int) LANGUAGE sql AS 'SELECT 7';
CREATE FUNCTION api.inout(INOUT a int) LANGUAGE sql AS 'SELECT a + 1';
CREATE FUNCTION api.inout2(INOUT a int, OUT b text) LANGUAGE sql AS $$SELECT a + 1, 'x'$$;
CREATE FUNCTION api.a_record() RETURNS record LANGUAGE plpgsql AS $$DECLARE r record; BEGIN SELECT 1 AS one INTO r; RETURN r; END$$;
CREATE FUNCTION api.numbers(n int) RETURNS SETOF int LANGUAGE sql AS 'SELECT * FROM generate_series(1, n)';
CREATE FUNCTION api.one_column() RETURNS TABLE (r int) LANGUAGE sql AS 'SELECT 1 UNION ALL SELECT 2';
CREATE FUNCTION api.columns() RETURNS TABLE (r int, v text) LANGUAGE sql AS $$VALUES (1, 'a'), (2, NULL)$$;
CREATE FUNCTION api.rows() RETURNS SETOF api.notes LANGUAGE sql STABLE AS 'SELECT * FROM api.notes ORDER BY id';
CREATE FUNCTION api.times() RETURNS timestamptz[] LANGUAGE sql AS $$SELECT ARRAY['2026-01-02 03:04:05.678+00']::timestamptz[]$$;
SET timezone = 'UTC';
SELECT is(pg_temp.call('user', f, a), wanted, f)
FROM (VALUES ('nothing', '{}', 'nothing'), ('number', '{}', '5'), ('no_number', '{}', 'null'), ('words', '{}', '"\"é\n"'),
             ('object', '{}', '{"b": 1,  "a": [true]}'), ('objectb', '{}', '{"a": [true], "b": 1}'), ('composite', '{}', '{"x":1,"y":2}'),
             ('no_composite', '{}', 'null'), ('outs', '{}', '{"a":1,"B c":"x"}'), ('outs_sql', '{}', '{"a":1,"b":"x"}'), ('out1', '{}', '7'),
             ('a_record', '{}', '{"one":1}'), ('inout', '{"a":4}', '5'), ('inout2', '{"a":4}', '{"a":5,"b":"x"}'), ('numbers', '{"n":3}', '[1, 2, 3]'), ('numbers', '{"n":0}', '[]'),
             ('one_column', '{}', '[{"r" : 1}, {"r" : 2}]'), ('columns', '{}', E'[{"r":1,"v":"a"}, \n {"r":2,"v":null}]'),
             ('times', '{}', '["2026-01-02T03:04:05.678+00:00"]')) c (f, a, wanted);

-- Row level security, the identity, the path and the role of the caller.
CREATE FUNCTION api.whoami() RETURNS json LANGUAGE sql STABLE AS
    'SELECT json_build_array(auth.uid(), current_user, current_setting(''search_path''), current_setting(''transaction_read_only''))';
CREATE FUNCTION api.add(text text) RETURNS bigint LANGUAGE plpgsql AS 'DECLARE i bigint; BEGIN INSERT INTO notes (r) VALUES (text) RETURNING id INTO i; RETURN i; END';
CREATE FUNCTION api.secrets() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM auth.users';
CREATE FUNCTION api.definer() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT current_setting(''search_path'')';
CREATE FUNCTION api.again() RETURNS text LANGUAGE sql AS $$SELECT auth._rpc('api', 'number', '{}')$$;
CREATE FUNCTION api.changes() RETURNS text LANGUAGE plpgsql AS
    $$BEGIN SET ROLE regress_13_other; SET search_path = pg_catalog; SET statement_timeout = '7s'; SET LOCAL work_mem = '99MB'; RETURN current_user; END$$;
CREATE FUNCTION api.commits() RETURNS void LANGUAGE sql AS $$SELECT set_config('synchronous_commit', 'local', true)$$;
CREATE FUNCTION api.log_out() RETURNS void LANGUAGE sql AS 'SELECT auth.logout()';
CREATE FUNCTION api.resets() RETURNS text LANGUAGE plpgsql AS 'BEGIN RESET ROLE; RESET search_path; RETURN ''x''; END';
GRANT EXECUTE ON FUNCTION api.whoami(), api.resets(), api.secrets(), api.add TO regress_13_anonymous;
SELECT is(pg_temp.call('user', 'rows'), E'[{"id":1,"owner":1,"r":"hers"}]', 'row level security: her own');
SELECT is(pg_temp.call('user', 'whoami'), '[1, "regress_13_front", "api, public, pg_temp", "off"]', 'the identity, the role, the path');
SELECT is(pg_temp.call('user', 'whoami', by_get => true), '[1, "regress_13_front", "api, public, pg_temp", "on"]', 'by GET: reads only');
SELECT is(pg_temp.call('nobody', 'whoami'), '[null, "regress_13_anonymous", "api, public, pg_temp", "off"]', 'without an identity: the anonymous role');
SELECT is(pg_temp.call('user', 'add', '{"text":"x"}'), '3', 'an insert, by a name on the path');
SELECT is(pg_temp.call('nobody', 'add', '{"text":"x"}'), '42501 permission denied for table notes', 'the anonymous role has its own rights');
SELECT is(pg_temp.call('user', 'secrets'), '42501 permission denied for table users', 'not the owner''s rights');
SELECT is(pg_temp.call('user', 'definer'), '"pg_catalog"', 'a function''s own path');
SELECT is(pg_temp.call('user', 'again'), '"5"', 'a call in a call');
BEGIN; SELECT auth.authenticate(access_token) FROM token; SET LOCAL ROLE regress_13_front;
SELECT auth._rpc('api', 'changes', '{}');
SELECT is(current_user || ' ' || current_setting('search_path') || ' ' || current_setting('statement_timeout') || ' ' || current_setting('work_mem'),
          'regress_13_front api, public, pg_temp 0 4MB', 'what a function SETs ends with it');
COMMIT;
BEGIN; SET LOCAL synchronous_commit = off; SELECT auth.authenticate(access_token) FROM token; SET LOCAL ROLE regress_13_front;
SELECT auth._rpc('api', 'commits', '{}');
SELECT is(current_setting('synchronous_commit'), 'local', 'but for how to commit, which comes after it');
COMMIT;
BEGIN; SELECT access_token AS second FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT auth.authenticate(:'second'); SET LOCAL ROLE regress_13_front; SELECT auth._rpc('api', 'log_out', '{}');
SELECT is(auth.uid(), NULL, 'and for a logout');
COMMIT;
SELECT is(current_setting('role') || ' ' || current_setting('search_path') || ' ' || current_setting('statement_timeout'),
          'none "$user", public 0', 'and nothing is left of the call');
BEGIN; SET LOCAL ROLE regress_13_front; SELECT auth._rpc('api', 'resets', '{}', 'regress_13_anonymous');
SELECT is(current_user::text, 'regress_13_anonymous', 'nor can it get rid of the anonymous role behind it');
COMMIT;

-- Values.
CREATE FUNCTION api.echo(i int DEFAULT 1, t text DEFAULT 'd', b boolean DEFAULT NULL, n numeric DEFAULT NULL, a int[] DEFAULT NULL, p api.point DEFAULT NULL,
    ps api.point[] DEFAULT NULL, m api.mood DEFAULT NULL, d api.percent DEFAULT NULL, j json DEFAULT NULL, jb jsonb DEFAULT NULL, w api."Wei""rd, Type" DEFAULT NULL,
    "Na""me, 1; --" text DEFAULT NULL) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$SELECT concat_ws('|', i, t, b, n, a, p, ps, m, d, j, jb, w, "Na""me, 1; --")$$;
CREATE FUNCTION api.variadic(VARIADIC v int[]) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT cardinality(v)';
SELECT is(pg_temp.call('user', 'echo', a), to_json(wanted)::text, 'given ' || a)
FROM (VALUES ('{}', '1|d'), ('{"i":null}', 'd'), ('{"i":"7","t":"x"}', '7|x'), ('{"t":5}', '1|5'), ('{"t":{"a":1}}', '1|{"a":1}'), ('{"t":"5"}', '1|5'),
             ('{"b":true}', '1|d|t'), ('{"n":1e3}', '1|d|1000'), ('{"n":0.10}', '1|d|0.10'), ('{"a":[1,null,3]}', '1|d|{1,NULL,3}'), ('{"a":[]}', '1|d|{}'),
             ('{"a":[[1],[2]]}', '1|d|{{1},{2}}'), ('{"a":"{4,5}"}', '1|d|{4,5}'), ('{"p":{"x":1,"z":9}}', '1|d|(1,)'), ('{"ps":[{"y":2},null]}', '1|d|{"(,2)",NULL}'),
             ('{"m":"glad"}', '1|d|glad'), ('{"d":99}', '1|d|99'), ('{"j":{"a": "\u00e9"}}', '1|d|{"a": "\u00e9"}'), ('{"j":"x"}', '1|d|"x"'), ('{"j":null}', '1|d'),
             ('{"jb":[1, 2]}', '1|d|[1, 2]'), ('{"w":{"a":"x"}}', '1|d|(x)'), ('{"Na\"me, 1; --":"v"}', '1|d|v'), ('{"t":""}', '1|'), (' { "i" : 2 } ', '2|d')) c (a, wanted);
SELECT is(pg_temp.call('user', 'echo', $${"t":"\"$1'; --\\"}$$), $$"1|\"$1'; --\\"$$, 'a text that would end a string');
CREATE FUNCTION api.variadic_default(VARIADIC v int[] DEFAULT '{7,8}') RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT v[2]';
SELECT is(pg_temp.call('user', 'variadic_default'), '8', 'VARIADIC with a default');
SELECT is(pg_temp.call('user', 'variadic', '{"v":[1,2,3]}'), '3', 'VARIADIC takes an array');
SELECT is(pg_temp.call('user', 'variadic', '{"v":[]}'), '0', 'VARIADIC: an empty one');
SELECT is(pg_temp.call('user', 'variadic', '{"v":"{1,2}"}', true), '2', 'VARIADIC by GET');
SELECT is(pg_temp.call('user', 'echo', '{"i":"8","a":"{1,2}","p":"(3,4)","b":"yes","jb":"{\"k\":1}","m":"sad"}', true), '"8|d|t|{1,2}|(3,4)|sad|{\"k\": 1}"', 'by GET: the types'' own text')
UNION ALL SELECT is(pg_temp.call('user', 'echo', (SELECT format('{%s}', string_agg(format('"%s":1', n), ',')) FROM generate_series(1, 500000) n)),
                    'U404C Function not found', 'half a million names')
UNION ALL SELECT is(pg_temp.call('user', 'echo', a, g), wanted, 'refused: ' || a)
FROM (VALUES ('{"i":"x"}', false, '22P02 the value of argument "i" is no integer'), ('{"i":"x"}', true, '22P02 the value of argument "i" is no integer'),
             ('{"i":1.5}', false, '22P02 the value of argument "i" is no integer'), ('{"i":99999999999}', false, '22003 the value of argument "i" is no integer'),
             ('{"a":{"x":1}}', false, '22P02 the value of argument "a" is no integer[]'), ('{"p":[1]}', false, '22023 the value of argument "p" is no api.point'),
             ('{"m":"mad"}', false, '22P02 the value of argument "m" is no mood'), ('{"d":101}', false, '22023 the value of argument "d" is no percent'),
             ('{"d":"101"}', true, '22023 the value of argument "d" is no percent'), ('{"p":{"x":"Sesame"}}', false, '22P02 the value of argument "p" is no api.point'),
             ('{"jb":"{"}', true, '22P02 the value of argument "jb" is no jsonb'), ('{"b":"perhaps"}', true, '22P02 the value of argument "b" is no boolean'),
             ('{"i":1,"i":2}', false, 'U422A Field given more than once / i: Field given more than once [value_error]'),
             ('[]', false, 'U422A Input should be a valid dictionary / : Input should be a valid dictionary [dict_type]'),
             ('', false, 'U422A Field required / : Field required [missing]'), ('{"t":"Sesame', false, 'U422A JSON decode error / : JSON decode error [json_invalid]'),
             ('{"t":"\u0000"}', false, 'U422A JSON decode error / : JSON decode error [json_invalid]'),
             ('{"I":1}', false, 'U404C Function not found'), ('{"":1}', false, 'U404C Function not found'), ('{"i":1,"x":1}', false, 'U404C Function not found'),
             ('{"i ":1}', false, 'U404C Function not found'), (format('{%s:1}', to_json(repeat('i', 100))), false, 'U404C Function not found')) c (a, g, wanted);

-- Which function.
CREATE PROCEDURE api.procedure() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
CREATE FUNCTION api.a_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION api.an_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE AGGREGATE api.total(i int) (SFUNC = int4pl, STYPE = int);
CREATE FUNCTION api.no_names(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION api.any(x anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT x';
CREATE FUNCTION api.any_set() RETURNS SETOF record LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION api.cstring(c cstring) RETURNS int LANGUAGE internal AS 'int4in';
CREATE FUNCTION api.denied() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION api.denied() FROM PUBLIC;
CREATE FUNCTION api.over(a int) RETURNS text LANGUAGE sql AS $$SELECT 'a'$$;
CREATE FUNCTION api.over(a int, b int DEFAULT 2) RETURNS text LANGUAGE sql AS $$SELECT 'a default b'$$;
CREATE FUNCTION api.over(c text) RETURNS text LANGUAGE sql AS $$SELECT 'c'$$;
CREATE FUNCTION api.tie(a int) RETURNS text LANGUAGE sql AS $$SELECT 'int'$$;
CREATE FUNCTION api.tie(a text) RETURNS text LANGUAGE sql AS $$SELECT 'text'$$;
CREATE FUNCTION api.half(a int) RETURNS text LANGUAGE sql AS $$SELECT 'int'$$; REVOKE ALL ON FUNCTION api.half(int) FROM PUBLIC;
CREATE FUNCTION api.half(a int, b int DEFAULT 1) RETURNS text LANGUAGE sql AS $$SELECT 'a default b'$$;
CREATE FUNCTION api."Wei""rd' Näme;"("Ar""g" text) RETURNS text LANGUAGE sql AS $$SELECT $1$$;
CREATE FUNCTION public.elsewhere() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION pg_temp.temporary() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT is(pg_temp.call('user', f), 'U404C Function not found', 'not to be called: ' || left(f, 70))
FROM unnest(ARRAY['procedure', 'a_trigger', 'an_event', 'any_set', 'denied', 'unknown', 'elsewhere', 'temporary', '', 'Number', 'number()', 'api.number',
                  'number"; DROP TABLE api.notes; --', repeat('é', 200)]) f;
SELECT is(pg_temp.call('user', f, a), 'U404C Function not found', 'not to be called: ' || f)
FROM (VALUES ('total', '{"i":1}'), ('no_names', '{"":1}'), ('any', '{"x":1}'), ('cstring', '{"c":"1"}'), ('numbers', '{}')) c (f, a);
SELECT is(pg_temp.call('user', 'over', a), wanted, 'overloads: ' || a)
FROM (VALUES ('{"a":1}', '"a"'), ('{"a":1,"b":2}', '"a default b"'), ('{"c":1}', '"c"'), ('{"a":1,"c":2}', 'U404C Function not found')) c (a, wanted);
SELECT is(pg_temp.call('user', 'tie', '{"a":1}'), '42725 two functions of the same name fit these arguments', 'overloads: a tie');
SELECT is(pg_temp.call('user', 'half', '{"a":1}'), '"a default b"', 'overloads: the better one is denied');
SELECT is(pg_temp.call('user', 'half', '{"a":1,"b":1}'), '"a default b"', 'overloads: but both arguments name the other');
SELECT is(pg_temp.call('user', 'Wei"rd'' Näme;', '{"Ar\"g":"x"}'), '"x"', 'a name that must be quoted');

-- Which schema.
SELECT is(pg_temp.call('user', f, schema => s), 'U404C Function not found', format('schema %s', s))
FROM (VALUES ('auth', 'uid'), ('pg_catalog', 'version'), ('pg_temp', 'temporary'), ('information_schema', '_pg_truetypid'), ('nowhere', 'f'), ('closed', 'f'),
             ('api"; --', 'f'), ('', 'f'), (repeat('a', 200), 'f')) c (s, f);
SELECT is(pg_temp.call('user', NULL), 'U404C Function not found', 'no name');

-- Without an identity.
CREATE FUNCTION api.open() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION api.open() TO regress_13_anonymous;
CREATE FUNCTION api.other() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION api.other() FROM PUBLIC; GRANT EXECUTE ON FUNCTION api.other() TO regress_13_other;
GRANT regress_13_other TO regress_13_anonymous;
SELECT is(pg_temp.call('nobody', f, '{}', false, 'api', a), wanted, format('without an identity: %s for %s', f, a))
FROM (VALUES ('open', 'regress_13_anonymous', '1'), ('number', 'regress_13_anonymous', 'U401A Not authenticated'), ('other', 'regress_13_anonymous', 'U401A Not authenticated'),
             ('denied', 'regress_13_anonymous', 'U404C Function not found'), ('unknown', 'regress_13_anonymous', 'U404C Function not found'),
             ('open', NULL, 'U401A Not authenticated'), ('open', 'nowhere', 'U401A Not authenticated'), ('open', 'none', 'U401A Not authenticated')) c (f, a, wanted);
SELECT is(pg_temp.call('nobody', 'open', schema => 'closed'), 'U404C Function not found', 'without an identity: another schema');

-- A hostile role gets nothing by it that a SELECT would not give.
CREATE ROLE regress_13_evil; SELECT auth.allow_api('regress_13_evil');
CREATE SCHEMA evil AUTHORIZATION regress_13_evil;
SELECT quote_ident(current_user) AS super \gset
SET SESSION AUTHORIZATION regress_13_evil;
CREATE FUNCTION evil.whoami() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
GRANT USAGE ON SCHEMA evil TO regress_13_front; GRANT EXECUTE ON FUNCTION evil.whoami() TO :super, regress_13_front, regress_13_evil;
SELECT throws_ok(format('SELECT auth._rpc(''evil'', ''whoami'', ''{}'', %L)', r), '42501', NULL, 'evil: cannot become ' || r)
FROM unnest(ARRAY[:'super', 'regress_13_front']) r;
SELECT is(auth._rpc('evil', 'whoami', '{}', 'regress_13_evil'), '"regress_13_evil"', 'evil: is himself');
SELECT throws_ok($$SELECT auth._rpc('api', 'open', '{}', 'regress_13_anonymous')$$, '42501', NULL, 'evil: nor becomes the anonymous role');
RESET SESSION AUTHORIZATION;
CREATE FUNCTION public.definer(text, text) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$SELECT auth._rpc($1, $2, '{}', 'regress_13_anonymous')$$;
GRANT USAGE ON SCHEMA evil TO regress_13_anonymous; GRANT EXECUTE ON FUNCTION evil.whoami() TO regress_13_anonymous;
SET SESSION AUTHORIZATION regress_13_evil;
SELECT throws_ok($$SELECT public.definer('evil', 'whoami')$$, '42501', NULL, 'evil: not in somebody''s definer function');
SELECT is(current_user::text, 'regress_13_evil', 'evil: still himself');
RESET SESSION AUTHORIZATION;

-- By GET; changes are seen at once; descriptions.
CREATE FUNCTION api.writes() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO api.notes (r) VALUES (''x''); RETURN 1; END';
CREATE FUNCTION api.lies() RETURNS int LANGUAGE sql STABLE AS 'SELECT api.writes()';
CREATE FUNCTION api.turns() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN SET transaction_read_only = off; RETURN 1; END';
SELECT is(pg_temp.call('user', 'writes', by_get => true), 'U405A Method Not Allowed', 'by GET: not a VOLATILE one');
SELECT is(pg_temp.call('user', 'writes'), '1', 'by POST: any');
SELECT is(left(pg_temp.call('user', 'lies', by_get => true), 5), '2F003', 'by GET: one that writes all the same');
BEGIN READ ONLY;
SELECT is(left(pg_temp.call('user', 'lies', by_get => true), 5), '25006', 'by GET: where nothing can be written it is not the function that is blamed');
COMMIT;
SELECT isnt(pg_temp.call('user', 'turns', by_get => true), '1', 'by GET: reading only cannot be turned off');
SELECT is(pg_temp.call('user', 'denied', by_get => true), 'U404C Function not found', 'by GET: not found is not found');
CREATE OR REPLACE FUNCTION api.number() RETURNS int LANGUAGE sql AS 'SELECT 6';
SELECT is(pg_temp.call('user', 'number'), '6', 'CREATE OR REPLACE');
CREATE FUNCTION api.number(plus int) RETURNS int LANGUAGE sql AS 'SELECT 6 + plus';
SELECT is(pg_temp.call('user', 'number', '{"plus":1}'), '7', 'a new overload');
SELECT is(pg_temp.call('user', 'number', by_get => true), 'U405A Method Not Allowed', 'VOLATILE');
ALTER FUNCTION api.number() STABLE;
SELECT is(pg_temp.call('user', 'number', by_get => true), '6', 'ALTER ... STABLE');
REVOKE EXECUTE ON FUNCTION api.number() FROM PUBLIC;
SELECT is(pg_temp.call('user', 'number'), 'U404C Function not found', 'REVOKE');
GRANT EXECUTE ON FUNCTION api.number() TO regress_13_front;
SELECT is(pg_temp.call('user', 'number'), '6', 'GRANT');
DROP FUNCTION api.number();
SELECT is(pg_temp.call('user', 'number'), 'U404C Function not found', 'DROP');
SET ROLE regress_13_front;
SELECT is((SELECT array_agg(DISTINCT name ORDER BY name) FROM auth._rpc_functions('api', 'regress_13_anonymous')
           WHERE name IN ('procedure', 'a_trigger', 'total', 'no_names', 'any', 'any_set', 'denied', 'temporary', 'open', 'echo')), '{echo,open}', 'described: what can be called');
SELECT is((SELECT f.arguments::text || f.result FROM auth._rpc_functions('api') f WHERE name = 'over' AND id = 'api.over(int,int)'::regprocedure),
          '{"type":"object","properties":{"a":{"type":["integer","null"],"format":"int32"},"b":{"type":["integer","null"],"format":"int32"}},"required":["a"]}{"type":["string","null"]}',
          'described: arguments and result');
SELECT is((SELECT string_agg(concat_ws(' ', f.name, f.result, f.reads, f.is_anonymous), E'\n' ORDER BY f.name) FROM auth._rpc_functions('api', 'regress_13_anonymous') f
           WHERE name IN ('nothing', 'open', 'one_column', 'outs', 'rows', 'times')),
          E'nothing f f\none_column {"type":"array","items":{"type":"object","properties":{"r":{"type":["integer","null"],"format":"int32"}}}} f f\n'
          'open {"type":["integer","null"],"format":"int32"} f t\n'
          'outs {"type":["object","null"],"properties":{"a":{"type":["integer","null"],"format":"int32"},"B c":{"type":["string","null"]}}} f f\n'
          'rows {"type":"array","items":{"type":["object","null"],"properties":{"id":{"type":["integer","null"],"format":"int64"},"owner":{"type":["integer","null"],"format":"int64"},"r":{"type":["string","null"]}}}} t f\n'
          'times {"type":["array","null"],"items":{"type":["string","null"],"format":"date-time"}} f f', 'described: results');
SELECT is((SELECT count(*) FROM auth._rpc_functions('auth')) + (SELECT count(*) FROM auth._rpc_functions('pg_catalog')) + (SELECT count(*) FROM auth._rpc_functions('nowhere'))
          + (SELECT count(*) FROM auth._rpc_functions('closed')) + (SELECT count(*) FROM auth._rpc_functions(NULL, NULL)), 0::bigint, 'described: no other schema');
RESET ROLE;
DROP SCHEMA api CASCADE;
SELECT is(pg_temp.call('user', 'echo'), 'U404C Function not found', 'DROP SCHEMA');
SELECT throws_ok($$SELECT auth._rpc('api', 'f', repeat('[', 200000))$$, '54001', NULL, 'nesting without end');
SELECT finish();
