-- SPDX-License-Identifier: MIT
--
-- sessions.sql: a password or a refresh token becomes a session (docs/sessions.md).

-- A row a session that lives; whatever ends a session deletes its row.
--
-- No foreign key to auth.users, here or elsewhere: an extension's tables are there before their data is
-- restored, and pg_restore --jobs knows no order among them, so it would lose the rows that come too early.
-- The statements that add rows hold the account's row.
CREATE TABLE auth.sessions (
    user_id           bigint NOT NULL,
    id                uuid NOT NULL,
    refresh_key       bytea NOT NULL,   -- the HMAC key of the session's refresh tokens, or half of it: see sealed_by
    refresh_counter   bigint NOT NULL,  -- the generation of the current tokens: how many came before,
    refresh_nonce     bigint NOT NULL,  -- and a random number that tells it from one rolled back
    previous_nonce    bigint NOT NULL,  -- that of the generation before
    created_at        timestamptz NOT NULL,
    last_used_at      timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    user_agent        text,
    ip                inet,
    -- Their access tokens are good, and those of refreshes that rolled back between them are not.
    older_generations bytea,
    sealed_by         bytea             -- as in signing_keys; not NULL: the other half of the key is not here
                      CHECK (octet_length(sealed_by) = 8),
    PRIMARY KEY (user_id, id)
);
COMMENT ON TABLE auth.sessions IS 'living sessions';
COMMENT ON COLUMN auth.sessions.older_generations IS
    'those before previous_nonce''s, 16 at most, the last first: nonce, and when the next came, 8 bytes each';
SELECT pg_catalog.pg_extension_config_dump('auth.sessions', '');

-- For maintain.  It never changes for a session, so a refresh writes to no index.
CREATE INDEX sessions_expires_at_idx ON auth.sessions (expires_at);

-- ---- Tokens --------------------------------------------------------------------------------------

CREATE TYPE auth.token_pair AS (
    access_token  text,
    refresh_token text,
    token_type    text,     -- always "bearer"
    expires_in    integer   -- seconds that the access token is valid
);
COMMENT ON TYPE auth.token_pair IS 'what login and refresh answer (RFC 6749, 5.1)';

CREATE FUNCTION auth.login(email text, password text,
                           user_agent text DEFAULT NULL, ip inet DEFAULT NULL)
    RETURNS auth.token_pair
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_login';
COMMENT ON FUNCTION auth.login(text, text, text, inet) IS
    'starts a session; NULL where e-mail and password do not fit';

CREATE FUNCTION auth.refresh(refresh_token text) RETURNS auth.token_pair
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_refresh';
COMMENT ON FUNCTION auth.refresh(text) IS
    'new tokens for a refresh token; NULL where it is not good, and a reused one ends its session';

CREATE FUNCTION auth.introspect(token text) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_introspect';
COMMENT ON FUNCTION auth.introspect(text) IS
    'what an access or refresh token is good for (RFC 7662): one of the identity''s user, or any for an admin';

CREATE FUNCTION auth.revoke_token(token text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_revoke_token';
COMMENT ON FUNCTION auth.revoke_token(text) IS
    'ends the session of an access or refresh token (RFC 7009); does nothing for any other text';

-- ---- The own sessions ----------------------------------------------------------------------------

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

CREATE FUNCTION auth.logout() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_logout';
COMMENT ON FUNCTION auth.logout() IS 'ends the session of the identity';

CREATE FUNCTION auth.logout_all() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_logout_all';
COMMENT ON FUNCTION auth.logout_all() IS 'ends every session of the identity''s user';

-- ---- For fronts ----------------------------------------------------------------------------------

CREATE FUNCTION auth._refresh_cause() RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_refresh_cause';
COMMENT ON FUNCTION auth._refresh_cause() IS
    'for fronts: why the transaction''s last refresh took a token that was used before, or NULL';

CREATE FUNCTION auth._asked(microseconds_ago integer) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_asked';
COMMENT ON FUNCTION auth._asked(integer) IS
    'for fronts: how long ago the request of this transaction came, 10 seconds at most';
