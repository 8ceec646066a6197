-- SPDX-License-Identifier: MIT
--
-- auth_service--1.1--1.2.sql: what makes the extension at home in an application's database.
\echo Use "ALTER EXTENSION auth_service UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- What is here before, so that the last part knows what is new.
SELECT pg_catalog.set_config('auth_service_update.before', pg_catalog.concat_ws(',',
    (SELECT pg_catalog.string_agg('c' || c.oid, ',') FROM pg_catalog.pg_class c
     WHERE c.relnamespace = 'auth'::pg_catalog.regnamespace),
    (SELECT pg_catalog.string_agg('p' || p.oid, ',') FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = 'auth'::pg_catalog.regnamespace)), true) IS NOT NULL AS noted;

-- ---- Tables --------------------------------------------------------------------------------------

-- ---- API: identity -------------------------------------------------------------------------------

-- The readers' other labels stay: STABLE, since within a statement only authenticate changes them;
-- PARALLEL SAFE, since a worker gets the identity with the settings of its leader; COST 1, which is what
-- they cost.  LEAKPROOF would change nothing: a call without a column in it is no leak to the planner.
CREATE FUNCTION auth._identity_support(request internal) RETURNS internal
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'auth_service_identity_support';
COMMENT ON FUNCTION auth._identity_support(internal) IS
    'lets the planner read the identity once a statement, not once a row, in policies';
ALTER FUNCTION auth.uid() SUPPORT auth._identity_support;
ALTER FUNCTION auth.role() SUPPORT auth._identity_support;
ALTER FUNCTION auth.jwt() SUPPORT auth._identity_support;

-- ---- API: operators ------------------------------------------------------------------------------

-- ---- For fronts ----------------------------------------------------------------------------------

-- ---- Protection ----------------------------------------------------------------------------------

-- ---- Privileges ------------------------------------------------------------------------------

-- What is new is nobody's but the owner's; ALTER DEFAULT PRIVILEGES may have said otherwise.
DO $revoke$
DECLARE
    command pg_catalog.text;
BEGIN
    FOR command IN
        SELECT pg_catalog.format('REVOKE ALL ON %s %s FROM %s', o.kind, o.name,
                                 CASE a.grantee WHEN 0 THEN 'PUBLIC'
                                 ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
        FROM (SELECT 'c' || c.oid, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                     c.oid::pg_catalog.regclass::text, c.relacl, c.relowner
              FROM pg_catalog.pg_class c
              WHERE c.relnamespace = 'auth'::pg_catalog.regnamespace AND c.relkind IN ('r', 'S')
              UNION ALL
              SELECT 'p' || p.oid, 'FUNCTION', p.oid::pg_catalog.regprocedure::text,
                     COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner)), p.proowner
              FROM pg_catalog.pg_proc p
              WHERE p.pronamespace = 'auth'::pg_catalog.regnamespace) o (key, kind, name, acl, owner),
             pg_catalog.aclexplode(o.acl) a
        WHERE a.grantee <> o.owner
          AND o.key <> ALL (pg_catalog.string_to_array(
                  pg_catalog.current_setting('auth_service_update.before'), ','))
    LOOP
        EXECUTE command;
    END LOOP;
END
$revoke$;
