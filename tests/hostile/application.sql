-- Attacks on what calls functions of an application: _rpc and hooks; and on what keeps DROP from taking
-- the accounts along.

--! _rpc as a role that one is not
-- seen: 42501: permission denied to set role|42501
BEGIN; CREATE FUNCTION mallory.rpc_who() RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM mallory.canary(); RETURN 'user=' || current_user; END$$;
GRANT EXECUTE ON FUNCTION mallory.rpc_who() TO postgres, regress_app; GRANT USAGE ON SCHEMA mallory TO postgres;
SELECT auth._rpc('mallory', 'rpc_who', '{}', 'postgres');
--! _rpc as the application's role
-- seen: 42501: permission denied to set role|42501
BEGIN; CREATE FUNCTION mallory.rpc_who() RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM mallory.canary(); RETURN 'user=' || current_user; END$$;
GRANT EXECUTE ON FUNCTION mallory.rpc_who() TO regress_app; SELECT auth._rpc('mallory', 'rpc_who', '{}', 'regress_app');
--! _rpc to an operator's function
-- seen: U404C|42501
-- api
BEGIN; SELECT auth.authenticate(:'mine') = 3; SELECT auth._rpc('auth', 'import_signing_key', '{"algorithm":"HS256","secret":"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"}');
--! _rpc to an admin's function, with one's own identity
-- seen: U404A|U404C
-- api
BEGIN; SELECT auth.authenticate(:'mine') = 3; SELECT auth._rpc('auth', 'set_role', '{"user_id":3,"role":"admin"}');
--! _rpc to functions of PostgreSQL's
-- seen: U404C|42501
-- api
BEGIN; SELECT auth.authenticate(:'mine') = 3; SELECT auth._rpc('pg_catalog', 'pg_read_file', '{"filename":"PG_VERSION"}');
--! _rpc to a deputy of the operator's
-- seen: U404A
-- api
BEGIN; SELECT auth.authenticate(:'mine') = 3; SELECT auth._rpc('app', 'promote', '{"id":3}');
--! _rpc with quotes in every name
-- seen: U404C
-- api
BEGIN; SELECT auth.authenticate(:'mine') = 3; SAVEPOINT a; SELECT auth._rpc('app"; SELECT mallory.canary(); --', 'promote', '{}'); ROLLBACK TO a; SELECT auth._rpc('app', 'promote(3);--', '{"id => 3); --":1}');
--! _rpc to a function that changes who one is
-- seen: uid=3|U401
-- api
BEGIN; CREATE FUNCTION mallory.become(t text) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM auth.authenticate(t); RETURN pg_catalog.concat('uid=', auth.uid()); END$$;
SELECT auth.authenticate(:'mine') = 3; SELECT auth._rpc('mallory', 'become', json_build_object('t', :'mine')::text); :look; COMMIT; :look;
--! _rpc to itself, without end
-- seen: 54001|U4
-- api
BEGIN; CREATE FUNCTION mallory.again() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN auth._rpc('mallory', 'again', '{}'); END$$;
SELECT auth.authenticate(:'mine') = 3; SELECT auth._rpc('mallory', 'again', '{}');
--! a hook of one's own
SELECT auth.set_hook('login', 'mallory.canary()');
--! the table of hooks
INSERT INTO auth.hooks VALUES ('login', 'mallory', 'canary');
--! the setting that lets the accounts go
-- seen: 42501: permission denied to set parameter "auth_service.allow_drop"
:look;
SET auth_service.allow_drop = on;
DROP EXTENSION auth_service;
--! the same before the library is loaded
SET auth_service.allow_drop = on;
DROP EXTENSION auth_service CASCADE;
--! the guard dropped
DROP EVENT TRIGGER auth_service_guard;
--! the guard disabled
ALTER EVENT TRIGGER auth_service_guard DISABLE;
--! the guard called
SELECT auth._guard();
--! the planner's helper on a function of one's own
CREATE FUNCTION mallory.helped() RETURNS bigint LANGUAGE sql SUPPORT auth._identity_support AS 'SELECT 2::bigint';
