-- Attacks that want secrets out of the way we work: plans, messages, statistics, other sessions.

--! debug output of a login
-- seen: ^t$
SET client_min_messages = debug5; SET debug_print_parse = on; SET debug_print_rewritten = on; SET debug_print_plan = on; SET plan_cache_mode = force_custom_plan;
SELECT auth.login('eve@example.com', 'Secret123') IS NOT NULL; SELECT auth.refresh(:'refresh') IS NOT NULL; SELECT auth.verify_token(:'mine') IS NOT NULL;
--! debug output of a wrong password
-- seen: ^t$
SET client_min_messages = debug5; SET debug_print_plan = on; SET log_parameter_max_length_on_error = -1;
SELECT auth.login(:'victim', 'Wrong1234') IS NULL; SELECT auth.change_password(:'victim', 'Wrong1234', 'Secret1234');
--! an error within our statements
-- seen: 57014|42501: permission denied for function
\set SHOW_CONTEXT always
SET client_min_messages = debug5; SET statement_timeout = 20;
SELECT count(auth.login(i || :'victim', 'Wrong1234')) FROM generate_series(1, 1000) i;
--! EXPLAIN of our functions
-- seen: Execution Time
EXPLAIN (ANALYZE, VERBOSE, BUFFERS, SETTINGS) SELECT auth.login(:'victim', 'Wrong1234');
--! auto_explain
LOAD '$libdir/auto_explain';
SET auto_explain.log_min_duration = 0;
--! pg_stat_statements
-- seen: own \d
SELECT 'own ' || (count(*) > 0)::int FROM public.pg_stat_statements; SELECT query FROM public.pg_stat_statements WHERE query LIKE 'SELECT auth%';
--! pg_stat_activity
-- seen: others: 0
SELECT 'others: ' || count(*) FROM pg_stat_activity WHERE usename <> current_user AND query <> '<insufficient privilege>' AND query <> '';
SELECT query FROM pg_stat_activity;
--! settings of roles and databases
-- seen: found 0
SELECT 'found ' || count(*) FROM pg_db_role_setting WHERE setconfig::text ~ 'identity|secret|key'; SELECT name, setting FROM pg_settings WHERE name LIKE 'auth_service%'; TABLE pg_file_settings;
--! prepared statements, cursors and locks of the session after a login
-- seen: found 0
SELECT auth.uid(); SELECT auth.login('eve@example.com', 'Secret123') IS NOT NULL;
SELECT 'found ' || ((SELECT count(*) FROM pg_prepared_statements) + (SELECT count(*) FROM pg_cursors WHERE statement LIKE '%auth.%users%'));
--! memory of the backend
-- seen: 42501
SELECT count(*) FROM pg_backend_memory_contexts; SELECT pg_log_backend_memory_contexts(pg_backend_pid());
--! the source of our functions
-- seen: auth_service_login
SELECT prosrc, probin FROM pg_proc WHERE pronamespace = 'auth'::regnamespace; SELECT pg_get_functiondef('auth.login'::regproc);
--! dependencies and indexes
-- seen: users_pkey
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'auth.users'::regclass; SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'auth.users'::regclass;
