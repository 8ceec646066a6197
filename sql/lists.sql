-- SPDX-License-Identifier: MIT
--
-- lists.sql: pages of accounts and of the audit log, for admins.

CREATE TYPE auth.listed_user AS (
    id               bigint,
    email            text,
    first_name       text,
    last_name        text,
    role             auth.user_role,
    is_blocked       boolean,
    blocked_at       timestamptz,
    balance          bigint,
    created_at       timestamptz,
    updated_at       timestamptz,
    last_activity_at timestamptz,
    deleted_at       timestamptz,
    next_cursor      text   -- for the page behind this row; NULL where nothing is behind it
);
COMMENT ON TYPE auth.listed_user IS 'an account as an admin sees it in a list';

CREATE TYPE auth.audit_entry AS (
    id          bigint,
    at          timestamptz,
    action      text,
    actor_id    bigint,     -- who did it: a user, or NULL for nobody known or an operator
    user_id     bigint,     -- to whom
    ip          inet,
    user_agent  text,
    request_id  text,
    db_role     text,       -- the role of the database session
    detail      jsonb,
    next_cursor text
);
COMMENT ON TYPE auth.audit_entry IS 'a row of the audit log';

CREATE FUNCTION auth.list_users(id bigint DEFAULT NULL, email text DEFAULT NULL,
                                first_name text DEFAULT NULL, last_name text DEFAULT NULL,
                                role auth.user_role DEFAULT NULL, is_blocked boolean DEFAULT NULL,
                                sort_by text DEFAULT 'id', sort_order text DEFAULT 'asc',
                                "limit" integer DEFAULT 100, cursor text DEFAULT NULL)
    RETURNS SETOF auth.listed_user
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 AS 'MODULE_PATHNAME', 'auth_service_list_users';
COMMENT ON FUNCTION auth.list_users(bigint, text, text, text, auth.user_role, boolean, text, text, integer, text) IS
    'for admins: a page of the accounts that are not deleted; texts are substrings, upper or lower case';

CREATE FUNCTION auth.deleted_users("limit" integer DEFAULT 100, cursor text DEFAULT NULL)
    RETURNS SETOF auth.listed_user
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 AS 'MODULE_PATHNAME', 'auth_service_deleted_users';
COMMENT ON FUNCTION auth.deleted_users(integer, text) IS
    'for admins: a page of the deleted accounts, the last deleted first';

CREATE FUNCTION auth.audit(user_id bigint DEFAULT NULL, actor_id bigint DEFAULT NULL, action text DEFAULT NULL,
                           "limit" integer DEFAULT 100, cursor text DEFAULT NULL)
    RETURNS SETOF auth.audit_entry
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 AS 'MODULE_PATHNAME', 'auth_service_audit';
COMMENT ON FUNCTION auth.audit(bigint, bigint, text, integer, text) IS
    'for admins: a page of the audit log, newest first';

-- ---- Orders and filters --------------------------------------------------------------------------

-- Every order and every rare filter has its index.  "id + 0": with a plain id the planner takes such an index
-- for "id = $1" while the table is small, and backends keep that plan while it grows.
CREATE INDEX users_balance_idx ON auth.users (balance, (id + 0)) WHERE deleted_at IS NULL;
CREATE INDEX users_last_activity_at_idx
    ON auth.users ((COALESCE(last_activity_at, '-infinity'::timestamptz)), (id + 0)) WHERE deleted_at IS NULL;
CREATE INDEX users_blocked_idx ON auth.users (id) WHERE blocked_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX users_admin_idx ON auth.users (id) WHERE role = 'admin' AND deleted_at IS NULL;
CREATE INDEX users_deleted_at_idx ON auth.users (deleted_at, id) WHERE deleted_at IS NOT NULL;

-- ---- Substrings ----------------------------------------------------------------------------------

-- Of any length.  The functions of an operator class are called by the index alone, so who writes to the table
-- needs no right on them.
CREATE FUNCTION auth._substring_values(value text, keys internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'auth_service_substring_values';
COMMENT ON FUNCTION auth._substring_values(text, internal) IS 'for auth.substring_ops: the pieces of a text';

CREATE FUNCTION auth._substring_query(pattern text, keys internal, strategy smallint, is_partial internal,
                                      extra internal, null_flags internal, search_mode internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'auth_service_substring_query';
COMMENT ON FUNCTION auth._substring_query(text, internal, smallint, internal, internal, internal, internal) IS
    'for auth.substring_ops: the pieces that a pattern asks for';

CREATE FUNCTION auth._substring_fits(checked internal, strategy smallint, pattern text, key_count integer,
                                     extra internal, keys internal, null_flags internal) RETURNS "char"
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'auth_service_substring_fits';
COMMENT ON FUNCTION auth._substring_fits(internal, smallint, text, integer, internal, internal, internal) IS
    'for auth.substring_ops: whether a text with these pieces may fit';

CREATE FUNCTION auth._substring_begins(beginning integer, piece integer, strategy smallint, extra internal) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'auth_service_substring_begins';
COMMENT ON FUNCTION auth._substring_begins(integer, integer, smallint, internal) IS
    'for auth.substring_ops: whether a piece begins so';

CREATE OPERATOR CLASS auth.substring_ops FOR TYPE text USING gin AS
    OPERATOR 1 pg_catalog.~~* (text, text),
    FUNCTION 2 auth._substring_values(text, internal),
    FUNCTION 3 auth._substring_query(text, internal, smallint, internal, internal, internal, internal),
    FUNCTION 5 auth._substring_begins(integer, integer, smallint, internal),
    FUNCTION 6 auth._substring_fits(internal, smallint, text, integer, internal, internal, internal),
    STORAGE integer;
COMMENT ON OPERATOR CLASS auth.substring_ops USING gin IS 'an index of substrings of any length, for ILIKE';

CREATE INDEX users_substring_idx ON auth.users USING gin
    (email auth.substring_ops, first_name auth.substring_ops, last_name auth.substring_ops);
