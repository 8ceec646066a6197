-- The identity of a transaction: one row a way in which a transaction goes on or ends.
\ir ../setup.sql
SELECT plan(49);

SELECT auth.register('ann@example.com', 'Secret123') AS ann, auth.register('bob@example.com', 'Secret123') AS bob \gset
SELECT access_token AS a FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT access_token AS b FROM auth.login('bob@example.com', 'Secret123') \gset
SELECT auth.set_role(:bob, 'admin');

SELECT is(auth.uid(), NULL, 'none at first');
SELECT is(auth.role(), NULL, 'nor a role');
SELECT is(auth.jwt(), NULL, 'nor claims');
BEGIN;
SELECT is(auth.authenticate(:'a'), :ann::bigint, 'authenticate: the user');
SELECT is(auth.uid(), :ann::bigint, 'uid');
SELECT is(auth.role(), 'user'::auth.user_role, 'role');
SELECT is(auth.jwt() ->> 'sub', :'ann'::text, 'jwt');
SELECT is((auth.me()).email, 'ann@example.com', 'me');
COMMIT;
SELECT is(auth.uid(), NULL, 'gone after COMMIT');
BEGIN; SELECT auth.authenticate(:'a'); ROLLBACK;
SELECT is(auth.uid(), NULL, 'gone after ROLLBACK');
BEGIN; SELECT auth.authenticate(:'a'); COMMIT AND CHAIN;
SELECT is(auth.uid(), NULL, 'gone after COMMIT AND CHAIN'); COMMIT;
BEGIN; SELECT auth.authenticate(:'a'); ROLLBACK AND CHAIN;
SELECT is(auth.uid(), NULL, 'gone after ROLLBACK AND CHAIN'); COMMIT;
SELECT auth.authenticate(:'a');
SELECT is(auth.uid(), NULL, 'gone after a statement of its own');
BEGIN; SELECT auth.authenticate(:'a');
\set ON_ERROR_STOP 0
DO $$ BEGIN RAISE EXCEPTION 'this error is part of the test'; END $$;
\set ON_ERROR_STOP 1
COMMIT;
SELECT is(auth.uid(), NULL, 'gone after an error');
SELECT auth.authenticate(:'a') \; SELECT 1 WHERE false;
SELECT is(auth.uid(), NULL, 'gone after a query of several statements');
SELECT auth.authenticate(:'a') \; SELECT is(auth.uid(), :ann::bigint, 'there within one');
CREATE TEMP TABLE seen (uid bigint);
CREATE PROCEDURE pg_temp.commits(token text) LANGUAGE plpgsql AS
    $$ BEGIN PERFORM auth.authenticate(token); COMMIT; INSERT INTO seen VALUES (auth.uid()); END $$;
CALL pg_temp.commits(:'a');
SELECT is(uid, NULL, 'gone after COMMIT in a procedure') FROM seen;

-- Savepoints.
BEGIN;
SAVEPOINT s; SELECT auth.authenticate(:'a'); ROLLBACK TO s;
SELECT is(auth.uid(), NULL, 'savepoint: rolled back, none again');
SELECT auth.authenticate(:'a');
SAVEPOINT s; SELECT auth.authenticate(:'b');
SELECT is(auth.uid(), :bob::bigint, 'savepoint: another user');
SELECT is(auth.role(), 'admin'::auth.user_role, 'savepoint: with his role');
ROLLBACK TO s;
SELECT is(auth.uid(), :ann::bigint, 'savepoint: rolled back, the first again');
SAVEPOINT s; SELECT auth.authenticate(:'b'); RELEASE s;
SELECT is(auth.uid(), :bob::bigint, 'savepoint: released, the second stays');
COMMIT;
BEGIN;
SELECT auth.authenticate(:'a');
DO $$ BEGIN PERFORM auth.authenticate('x'); EXCEPTION WHEN SQLSTATE 'U401B' THEN NULL; END $$;
SELECT is(auth.uid(), :ann::bigint, 'exception block: a failure leaves the identity');
COMMIT;

-- authenticate within a function that has settings of its own.
CREATE FUNCTION pg_temp.with_settings(token text) RETURNS bigint LANGUAGE sql
    SET search_path = pg_catalog SET work_mem = '1MB' AS 'SELECT auth.authenticate(token)';
BEGIN;
SELECT pg_temp.with_settings(:'a');
SELECT is(auth.uid(), :ann::bigint, 'a function with SET clauses: the identity outlives it');
COMMIT;

-- Nobody sets it by hand, a superuser no more than others.
CREATE ROLE regress_05_alice;
SELECT throws_ok($$SET auth_service.identity = '1 admin 00000000-0000-0000-0000-000000000000 {}'$$,
                 '22023', NULL, 'forged: SET by a superuser');
SELECT throws_ok($$SELECT set_config('auth_service.identity', '1 admin 00000000-0000-0000-0000-000000000000 {}', true)$$,
                 '22023', NULL, 'forged: set_config');
