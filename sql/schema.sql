-- SPDX-License-Identifier: MIT
--
-- schema.sql: the beginning of the install script, which make puts together from the files beside this one.
--
-- The schema is ours alone, and so is what we require.  Everything is written with its schema, and nothing is
-- replaced or taken over: objects that a stranger made before us make the installation fail.
\echo Use "CREATE EXTENSION auth_service CASCADE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- CREATE EXTENSION makes the schema where it is missing, and silently uses the one that is there.
-- One that belongs to somebody else, or holds anything, would give its owner power over us.
DO $guard$
DECLARE
    schema_oid pg_catalog.oid := 'auth'::pg_catalog.regnamespace;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r
                   ON n.nspowner OPERATOR(pg_catalog.=) r.oid
                   WHERE n.oid OPERATOR(pg_catalog.=) schema_oid
                   AND (r.rolsuper OR r.rolname OPERATOR(pg_catalog.=) CURRENT_USER::pg_catalog.name))
       OR EXISTS (SELECT FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
                  WHERE n.oid OPERATOR(pg_catalog.=) schema_oid
                  AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
                  AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner)
       -- Whatever is in a schema depends on it, objects of every kind; so does the extension.
       OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
                  AND d.refobjid OPERATOR(pg_catalog.=) schema_oid
                  AND d.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_extension'::pg_catalog.regclass)
    THEN
        RAISE EXCEPTION 'schema "auth" is already in use'
            USING ERRCODE = 'duplicate_schema',
                  DETAIL = 'It belongs to another role, lets others create objects, or holds some.',
                  HINT = 'auth_service needs the schema "auth" for itself. Rename the other one '
                         '(ALTER SCHEMA auth RENAME TO ...) or install into another database.';
    END IF;
END
$guard$;

-- What we require must be nobody's who could take it away again, and our accounts with it: pgcrypto is
-- trusted, so anybody with CREATE on the database can have installed it, in a schema of theirs.  The
-- database's owner could drop it all anyway.
DO $guard$
DECLARE
    stranger pg_catalog.record;
BEGIN
    SELECT e.extname, n.nspname INTO stranger
    FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace,
         pg_catalog.unnest(ARRAY[e.extowner, n.nspowner]) o (owner)
         JOIN pg_catalog.pg_roles r ON r.oid = o.owner
    WHERE e.extname = 'pgcrypto' AND NOT r.rolsuper AND r.rolname <> CURRENT_USER
      AND r.rolname <> 'pg_database_owner'
      AND r.oid <> (SELECT d.datdba FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());
    IF FOUND THEN
        RAISE EXCEPTION 'extension "%" or its schema "%" belongs to another role', stranger.extname, stranger.nspname
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'That role could drop it, and auth_service with all accounts would go as well.',
                  HINT = 'Drop it and let CREATE EXTENSION ... CASCADE install it, or change the owners.';
    END IF;
END
$guard$;
