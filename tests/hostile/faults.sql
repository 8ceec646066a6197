-- Attacks by errors, sizes and kinds that nobody expects: no crash, and nobody is left with rights that
-- were borrowed.

--! the role after an error that was caught
-- seen: user=regress_mallory
DO $$BEGIN BEGIN PERFORM auth.register('x', 'y'); EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'user=% %', current_user, SQLSTATE; END;
PERFORM count(*) FROM auth.users; END$$;
:look; SELECT count(*) FROM auth.users;
--! the role after a savepoint was rolled back
BEGIN; SAVEPOINT a; SELECT auth.register('x', 'y'); ROLLBACK TO a; :look; SELECT count(*) FROM auth.users;
--! the role after a time-out within a hash
-- seen: 42501: permission denied for table
SET statement_timeout = 3; SELECT count(auth.login(:'victim', 'Wrong' || i)) FROM generate_series(1, 1000) i; RESET statement_timeout; :look; SELECT count(*) FROM auth.users;
--! the role after a lock time-out within a statement of ours
-- seen: 42501: permission denied for table
DO $$BEGIN SET LOCAL lock_timeout = 10; PERFORM auth.login('eve@example.com', 'Secret123'); EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'user=%', current_user; END$$; SELECT count(*) FROM auth.users;
--! NULL in every argument of every function
-- seen: called \d\d
DO $$
DECLARE f record; n integer := 0;
BEGIN
    FOR f IN SELECT format('SELECT %s(%s)', oid::regproc, (SELECT string_agg(CASE WHEN i = pronargs AND provariadic > 0 THEN 'VARIADIC ' ELSE '' END || 'NULL::' || format_type(proargtypes[i - 1], NULL), ', ') FROM generate_series(1, pronargs) i)) AS call
             FROM pg_proc WHERE pronamespace = 'auth'::regnamespace LOOP
        BEGIN n := n + 1; EXECUTE f.call; EXCEPTION WHEN OTHERS THEN IF SQLSTATE !~ '^U4|^42501|^42846|^0A000|^22' THEN RAISE NOTICE 'CANARY: % raised % %', f.call, SQLSTATE, SQLERRM; END IF; END;
    END LOOP;
    RAISE NOTICE 'called %', n;
END$$; :look;
--! odd values in every argument of every function
-- seen: called \d\d
DO $$
DECLARE f record; n integer := 0; odd text;
BEGIN
    FOR f IN SELECT proname, oid::regproc AS name, pronargs, proargtypes, provariadic FROM pg_proc WHERE pronamespace = 'auth'::regnamespace AND pronargs > 0 LOOP
        FOREACH odd IN ARRAY ARRAY['', '%s%n', E'\x01', repeat('.', 5000), '-9223372036854775808', '[[[[', '{"a":{"a":[]}}', E'\xe2\x80\xae', 'infinity'] LOOP
            BEGIN n := n + 1;
                EXECUTE (SELECT format('SELECT %s(%s)', f.name, string_agg(format('%s%s::%s', CASE WHEN i = f.pronargs AND f.provariadic > 0 THEN 'VARIADIC ' ELSE '' END, CASE format_type(f.proargtypes[i - 1], NULL)
                    WHEN 'bigint' THEN '''-9223372036854775808''' WHEN 'integer' THEN '''2147483647''' WHEN 'boolean' THEN 'true' WHEN 'auth.user_role' THEN '''admin'''
                    WHEN 'text[]' THEN 'ARRAY[[' || quote_literal(odd) || ',''('',''!''],['')'',''|'',''a(b'']]' WHEN 'regrole' THEN '''regress_mallory''' WHEN 'inet' THEN '''::/0'''
                    WHEN 'json' THEN '''[{"id":-1},1,[],null,{}]''' WHEN 'interval' THEN '''infinity''' ELSE quote_literal(odd) END, format_type(f.proargtypes[i - 1], NULL)), ', ' ORDER BY i)) FROM generate_series(1, f.pronargs) i);
            EXCEPTION WHEN OTHERS THEN IF SQLSTATE !~ '^U4|^42501|^42846|^0A000|^22|^42883|^23' THEN RAISE NOTICE 'CANARY: % raised % %', f.name, SQLSTATE, SQLERRM; END IF; END;
        END LOOP;
    END LOOP;
    RAISE NOTICE 'called %', n;
END$$; :look;
--! twenty megabytes
-- seen: U4|t$
-- api
SELECT auth.login(repeat('x', 20000000), repeat('y', 20000000)) IS NULL; SELECT auth.authenticate(repeat('a.', 10000000)); SELECT auth.refresh(repeat('A', 20000000)) IS NULL;
SELECT auth.register(repeat('x', 20000000) || '@example.com', repeat('y', 20000000)); SELECT auth._arguments(repeat(' ', 20000000), 'a');
--! deep JSON
-- seen: 54001|U422A
-- api
SELECT auth._arguments(repeat('[', 1000000), 'a'); SELECT auth._arguments('{"a":' || repeat('[', 1000000), 'a'); SELECT auth._arguments('{"a":' || repeat('{"a":', 6000) || '1' || repeat('}', 6001), 'a');
--! more fields and members than anybody waits for
-- seen: 57014
-- api
SET statement_timeout = 1000;
SELECT array_length(auth._arguments((SELECT '{' || string_agg('"k' || i || '":"x"', ',') || '}' FROM generate_series(1, 60000) i), VARIADIC (SELECT array_agg('z' || i) FROM generate_series(1, 60000) i)), 1);
--! labels that are longer than the log should hold
-- seen: uid=3
-- api
BEGIN; SELECT auth._origin('::1', repeat('x', 5000000), repeat('y', 5000000)); SELECT auth.authenticate(:'mine'); :look; SELECT auth.update_profile('E', 'V'); SELECT auth.login('eve@example.com', 'Wrong1234'); COMMIT;
--! a flood of refusals
-- seen: uid=none
-- api
SELECT count(auth._audit_refused(repeat('x', 1000), :'mine')) FROM generate_series(1, 200); SELECT auth._audit_refused('x', :'altered'); :look;
--! our functions where no function belongs
-- seen: 42P17|0A000|42P20|42803|42501
CREATE INDEX ON mallory.users (auth.uid()); CREATE TABLE mallory.generated (i bigint GENERATED ALWAYS AS (auth.uid()) STORED); SELECT count(*) OVER (ORDER BY auth.uid() ROWS auth.uid() PRECEDING); COPY mallory.users FROM STDIN WHERE auth.list_users() IS NULL;
--! our lists where one value is expected
-- seen: (0A000|U401A|42501)
SELECT CASE WHEN true THEN auth.list_users() END; SELECT (SELECT auth.audit()); SELECT coalesce(auth.list_users(), NULL); SELECT * FROM ROWS FROM (auth.list_users(), auth.audit(), auth.deleted_users()) WITH ORDINALITY;
--! the backend ends in the middle
-- seen: 57P01|server closed|terminating connection
BEGIN; SELECT auth.login('eve@example.com', 'Secret123') IS NOT NULL; SELECT pg_terminate_backend(pg_backend_pid());
--! another's backend ended
-- seen: 42501
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user;
