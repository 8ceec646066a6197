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

-- ---- API: sessions -------------------------------------------------------------------------------

-- Their access tokens are good, and those of refreshes that rolled back between them are not.
ALTER TABLE auth.sessions ADD COLUMN older_generations bytea;
COMMENT ON COLUMN auth.sessions.older_generations IS
    'those before previous_nonce''s, 16 at most, the last first: nonce, and when the next came, 8 bytes each';

CREATE TYPE auth.session AS (
    id           uuid,
    created_at   timestamptz,
    last_used_at timestamptz,
    user_agent   text,
    ip           inet,
    is_current   boolean   -- the session of the token that the identity was authenticated with
);
COMMENT ON TYPE auth.session IS 'a session as its user sees it';

CREATE FUNCTION auth.sessions() RETURNS SETOF auth.session
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'auth_service_sessions';
COMMENT ON FUNCTION auth.sessions() IS 'the sessions of the identity''s user that live, the last used first';

CREATE FUNCTION auth.revoke_session(session_id uuid) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_revoke_session';
COMMENT ON FUNCTION auth.revoke_session(uuid) IS
    'ends a session of the identity''s user; false where there is no such session';

CREATE FUNCTION auth.revoke_other_sessions() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_revoke_other_sessions';
COMMENT ON FUNCTION auth.revoke_other_sessions() IS
    'ends all sessions of the identity''s user but the identity''s own; how many';

CREATE FUNCTION auth.introspect(token text) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_introspect';
COMMENT ON FUNCTION auth.introspect(text) IS
    'what an access or refresh token is good for (RFC 7662): one of the identity''s user, or any for an admin';

CREATE FUNCTION auth.revoke_token(token text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_revoke_token';
COMMENT ON FUNCTION auth.revoke_token(text) IS
    'ends the session of an access or refresh token (RFC 7009); does nothing for any other text';

CREATE FUNCTION auth._refresh_cause() RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_refresh_cause';
COMMENT ON FUNCTION auth._refresh_cause() IS
    'for fronts: why the transaction''s last refresh took a token that was used before, or NULL';

CREATE FUNCTION auth._asked(microseconds_ago integer) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_asked';
COMMENT ON FUNCTION auth._asked(integer) IS
    'for fronts: how long ago the request of this transaction came, 10 seconds at most';

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

CREATE FUNCTION auth._rpc(schema text, function text, arguments text, anonymous_role text DEFAULT NULL,
                          by_get boolean DEFAULT false) RETURNS text
    LANGUAGE c AS 'MODULE_PATHNAME', 'auth_service_rpc' VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION auth._rpc(text, text, text, text, boolean) IS 'for fronts: a call of a function of the application''s with named arguments, as the caller''s role; JSON';

CREATE FUNCTION auth._rpc_functions(schema text, anonymous_role text DEFAULT NULL, OUT name text, OUT arguments json,
                                    OUT result json, OUT reads boolean, OUT is_anonymous boolean, OUT id oid)
    RETURNS SETOF record
    LANGUAGE c AS 'MODULE_PATHNAME', 'auth_service_rpc_functions' STABLE PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION auth._rpc_functions(text, text) IS 'for fronts: the functions that _rpc can call, with JSON Schemas';

-- ---- Protection ----------------------------------------------------------------------------------

-- Loads the library, and so its guard, before a command that could take the accounts along (guard.c).
CREATE FUNCTION auth._guard() RETURNS event_trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_guard';
COMMENT ON FUNCTION auth._guard() IS
    'for the event trigger auth_service_guard: keeps DROP from taking the accounts along';

CREATE EVENT TRIGGER auth_service_guard ON ddl_command_start
    WHEN TAG IN ('DROP EXTENSION', 'DROP OWNED', 'DROP SCHEMA') EXECUTE FUNCTION auth._guard();
COMMENT ON EVENT TRIGGER auth_service_guard IS 'keeps DROP from taking the accounts along';
-- Also where a session has turned triggers off by session_replication_role.
ALTER EVENT TRIGGER auth_service_guard ENABLE ALWAYS;

-- It has no primary key, so without this a publication of the table would let no row of it be deleted.
ALTER TABLE auth.audit_log REPLICA IDENTITY FULL;

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
