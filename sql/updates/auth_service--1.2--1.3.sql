-- SPDX-License-Identifier: MIT
--
-- auth_service--1.2--1.3.sql: what makes the extension hold out against guessing, and keeps its tables small.
\echo Use "ALTER EXTENSION auth_service UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- What is here before, so that the last part knows what is new.
SELECT pg_catalog.set_config('auth_service_update.before', pg_catalog.concat_ws(',',
    (SELECT pg_catalog.string_agg('c' || c.oid, ',') FROM pg_catalog.pg_class c
     WHERE c.relnamespace = 'auth'::pg_catalog.regnamespace),
    (SELECT pg_catalog.string_agg('p' || p.oid, ',') FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = 'auth'::pg_catalog.regnamespace)), true) IS NOT NULL AS noted;

-- ---- Throttle ------------------------------------------------------------------------------------

-- A row an attempt, which counts as a failure from its begin on; and one more, of the same key, time and place, where
-- it was right.  A key is SHA-256 of what it counts for, an e-mail or an address: what was tried may have been a
-- password.  It matters for minutes, so it is no part of a dump.
CREATE TABLE auth.login_throttle (
    key       bytea NOT NULL CHECK (octet_length(key) = 32),
    failed_at timestamptz NOT NULL,
    place     smallint NOT NULL, -- of the failures without a delay; -1: it came after one
    network   text COLLATE "C",  -- from where it came, if that was said
    was_right boolean NOT NULL
);
CREATE INDEX login_throttle_key_failed_at_idx ON auth.login_throttle (key, failed_at);
CREATE INDEX login_throttle_failed_at_idx ON auth.login_throttle (failed_at);
COMMENT ON TABLE auth.login_throttle IS 'attempts of the last minutes to show a password or a token, by account and by address';

-- ---- Maintenance ---------------------------------------------------------------------------------

-- It never changes for a session, so a refresh writes to no index still.
CREATE INDEX sessions_expires_at_idx ON auth.sessions (expires_at);

-- How far maintain has walked over the sessions: in a sequence, which needs no row that is updated.
CREATE SEQUENCE auth.sessions_walk MINVALUE 0;
COMMENT ON SEQUENCE auth.sessions_walk IS 'how far maintain has walked over the sessions';
SELECT pg_catalog.pg_extension_config_dump('auth.sessions_walk', '');

CREATE FUNCTION auth.maintain() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_maintain';
COMMENT ON FUNCTION auth.maintain() IS
    'deletes some of what is over: sessions, failed attempts, audit rows older than auth_service.audit_retention; how many rows';

-- ---- Lists ---------------------------------------------------------------------------------------

-- Substrings of any length; pg_trgm's index, which was here before, has none of one or two characters.  The functions
-- of an operator class are called by the index alone, so who writes to the table needs no right on them.
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

DROP INDEX IF EXISTS auth.users_substring_idx;
CREATE INDEX users_substring_idx ON auth.users USING gin
    (email auth.substring_ops, first_name auth.substring_ops, last_name auth.substring_ops);

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
