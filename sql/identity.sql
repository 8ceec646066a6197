-- SPDX-License-Identifier: MIT
--
-- identity.sql: who this transaction is, and which roles may call us.

CREATE FUNCTION auth.authenticate(access_token text) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_authenticate';
COMMENT ON FUNCTION auth.authenticate(text) IS
    'verifies an access token and makes its user the identity of this transaction';

CREATE FUNCTION auth.verify_token(access_token text) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_verify_token';
COMMENT ON FUNCTION auth.verify_token(text) IS
    'the claims of an access token that authenticate would take, else NULL; sets nothing';

-- ---- Its readers ---------------------------------------------------------------------------------

-- STABLE, since within a statement only authenticate changes them; PARALLEL SAFE, since a worker gets the
-- identity with the settings of its leader; COST 1, which is what they cost.  LEAKPROOF would change nothing:
-- a call without a column in it is no leak to the planner.
CREATE FUNCTION auth._identity_support(request internal) RETURNS internal
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'auth_service_identity_support';
COMMENT ON FUNCTION auth._identity_support(internal) IS
    'lets the planner read the identity once a statement, not once a row, in policies';

CREATE FUNCTION auth.uid() RETURNS bigint
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT auth._identity_support AS 'MODULE_PATHNAME', 'auth_service_uid';
COMMENT ON FUNCTION auth.uid() IS 'user id of the identity of this transaction, or NULL';

CREATE FUNCTION auth.role() RETURNS auth.user_role
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT auth._identity_support AS 'MODULE_PATHNAME', 'auth_service_role';
COMMENT ON FUNCTION auth.role() IS 'role of the identity of this transaction, or NULL';

CREATE FUNCTION auth.jwt() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT auth._identity_support AS 'MODULE_PATHNAME', 'auth_service_jwt';
COMMENT ON FUNCTION auth.jwt() IS 'claims of the token of the identity of this transaction, or NULL';

-- ---- For operators and fronts --------------------------------------------------------------------

CREATE FUNCTION auth.allow_api(role regrole) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_allow_api';
COMMENT ON FUNCTION auth.allow_api(regrole) IS
    'for operators: lets a role call the functions of the API, and nothing else';

CREATE FUNCTION auth._require_admin() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_require_admin';
COMMENT ON FUNCTION auth._require_admin() IS 'raises what an admin''s function would raise for who asks';
