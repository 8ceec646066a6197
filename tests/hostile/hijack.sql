-- Attacks on names: what others run must not meet objects of ours.  Everything here runs with the
-- attacker's schema before pg_catalog; the second half of an attack ("--> as the operator") by a superuser,
-- whose path is like that as well.

--! the API of anybody, in a hostile path
-- seen: U422B|42501: permission denied for function
SET search_path = mallory, public, pg_catalog;
SELECT auth.register(pg_catalog.concat('hijack', pg_catalog.md5(pg_catalog.random()::pg_catalog.text), '@example.com'), 'Secret123') IS NOT NULL;
SELECT auth.register('x', 'Secret123');
SELECT auth.login('eve@example.com', 'Secret123') IS NOT NULL; SELECT auth.refresh(:'refresh') IS NOT NULL;
SELECT auth.change_password('eve@example.com', 'wrong', 'Secret1234'); SELECT auth.verify_token(:'mine') IS NOT NULL;
SELECT auth._arguments('{"a":"x","b":1}', 'a', 'b:integer');
--! the API of an identity, in a hostile path
-- seen: uid=3
-- api
SET search_path = mallory, public, pg_catalog;
BEGIN; SELECT pg_catalog.concat('uid=', auth.authenticate(:'mine')); SELECT auth.update_profile('E', 'V'); SELECT auth.me(); SELECT auth.change_balance(5, 'key'); SELECT auth.balance();
SELECT auth._origin('192.0.2.1', 'agent', 'id'); SELECT auth.logout_all(); COMMIT;
--! temporary tables and types with our names
-- seen: uid=3
-- api
CREATE TEMP TABLE users (id bigint, email text, email_normalized text, password_hash text, role text, blocked_at timestamptz, deleted_at timestamptz); INSERT INTO users VALUES (3, 'eve@example.com', 'eve@example.com', 'x', 'admin');
CREATE TEMP TABLE sessions (user_id bigint, id uuid); CREATE TEMP TABLE signing_keys (kid text, secret bytea); CREATE TYPE pg_temp.user_role AS ENUM ('admin'); CREATE TYPE pg_temp.profile AS (id bigint);
SET search_path = pg_temp, mallory;
BEGIN; SELECT pg_catalog.concat('uid=', auth.authenticate(:'mine')); SELECT auth.me(); SELECT auth.role(); COMMIT;
--! settings of the parser and the planner
-- seen: uid=3
-- api
SET transform_null_equals = on; SET array_nulls = off; SET standard_conforming_strings = off; SET quote_all_identifiers = on; SET plan_cache_mode = force_custom_plan; SET enable_indexscan = off;
SET enable_bitmapscan = off; SET DateStyle = 'Postgres, DMY'; SET IntervalStyle = sql_standard; SET bytea_output = escape; SET extra_float_digits = -15; SET timezone = 'Asia/Kathmandu'; SET client_encoding = latin1; SET row_security = off;
SELECT access_token AS t, refresh_token AS r FROM auth.login('eve@example.com', 'Secret123') \gset
SELECT auth.refresh(:'r') IS NOT NULL; BEGIN; SELECT auth.authenticate(:'mine'); :look; SELECT auth.update_profile('E', 'V'); COMMIT;
--! a read-only, serializable transaction
-- seen: 25006
-- api
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SELECT auth.authenticate(:'mine'); :look; SELECT auth.logout(); COMMIT;
--! statements in parallel workers
-- seen: uid=3
-- api
SELECT set_config(name, CASE name WHEN 'force_parallel_mode' THEN 'on' ELSE 'on' END, false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
BEGIN; SELECT auth.authenticate(:'mine'); :look; SELECT auth.me(); SELECT auth.balance(); COMMIT;
--! the operator's functions in a hostile path
-- seen: operator: t
SELECT 1;
--> as the operator
SELECT auth.allow_api('regress_app');
SELECT pg_catalog.concat('operator: ', auth.block_user(4)); SELECT auth.unblock_user(4); SELECT auth.set_role(4, 'admin'); SELECT auth.set_role(4, 'user'); SELECT auth.admin_change_balance(4, 1); SELECT auth.admin_change_balance(4, -1);
SELECT count(*) FROM auth.list_users(email => 'e', first_name => '', role => 'user', is_blocked => false, sort_by => 'balance'); SELECT count(*) FROM auth.list_users("limit" => 1, sort_by => 'last_activity_at', sort_order => 'desc');
SELECT count(*) FROM auth.deleted_users(); SELECT count(*) FROM auth.audit(user_id => 1, actor_id => 1, action => 'login');
SELECT auth.import_users('[{"id":900001,"email":"x","password":"x"}]');
--! the owner's own maintenance in a hostile path
-- seen: done
SELECT 1;
--> as the operator
VACUUM ANALYZE auth.users; VACUUM ANALYZE auth.sessions; REINDEX TABLE auth.users; CLUSTER auth.users USING users_pkey; ALTER EXTENSION auth_service UPDATE; SELECT pg_catalog.concat('done');
