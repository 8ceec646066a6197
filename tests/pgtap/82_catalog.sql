-- What reviewers forget.
\ir ../setup.sql
SELECT plan(12);
SELECT is((SELECT array_agg(p.oid::regprocedure::text) FROM pg_proc p
           WHERE pronamespace = 'auth'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL), NULL, 'every function has a comment');
SELECT is((SELECT array_agg(c.oid::regclass::text) FROM pg_class c WHERE relnamespace = 'auth'::regnamespace
           AND relkind = 'r' AND obj_description(c.oid, 'pg_class') IS NULL), NULL, 'every table too');
SELECT is((SELECT array_agg(c.oid::regclass::text) FROM pg_class c, pg_extension e WHERE extname = 'auth_service'
           AND relnamespace = 'auth'::regnamespace AND relkind IN ('r', 'S') AND c.oid <> ALL (extconfig)), ARRAY['auth.login_throttle'],
          'every table and sequence is dumped with its rows, but for what matters for minutes only');
SELECT is((SELECT array_agg(c.oid::regclass::text) FROM pg_class c WHERE relnamespace = 'auth'::regnamespace
           AND relkind = 'r' AND relpersistence <> 'p'), NULL, 'no table is unlogged');
SELECT is((SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
           WHERE relnamespace = 'auth'::regnamespace AND NOT tgisinternal), 0::bigint, 'no table has a trigger');
SELECT is((SELECT array_agg(p.oid::regprocedure::text) FROM pg_proc p WHERE pronamespace = 'auth'::regnamespace
           AND prosecdef AND NOT proconfig @> '{"search_path=pg_catalog, pg_temp"}'), NULL, 'no SECURITY DEFINER with an open search_path');
SELECT is((SELECT array_agg(p.oid::regprocedure::text) FROM pg_proc p WHERE pronamespace = 'auth'::regnamespace
           AND provolatile = 'i' AND p.proname !~ '^_substring_'), NULL, 'nothing claims to be IMMUTABLE but what looks at its arguments alone');
SELECT is((SELECT array_agg(p.oid::regprocedure::text) FROM pg_proc p WHERE pronamespace = 'auth'::regnamespace
           AND pronargs > 0 AND (proargnames IS NULL OR '' = ANY (proargnames))), NULL, 'every argument has a name');
SELECT is((SELECT array_agg(p.proname::text) FROM pg_proc p WHERE pronamespace = 'auth'::regnamespace
           AND prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')), NULL, 'every function is C');
SELECT is((SELECT array_agg(name ORDER BY name) FROM pg_settings WHERE name LIKE 'auth_service.%'
           AND (context <> CASE name WHEN 'auth_service.key_encryption_command' THEN 'sighup' ELSE 'superuser' END OR short_desc !~ '\.$')), NULL, 'every setting is a superuser''s, or the configuration file''s, and described');
SELECT is((SELECT nspowner FROM pg_namespace WHERE nspname = 'auth'), (SELECT extowner FROM pg_extension WHERE extname = 'auth_service'),
          'the schema is the extension''s owner''s');
SELECT is((SELECT count(*) FROM pg_settings WHERE name = 'auth_service.identity'), 0::bigint, 'the identity is not shown');
SELECT finish();
