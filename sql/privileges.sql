-- SPDX-License-Identifier: MIT
--
-- privileges.sql: nothing is anybody's but the owner's, whatever ALTER DEFAULT PRIVILEGES says; PUBLIC may read the identity, and
-- allow_api gives the rest.

DO $revoke$
DECLARE
    command pg_catalog.text;
BEGIN
    FOR command IN
        SELECT pg_catalog.format('REVOKE ALL ON %s %s FROM %s', o.kind, o.name,
                                 CASE a.grantee WHEN 0 THEN 'PUBLIC'
                                 ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
        FROM (SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                     c.oid::pg_catalog.regclass::text, c.relacl, c.relowner
              FROM pg_catalog.pg_class c
              WHERE c.relnamespace = 'auth'::pg_catalog.regnamespace AND c.relkind IN ('r', 'S')
              UNION ALL
              SELECT 'FUNCTION', p.oid::pg_catalog.regprocedure::text,
                     COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner)), p.proowner
              FROM pg_catalog.pg_proc p
              WHERE p.pronamespace = 'auth'::pg_catalog.regnamespace) o (kind, name, acl, owner),
             pg_catalog.aclexplode(o.acl) a
        WHERE a.grantee <> o.owner
    LOOP
        EXECUTE command;
    END LOOP;
END
$revoke$;

GRANT USAGE ON SCHEMA auth TO PUBLIC;
GRANT EXECUTE ON FUNCTION auth.uid(), auth.role(), auth.jwt() TO PUBLIC;
