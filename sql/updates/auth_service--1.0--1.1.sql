-- SPDX-License-Identifier: MIT
--
-- auth_service--1.0--1.1.sql: balances, administration, lists, the audit log and the import of another
-- service's users.
\echo Use "ALTER EXTENSION auth_service UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- What we require must be nobody's who could take it away again, and our accounts with it: pgcrypto is
-- trusted, so anybody with CREATE on the database can have installed it, in a schema of theirs.  The
-- database's owner could drop it all anyway.
DO $guard$
DECLARE
    stranger record;
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

-- What is here before, so that the last part knows what is new.
SELECT pg_catalog.set_config('auth_service_update.before', pg_catalog.concat_ws(',',
    (SELECT pg_catalog.string_agg('c' || c.oid, ',') FROM pg_catalog.pg_class c
     WHERE c.relnamespace = 'auth'::pg_catalog.regnamespace),
    (SELECT pg_catalog.string_agg('p' || p.oid, ',') FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = 'auth'::pg_catalog.regnamespace)), true) IS NOT NULL AS noted;

-- ---- Types -----------------------------------------------------------------------------------

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

CREATE TYPE auth.import_note AS (
    id      bigint,
    email   text,
    refused boolean,        -- false: the account was here already
    reason  text
);
COMMENT ON TYPE auth.import_note IS 'an account that import_users did not add, and why';

-- ---- Tables ----------------------------------------------------------------------------------

-- An imported account takes access tokens of the service that it came from, until it logs out.
ALTER TABLE auth.users ADD COLUMN takes_imported_tokens boolean NOT NULL DEFAULT false;

-- Not NULL: a key of that service; it signs nothing, and verifies tokens that expire by then.
ALTER TABLE auth.signing_keys ADD COLUMN imported_until timestamptz;
ALTER TABLE auth.signing_keys ADD CHECK (NOT (is_active AND imported_until IS NOT NULL));

-- The lists: every order and every rare filter has its index.  "id + 0": with a plain id the planner takes
-- such an index for "id = $1" while the table is small, and backends keep that plan while it grows.
CREATE INDEX users_balance_idx ON auth.users (balance, (id + 0)) WHERE deleted_at IS NULL;
CREATE INDEX users_last_activity_at_idx
    ON auth.users ((COALESCE(last_activity_at, '-infinity'::timestamptz)), (id + 0)) WHERE deleted_at IS NULL;
CREATE INDEX users_blocked_idx ON auth.users (id) WHERE blocked_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX users_admin_idx ON auth.users (id) WHERE role = 'admin' AND deleted_at IS NULL;
CREATE INDEX users_deleted_at_idx ON auth.users (deleted_at, id) WHERE deleted_at IS NOT NULL;

-- The index of substrings was pg_trgm's until 1.3, which makes another; so it is not made here any more.

-- A row a change of a balance; rows are added, never changed.  users.balance is their sum.
CREATE TABLE auth.balance_entries (
    user_id         bigint NOT NULL,    -- no foreign key: see below
    number          bigint NOT NULL,    -- counts the user's entries, from 1, without a gap
    amount          bigint NOT NULL,    -- minor units; negative: a withdrawal
    balance         bigint NOT NULL CHECK (balance >= 0),   -- after it
    idempotency_key text COLLATE "C",
    actor_id        bigint,             -- who changed it; NULL: an operator
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (user_id, number)
);
COMMENT ON TABLE auth.balance_entries IS 'the ledger of balances';

