/* SPDX-License-Identifier: MIT
 *
 * statements.c: see statements.h.
 *
 * A list's function answers rows in their order, each with the cursor for what comes behind it.  The
 * JSON is json and not jsonb, which would sort the members.
 */
#include "api/statements.h"

#define FROM_ARGUMENTS " FROM " ARGUMENTS(1, 2) " p, "

/* The lists' functions take an integer, and say themselves what is out of bounds. */
#define LIMIT_BEGIN "LEAST(GREATEST(COALESCE("
#define LIMIT_END   "::pg_catalog.int8, 100), 0), 1001)::pg_catalog.int4"

#define ROWS_BEGIN "COALESCE(pg_catalog.json_agg("
#define ROWS_END   " ORDER BY r.ordinality), '[]')"

#define NEXT_CURSOR                                                                                \
    ", 'next_cursor', (pg_catalog.array_agg(r.next_cursor ORDER BY r.ordinality DESC))[1])"

/* Debian 12's and 13's do not agree on strings between macros. */
/* clang-format off */
/* In FROM, as relations, functions would have their rows kept and read again. */
const char statement_refresh[] =
    "SELECT pg_catalog.to_json(r.pair), auth._refresh_cause()"
    " FROM (SELECT auth.refresh((" ARGUMENTS(1, 2) ")[1])) r (pair)"
    " WHERE (r.pair).access_token IS NOT NULL";

const char statement_metadata[] =
    "SELECT pg_catalog.json_build_object('issuer', i.issuer,"
    " 'jwks_uri', pg_catalog.concat(i.base, '/.well-known/jwks.json'),"
    " 'token_endpoint', pg_catalog.concat(i.base, '/auth/login'),"
    " 'token_endpoint_auth_methods_supported', pg_catalog.json_build_array('none'),"
    " 'grant_types_supported', pg_catalog.json_build_array('password'),"
    " 'response_types_supported', pg_catalog.json_build_array(),"
    " 'introspection_endpoint', pg_catalog.concat(i.base, '/auth/introspect'),"
    " 'revocation_endpoint', pg_catalog.concat(i.base, '/auth/revoke'),"
    " 'revocation_endpoint_auth_methods_supported', pg_catalog.json_build_array('none'),"
    " 'service_documentation', pg_catalog.concat(i.base, '/docs'))"
    " FROM (SELECT x.issuer, pg_catalog.rtrim(x.issuer, '/') FROM auth._issuer() x (issuer)) i"
    " (issuer, base) WHERE i.issuer IS NOT NULL";

const char statement_list_users[] =
    "SELECT pg_catalog.json_build_object('users',"
    " COALESCE(pg_catalog.json_object_agg(r.id, pg_catalog.json_build_object("
    "'user_id', r.id, 'email', r.email, 'first_name', r.first_name, 'last_name', r.last_name,"
    " 'created_at', r.created_at, 'updated_at', r.updated_at,"
    " 'last_activity_at', r.last_activity_at, 'block', r.is_blocked, 'block_at', r.blocked_at,"
    " 'role', r.role, 'balance', r.balance) ORDER BY r.ordinality), '{}')"
    ", 'order', " ROWS_BEGIN "r.id" ROWS_END NEXT_CURSOR FROM_ARGUMENTS
    "auth.list_users(p[1]::pg_catalog.int8, p[2], p[3], p[4], p[5]::auth.user_role,"
    " p[6]::pg_catalog.bool, COALESCE(p[7], 'id'), COALESCE(p[8], 'asc'), " LIMIT_BEGIN
    "p[9]" LIMIT_END ", p[10]) WITH ORDINALITY r";

const char statement_deleted_users[] =
    "SELECT pg_catalog.json_build_object('deleted_users', " ROWS_BEGIN
    "pg_catalog.json_build_object('id', r.id, 'email', r.email, 'first_name', r.first_name,"
    " 'last_name', r.last_name, 'role', r.role, 'is_blocked', r.is_blocked,"
    " 'blocked_at', r.blocked_at, 'is_deleted', true, 'deleted_at', r.deleted_at,"
    " 'balance', r.balance, 'created_at', r.created_at, 'updated_at', r.updated_at,"
    " 'last_activity_at', r.last_activity_at)" ROWS_END NEXT_CURSOR FROM_ARGUMENTS
    "auth.deleted_users(" LIMIT_BEGIN "p[1]" LIMIT_END ", p[2]) WITH ORDINALITY r";

const char statement_sessions[] =
    "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('id', r.id,"
    " 'created_at', r.created_at, 'last_used_at', r.last_used_at, 'user_agent', r.user_agent,"
    " 'ip', pg_catalog.host(r.ip), 'is_current', r.is_current) ORDER BY r.ordinality), '[]')"
    " FROM auth.sessions() WITH ORDINALITY r";

const char statement_audit[] =
    "SELECT pg_catalog.json_build_object('entries', " ROWS_BEGIN
    "pg_catalog.json_build_object('id', r.id, 'at', r.at, 'action', r.action,"
    " 'actor_id', r.actor_id, 'user_id', r.user_id, 'ip', r.ip, 'user_agent', r.user_agent,"
    " 'request_id', r.request_id, 'db_role', r.db_role, 'detail', r.detail)" ROWS_END
        NEXT_CURSOR FROM_ARGUMENTS
    "auth.audit(p[1]::pg_catalog.int8, p[2]::pg_catalog.int8, p[3], " LIMIT_BEGIN "p[4]" LIMIT_END
    ", p[5]) WITH ORDINALITY r";
/* clang-format on */