SET ROLE regress_05_alice;
SELECT throws_ok($$SET auth_service.identity = '1 admin x {}'$$, '42501', NULL, 'forged: SET by a role');
SELECT throws_ok($$SELECT set_config('auth_service.identity', '1', true)$$, '42501', NULL, 'forged: set_config by a role');
SELECT throws_ok($$ALTER ROLE regress_05_alice SET auth_service.identity = '1'$$, '42501', NULL, 'forged: ALTER ROLE');
SELECT throws_ok($$CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET auth_service.identity = '1' AS 'SELECT 1'$$,
                 '42501', NULL, 'forged: a function''s SET clause');
SELECT throws_ok($$SET auth_service.bcrypt_cost = 4$$, '42501', NULL, 'nor are other settings a role''s');
SELECT throws_ok($$SHOW auth_service.identity$$, '42501', NULL, 'and the setting cannot be read');
RESET ROLE;
SELECT is(auth.uid(), NULL, 'forged: nothing came of it');
BEGIN; SELECT auth.authenticate(:'a');
RESET ALL;
SELECT is(auth.uid(), :ann::bigint, 'RESET ALL leaves it'); COMMIT;

-- Plans: never an old user's, and workers know.
BEGIN;
SET LOCAL plan_cache_mode = force_generic_plan;
PREPARE who AS SELECT auth.uid();
SELECT auth.authenticate(:'a'); CREATE TEMP TABLE got AS EXECUTE who;
SELECT auth.authenticate(:'b'); CREATE TEMP TABLE got2 AS EXECUTE who;
SELECT is(ARRAY[got.uid, got2.uid], ARRAY[:ann, :bob]::bigint[], 'generic plan: the identity of the moment') FROM got, got2;
COMMIT;
CREATE TABLE big AS SELECT i AS id, i % 5 AS owner FROM generate_series(1, 50000) i;
ANALYZE big;
BEGIN;
SET LOCAL max_parallel_workers_per_gather = 2; SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL parallel_leader_participation = off;
SELECT auth.authenticate(:'b');
CREATE FUNCTION pg_temp.plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS
    $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || query; END $$;
SELECT ok(bool_or(p LIKE '%Parallel Seq Scan%'), 'parallel plan: it is one')
    FROM pg_temp.plan_of('SELECT count(*) FROM big WHERE owner = auth.uid() AND auth.role() = ''admin''') p;
SELECT is(count(*), 10000::bigint, 'parallel plan: workers know the identity')
    FROM big WHERE owner = auth.uid() AND auth.role() = 'admin' AND auth.jwt() ->> 'role' = 'admin';
COMMIT;

-- That a user is active is noted on the way: without room for it he is served all the same; what an operator refuses he
-- is told.
UPDATE auth.users SET last_activity_at = NULL;
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused' USING ERRCODE = TG_ARGV[0]; END $$;
CREATE TRIGGER refused BEFORE UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse('disk_full');
SELECT is(auth.authenticate(:'a'), :ann::bigint, 'activity: a full disk does not matter');
SELECT is(count(last_activity_at), 0::bigint, 'activity: and nothing was noted') FROM auth.users;
DROP TRIGGER refused ON auth.users;
CREATE TRIGGER refused BEFORE UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse('P0001');
\set ON_ERROR_STOP 0
SELECT auth.authenticate(:'a');
\set state :LAST_ERROR_SQLSTATE
\set ON_ERROR_STOP 1
SELECT is(:'state'::text, 'P0001', 'activity: another error is one');
DROP TRIGGER refused ON auth.users;
SELECT auth.authenticate(:'a');
SELECT is(count(last_activity_at), 1::bigint, 'activity: is noted') FROM auth.users;

-- Who needs one.
SELECT throws_ok(call, 'U401A', 'Not authenticated', 'without an identity: ' || call) FROM unnest(ARRAY[
    'SELECT auth.me()', 'SELECT auth.update_profile(''A'', ''B'')', 'SELECT auth.logout()', 'SELECT auth.logout_all()']) call;

-- Logout ends session and identity.
BEGIN;
SELECT auth.authenticate(:'a');
SELECT auth.logout();
SELECT is(auth.uid(), NULL, 'logout: ends the identity');
ROLLBACK;
SELECT isnt(auth.verify_token(:'a'), NULL, 'logout: rolled back');
BEGIN; SELECT auth.authenticate(:'a'); SELECT auth.logout(); COMMIT;
SELECT is(auth.verify_token(:'a'), NULL, 'logout: the token is dead');
SELECT access_token AS c FROM auth.login('bob@example.com', 'Secret123') \gset
BEGIN; SELECT auth.authenticate(:'b'); SELECT auth.logout_all(); COMMIT;
SELECT is(auth.verify_token(:'c'), NULL, 'logout_all: those of the other sessions too');
SELECT finish();
