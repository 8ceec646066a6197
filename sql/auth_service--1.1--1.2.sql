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

-- Names, not oids: a dump is restored whatever the application is by then, and a missing hook is an error.
CREATE TABLE auth.hooks (
    event           text COLLATE "C" PRIMARY KEY CHECK (event IN ('register', 'login', 'delete')),
    function_schema text NOT NULL,
    function_name   text NOT NULL
);
COMMENT ON TABLE auth.hooks IS 'functions of the application that are called in the middle of ours';
SELECT pg_catalog.pg_extension_config_dump('auth.hooks', '');

-- ---- API: identity -------------------------------------------------------------------------------

-- ---- API: operators ------------------------------------------------------------------------------

CREATE FUNCTION auth.set_hook(event text, hook regprocedure) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_set_hook';
COMMENT ON FUNCTION auth.set_hook(text, regprocedure) IS
    'for operators: calls a function of the application inside register, login or delete; NULL: none';

-- ---- Signing keys --------------------------------------------------------------------------------

-- The key of our own that signs is the one whose signs_from came last; is_active stands with the newest, which
-- may be yet to sign.  A key's material never changes under its kid, though it can be sealed anew.
ALTER TABLE auth.signing_keys
    DROP CONSTRAINT signing_keys_algorithm_check,
    DROP CONSTRAINT signing_keys_secret_check,
    ALTER COLUMN secret DROP NOT NULL,
    ADD COLUMN public_key bytea,           -- its SubjectPublicKeyInfo; NULL for HS256
    ADD COLUMN sealed_by bytea,            -- the id of what the secret is sealed with; NULL: it is not
    ADD COLUMN signs_from timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN verifies_until timestamptz, -- NULL: while it is here
    ADD CHECK (algorithm IN ('HS256', 'ES256', 'RS256', 'EdDSA')),
    ADD CHECK ((algorithm = 'HS256') = (public_key IS NULL)),
    ADD CHECK (octet_length(secret) BETWEEN 32 AND 4124),
    ADD CHECK (secret IS NOT NULL OR (public_key IS NOT NULL AND imported_until IS NOT NULL)),
    ADD CHECK (octet_length(sealed_by) = 8);

-- As above: then refresh_key is half of the key of the session's refresh tokens, and the other half is not here.
ALTER TABLE auth.sessions ADD COLUMN sealed_by bytea, ADD CHECK (octet_length(sealed_by) = 8);

CREATE FUNCTION auth.rotate_signing_key(algorithm text DEFAULT NULL, active_in interval DEFAULT '0') RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_rotate_signing_key';
COMMENT ON FUNCTION auth.rotate_signing_key(text, interval) IS
    'for operators: makes a key that signs from the commit on, or later; the one before goes on verifying';

CREATE FUNCTION auth.drop_signing_key(kid text) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_drop_signing_key';
COMMENT ON FUNCTION auth.drop_signing_key(text) IS 'for operators: ends every access token that this key has signed';

CREATE FUNCTION auth.seal_signing_keys() RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_seal_signing_keys';
COMMENT ON FUNCTION auth.seal_signing_keys() IS 'for operators: seals the signing keys with the key-encryption key';

CREATE FUNCTION auth.jwks() RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_jwks';
COMMENT ON FUNCTION auth.jwks() IS 'the public keys of access tokens, as a JWK set';

CREATE FUNCTION auth._issuer() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'auth_service_issuer_url';
COMMENT ON FUNCTION auth._issuer() IS 'for fronts: the issuer of access tokens where it is a URL, else NULL';

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