-- A key is its actor's own: nobody can use up another's.
CREATE UNIQUE INDEX balance_entries_idempotency_key_key
    ON auth.balance_entries (user_id, (COALESCE(actor_id, 0)), idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- An extension's tables are there before their data is restored, and pg_restore --jobs knows no order
-- among them: with a foreign key it would lose the rows that come too early.  The statements that add rows
-- hold the account's row.
ALTER TABLE auth.sessions DROP CONSTRAINT sessions_user_id_fkey;

-- In 1.0 only an operator's own UPDATE can have set a balance.
INSERT INTO auth.balance_entries (user_id, number, amount, balance, created_at)
    SELECT u.id, 1, u.balance, u.balance, pg_catalog.clock_timestamp() FROM auth.users u WHERE u.balance <> 0;

-- Who did what to whom, from where.  No foreign key: a row outlives what it tells of.
CREATE TABLE auth.audit_log (
    id         bigint GENERATED BY DEFAULT AS IDENTITY,
    at         timestamptz NOT NULL,
    action     text COLLATE "C" NOT NULL,
    actor_id   bigint,
    user_id    bigint,
    ip         inet,
    user_agent text,
    request_id text,
    db_role    text NOT NULL,
    detail     jsonb
);
COMMENT ON TABLE auth.audit_log IS 'who did what to whom, from where';

CREATE INDEX audit_log_id_idx ON auth.audit_log (id);
CREATE INDEX audit_log_user_id_idx ON auth.audit_log (user_id, id);
CREATE INDEX audit_log_actor_id_idx ON auth.audit_log (actor_id, id);
CREATE INDEX audit_log_action_idx ON auth.audit_log (action, id);
CREATE INDEX audit_log_refused_idx ON auth.audit_log (user_id, id) WHERE action = 'refused';

SELECT pg_catalog.pg_extension_config_dump('auth.balance_entries', '');
SELECT pg_catalog.pg_extension_config_dump('auth.audit_log', '');
SELECT pg_catalog.pg_extension_config_dump('auth.audit_log_id_seq', '');

-- ---- API: accounts ---------------------------------------------------------------------------

CREATE FUNCTION auth.delete_me() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_delete_me';
COMMENT ON FUNCTION auth.delete_me() IS
    'deletes the identity''s account, softly, and ends its sessions; an admin''s stays';

-- ---- API: balance ----------------------------------------------------------------------------

CREATE FUNCTION auth.balance() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_balance';
COMMENT ON FUNCTION auth.balance() IS 'balance of the identity in minor units';

CREATE FUNCTION auth.change_balance(amount bigint, idempotency_key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_change_balance';
COMMENT ON FUNCTION auth.change_balance(bigint, text) IS
    'adds an amount to the balance of the identity and returns the new balance; once for a key';

CREATE FUNCTION auth.admin_change_balance(user_id bigint, amount bigint,
                                          idempotency_key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_admin_change_balance';
COMMENT ON FUNCTION auth.admin_change_balance(bigint, bigint, text) IS
    'for admins: adds an amount to the balance of a user and returns the new balance; once for a key';

-- ---- API: administration ---------------------------------------------------------------------

CREATE FUNCTION auth.block_user(user_id bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_block_user';
COMMENT ON FUNCTION auth.block_user(bigint) IS
    'for admins: blocks a user and ends every session; false where there is no such user';

CREATE FUNCTION auth.unblock_user(user_id bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_unblock_user';
COMMENT ON FUNCTION auth.unblock_user(bigint) IS
    'for admins: lets a blocked user in again; false where there is no such user';

CREATE FUNCTION auth.restore_user(user_id bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_restore_user';
COMMENT ON FUNCTION auth.restore_user(bigint) IS
    'for admins: takes the deletion of an account back; false where there is no such user';

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

-- ---- API: operators --------------------------------------------------------------------------

-- Texts without a time zone are UTC's.
CREATE FUNCTION auth.import_users(users json) RETURNS SETOF auth.import_note
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
    AS 'MODULE_PATHNAME', 'auth_service_import_users';
COMMENT ON FUNCTION auth.import_users(json) IS
    'for operators: adds accounts from an array of another service''s rows; returns those not added';

CREATE FUNCTION auth.import_signing_key(algorithm text, secret text, valid_for interval DEFAULT '1 day')
    RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_import_signing_key';
COMMENT ON FUNCTION auth.import_signing_key(text, text, interval) IS
    'for operators: lets imported accounts use access tokens that were signed with this secret, for a while';

-- ---- For fronts ------------------------------------------------------------------------------

CREATE FUNCTION auth._require_admin() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_require_admin';
COMMENT ON FUNCTION auth._require_admin() IS 'raises what an admin''s function would raise for who asks';

CREATE FUNCTION auth._origin(ip inet, user_agent text, request_id text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_origin';
COMMENT ON FUNCTION auth._origin(inet, text, text) IS
    'where the request of this transaction comes from, for the audit log';

CREATE FUNCTION auth._audit_refused(action text, access_token text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_audit_refused';
COMMENT ON FUNCTION auth._audit_refused(text, text) IS
    'records that the token''s user was refused an admin''s function: the refusal itself undid its record';

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
