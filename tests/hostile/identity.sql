-- Attacks that want to be somebody.  ":look" tells who one is: an id that is not the attacker's own is a
-- success.  :forged is an identity as the extension keeps it, of the admin.

--! SET before the library is loaded
-- seen: uid=none
SET auth_service.identity = :'forged';
:look;
SELECT auth.jwt();
--! SET after the library is loaded
:look;
SET auth_service.identity = :'forged';
:look;
--! SET LOCAL before and after
-- seen: uid=none
BEGIN; SET LOCAL auth_service.identity = :'forged'; :look; COMMIT;
BEGIN; SET LOCAL auth_service.identity = :'forged'; :look;
--! SET in a subtransaction before the library is loaded
-- seen: uid=none
BEGIN; SAVEPOINT a; SET auth_service.identity = :'forged'; SAVEPOINT b; SET LOCAL auth_service.identity = :'forged'; :look;
ROLLBACK TO b; :look; RELEASE a; :look; COMMIT; :look;
--! set_config
:look;
SELECT set_config('auth_service.identity', :'forged', false);
:look;
--! UPDATE of pg_settings
-- seen: uid=none
:look;
UPDATE pg_settings SET setting = :'forged' WHERE name = 'auth_service.identity';
:look;
--! PGOPTIONS
-- seen: permission denied to set parameter
-- options: -c auth_service.identity=2\ admin\ 00000000-0000-0000-0000-000000000000\ {}
:look;
--! PGOPTIONS with a setting of ours
-- seen: permission denied to set parameter
-- options: -c auth_service.access_token_ttl=600
:look;
SELECT 'found ' || current_setting('auth_service.access_token_ttl');
--! ALTER ROLE of oneself
ALTER ROLE regress_mallory SET auth_service.identity = '2 admin 00000000-0000-0000-0000-000000000000 {}';
:look;
ALTER ROLE regress_mallory SET auth_service.identity = '2 admin 00000000-0000-0000-0000-000000000000 {}';
--! ALTER ROLE: a weaker rule
ALTER ROLE regress_mallory SET auth_service.password_min_length = 1;
--! ALTER DATABASE
ALTER DATABASE :"database" SET auth_service.identity = 'x';
--! a function's SET clause
-- seen: 42501
:look;
CREATE FUNCTION mallory.me() RETURNS bigint LANGUAGE sql SET auth_service.identity = '2 admin 00000000-0000-0000-0000-000000000000 {}' AS 'SELECT auth.uid()';
SELECT 'uid=' || mallory.me();
--! a function's SET clause before the library is loaded
BEGIN;
CREATE FUNCTION mallory.me() RETURNS bigint LANGUAGE sql SET auth_service.identity = '2 admin 00000000-0000-0000-0000-000000000000 {}' AS 'SELECT auth.uid()';
SELECT 'uid=' || mallory.me();
--! SET FROM CURRENT
:look;
CREATE FUNCTION mallory.me() RETURNS bigint LANGUAGE sql SET auth_service.identity FROM CURRENT AS 'SELECT auth.uid()';
--! reading the setting
:look;
SHOW auth_service.identity;
SELECT current_setting('auth_service.identity', true);
--! GRANT SET ON PARAMETER
GRANT SET ON PARAMETER auth_service.identity TO regress_mallory;
--! settings that other services trust
-- seen: uid=none
SET request.jwt.claims = '{"sub":"2","role":"admin"}'; SET request.jwt.claim.sub = '2'; SET "jwt.claims.user_id" = '2'; SET auth.uid = '2';
:look;
--! settings of ours
-- seen: 42501: permission denied to set parameter "auth_service.issuer"
:look;
SET auth_service.issuer = 'mallory';
--! RESET of what the session was given
-- seen: uid=none
RESET ALL; :look; DISCARD ALL; :look;
RESET auth_service.identity;
--! SET ROLE to the owner
SET ROLE postgres;
SELECT auth.uid();
--! SET ROLE to the application's
SET ROLE regress_app;
--! SET SESSION AUTHORIZATION
SET SESSION AUTHORIZATION postgres;
--! a function named like ours in pg_temp
-- seen: uid=none
CREATE FUNCTION pg_temp.uid() RETURNS bigint LANGUAGE sql AS 'SELECT 2::bigint';
SET search_path = pg_temp, mallory, auth;
SELECT concat('uid=', coalesce(auth.uid()::pg_catalog.text, 'none'));
--! a token without a signature
-- seen: U401B|42501: permission denied for function
SELECT auth.authenticate(:'unsigned'); :look;
--! a token of one's own with another user in it
-- seen: U401B
-- api
SELECT auth.authenticate(:'altered'); :look;
--! a token signed with an empty key
-- seen: U401B
-- api
SELECT auth.authenticate(:'empty_key'); :look;
--! tokens of the wrong kinds
-- seen: U401B
-- api
SELECT auth.authenticate(:'refresh'); SELECT auth.authenticate(''); SELECT auth.authenticate(NULL); SELECT auth.refresh(:'mine'); :look;
--! the identity after COMMIT, ROLLBACK, AND CHAIN
-- seen: uid=none
-- api
BEGIN; SELECT auth.authenticate(:'mine') > 0; :look; COMMIT; :look;
BEGIN; SELECT auth.authenticate(:'mine') > 0; COMMIT AND CHAIN; SELECT 'after uid=' || coalesce(auth.uid()::text, 'none'); ROLLBACK AND CHAIN; :look; COMMIT;
--! the identity after an error in the middle
-- seen: uid=none
-- api
BEGIN; SELECT auth.authenticate(:'mine') > 0; SELECT 1/0; COMMIT; :look;
--! the identity after a time-out
-- seen: 57014
-- api
BEGIN; SELECT auth.authenticate(:'mine') > 0; SET LOCAL statement_timeout = 1; SELECT auth.verify_token(:'mine') FROM generate_series(1, 100000); COMMIT; :look;
--! the identity after ROLLBACK TO
-- seen: uid=none
-- api
BEGIN; SAVEPOINT a; SELECT auth.authenticate(:'mine') > 0; ROLLBACK TO a; :look; COMMIT;
--! the identity of a held cursor
-- seen: uid=none
-- api
BEGIN; SELECT auth.authenticate(:'mine') > 0; DECLARE c CURSOR WITH HOLD FOR SELECT auth.me(); COMMIT; :look;
SELECT (auth.me()).id;
--! a generic plan that remembers
-- seen: uid=none
-- api
SET plan_cache_mode = force_generic_plan; PREPARE who AS SELECT 'uid=' || coalesce(auth.uid()::text, 'none');
BEGIN; SELECT auth.authenticate(:'mine') > 0; EXECUTE who; COMMIT; EXECUTE who;
--! authenticate in a parallel worker, by a wrong label
-- seen: (25000|0A000|U401B|uid=none)
-- api
BEGIN;
CREATE FUNCTION mallory.sneak(pg_catalog.text) RETURNS bigint LANGUAGE plpgsql PARALLEL SAFE AS $$BEGIN RETURN auth.authenticate($1); END$$;
CREATE TABLE mallory.many AS SELECT i FROM generate_series(1, 20000) i; ANALYZE mallory.many;
SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0; SET LOCAL parallel_leader_participation = off;
SELECT count(mallory.sneak(:'mine')) FROM mallory.many WHERE i < 3; ROLLBACK; :look;
--! a default, a policy and a view of one's own that call ours
-- seen: uid=none
BEGIN; CREATE TABLE mallory.own (u bigint DEFAULT auth.uid(), r auth.user_role DEFAULT auth.role(), CHECK (auth.uid() IS NULL OR u > 0)); INSERT INTO mallory.own DEFAULT VALUES;
ALTER TABLE mallory.own ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON mallory.own USING (u = auth.uid() OR true); TABLE mallory.own; SELECT 'uid=' || coalesce(uid::text, 'none') FROM mallory.who; ROLLBACK;
--! auth.uid() claimed to be IMMUTABLE
-- seen: uid=none
BEGIN; CREATE FUNCTION mallory.fixed() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT auth.uid()'; CREATE TABLE mallory.idx (i bigint); CREATE INDEX ON mallory.idx ((mallory.fixed())); :look; ROLLBACK;
