-- SPDX-License-Identifier: MIT
--
-- keys.sql: signing keys.  docs/keys.md has the life of one.

-- The key of our own that signs is the one whose signs_from came last; is_active stands with the newest,
-- which may be yet to sign.  A key's material never changes under its kid, since backends keep it; though it
-- can be sealed anew.
CREATE TABLE auth.signing_keys (
    kid            text COLLATE "C" PRIMARY KEY,
    algorithm      text NOT NULL
                   CHECK (algorithm IN ('HS256', 'ES256', 'RS256', 'EdDSA')),
    secret         bytea            -- NULL: only the public half is here
                   CHECK (octet_length(secret) BETWEEN 32 AND 4124),
    is_active      boolean NOT NULL,
    created_at     timestamptz NOT NULL,
    retired_at     timestamptz,     -- not NULL: verifies no longer
    imported_until timestamptz,     -- not NULL: another service's; it signs nothing, and verifies tokens that expire by then
    public_key     bytea,           -- its SubjectPublicKeyInfo; NULL for HS256
    sealed_by      bytea            -- the id of the key-encryption key that the secret is sealed with; NULL: it is not
                   CHECK (octet_length(sealed_by) = 8),
    signs_from     timestamptz NOT NULL DEFAULT '-infinity',
    verifies_until timestamptz,     -- NULL: while it is here
    CONSTRAINT signing_keys_active_is_not_retired CHECK (NOT (is_active AND retired_at IS NOT NULL)),
    CONSTRAINT signing_keys_active_is_not_imported CHECK (NOT (is_active AND imported_until IS NOT NULL)),
    CONSTRAINT signing_keys_pair_has_public_key CHECK ((algorithm = 'HS256') = (public_key IS NULL)),
    CONSTRAINT signing_keys_own_has_secret
        CHECK (secret IS NOT NULL OR (public_key IS NOT NULL AND imported_until IS NOT NULL))
);
COMMENT ON TABLE auth.signing_keys IS 'keys of access tokens; the first is made on first use';
SELECT pg_catalog.pg_extension_config_dump('auth.signing_keys', '');

-- One at most.
CREATE UNIQUE INDEX signing_keys_is_active_key ON auth.signing_keys (is_active) WHERE is_active;

-- ---- For everybody -------------------------------------------------------------------------------

CREATE FUNCTION auth.jwks() RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_jwks';
COMMENT ON FUNCTION auth.jwks() IS 'the public keys of access tokens, as a JWK set';

CREATE FUNCTION auth._issuer() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'auth_service_issuer_url';
COMMENT ON FUNCTION auth._issuer() IS 'for fronts: the issuer of access tokens where it is a URL, else NULL';

-- ---- For operators -------------------------------------------------------------------------------

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

CREATE FUNCTION auth.import_signing_key(algorithm text, secret text, valid_for interval DEFAULT '1 day')
    RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_import_signing_key';
COMMENT ON FUNCTION auth.import_signing_key(text, text, interval) IS
    'for operators: lets imported accounts use access tokens that were signed with this secret, for a while';
