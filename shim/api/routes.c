/* SPDX-License-Identifier: MIT
 *
 * routes.c: THE TABLE.  A new endpoint is one row here, and its SQL function.
 *
 * PostgreSQL parses the body and builds the answer; the shim looks into neither.  auth._arguments
 * takes the fields' values out of a JSON object, and raises for what is missing or of another type:
 * a statement's $1 and $2 are the body and the specifications of its fields; the next two, or $1 and
 * $2 where there is no body, are the same for path, query and header.  Where the request comes from the
 * database is told before (database/database.c).
 */
#include "api/routes.h"
#include "api/statements.h"
#include "database/database.h"

#define MESSAGE(text) "SELECT '{\"message\":\"" text "\"}'"

/* The token pair that these functions answer. */
#define TOKENS(from) "SELECT pg_catalog.to_json(t) FROM " from " t WHERE t.access_token IS NOT NULL"

#define LOGIN TOKENS(ARGUMENTS(1, 2) " a, auth.login(a[1], a[2])")

/* Five minutes: a key that is published so long before it signs is known when it does. */
#define CACHED     "Cache-Control: public, max-age=300\r\n"
#define INTROSPECT "SELECT auth.introspect(a[1])::pg_catalog.json FROM " ARGUMENTS(1, 2) " a"
#define REVOKE                                                                                     \
    MESSAGE("Token revoked") " FROM " ARGUMENTS(1, 2) " a, LATERAL auth.revoke_token(a[1])"

/* An admin's deed on the user in the path; no row where there is no such user. */
#define USER_ID "p[1]::pg_catalog.int8"
#define ADMIN_ACTION(function, done)                                                               \
    "SELECT pg_catalog.json_build_object('message', pg_catalog.format('User %s has been " done     \
    ".', p[1])) FROM " ARGUMENTS(1, 2) " p WHERE auth." function "(" USER_ID ")"

/* Debian 12's and 13's do not agree on braces in macros. */
/* clang-format off */
/* Fields that more than one route takes. */
#define EMAIL            "\"format\":\"email\""
#define PASSWORD         "\"format\":\"password\""
#define FIELD_USER_ID    {"user_id:integer!", IN_PATH, "The user's id", NULL}
#define FIELD_NAME(name) {name, IN_BODY, "1 to 255 characters", "\"maxLength\":255"}
#define FIELD_PASSWORD(name)                                                                       \
    {name, IN_BODY, "At most 72 bytes in UTF-8; what it must contain is a setting", PASSWORD}
#define FIELD_TOKEN {"token!", IN_BODY, "An access token or a refresh token", NULL}
#define FIELD_TOKEN_HINT                                                                           \
    {"token_type_hint", IN_BODY, "access_token or refresh_token; not needed", NULL}
#define FIELD_AMOUNT                                                                               \
    {"amount:integer!", IN_BODY, "What to add to the balance, in minor units; negative: to take",  \
     NULL}
#define FIELD_KEY                                                                                  \
    {"idempotency_key", IN_HEADER,                                                                 \
     "Requests with the same key change the balance once, and get the same answer", NULL}
#define FIELD_LIMIT                                                                                \
    {"limit:integer", IN_QUERY, "How many, at most",                                               \
     "\"minimum\":1,\"maximum\":1000,\"default\":100"}
#define FIELD_CURSOR {"cursor", IN_QUERY, "The next_cursor of the page before", NULL}

#define ROUTE_LIST_USERS(its_path)                                                                 \
    {.method = "GET",                                                                              \
     .path = its_path,                                                                             \
     .summary = "All users that are not deleted",                                                  \
     .description = "Filters are combined. users is an object in the order asked for; JavaScript " \
                    "sorts the members of such an object itself, so order has the ids in order.",  \
     .access = ROUTE_ADMIN,                                                                        \
     .fields = {{"id:integer", IN_QUERY, "The user with this id", NULL},                           \
                {"email", IN_QUERY, "Part of the e-mail address, in any case", NULL},              \
                {"first_name", IN_QUERY, "Part of the first name, in any case", NULL},             \
                {"last_name", IN_QUERY, "Part of the last name, in any case", NULL},               \
                {"role(user,admin)", IN_QUERY, "Users of this role", NULL},                        \
                {"is_blocked:boolean", IN_QUERY, "Blocked users, or the others", NULL},            \
                {"sort_by(id,balance,last_activity_at)", IN_QUERY, "What to sort by",              \
                 "\"default\":\"id\""},                                                            \
                {"sort_order(asc,desc)", IN_QUERY, "Ascending or descending",                      \
                 "\"default\":\"asc\""},                                                           \
                FIELD_LIMIT,                                                                       \
                FIELD_CURSOR},                                                                     \
     .sql = statement_list_users,                                                                  \
     .answer = "UserList"}
/* clang-format on */

const struct route routes[] = {
    {.method = "POST",
     .path = "/auth/register",
     .summary = "Make an account",
     .body = ROUTE_JSON,
     .fields = {{"email!", IN_BODY, "The e-mail address", EMAIL},
                FIELD_PASSWORD("password!"),
                FIELD_NAME("first_name"),
                FIELD_NAME("last_name")},
     .hashes = true,
     .sql = "SELECT pg_catalog.to_json(r) FROM (SELECT a[1] AS email,"
            " auth.register(a[1], a[2], a[3], a[4]) AS id FROM " ARGUMENTS(1, 2) " a) r",
     .answer = "Registered",
     .errors = {"U400A", "U429A"}},

    {.method = "POST",
     .path = "/auth/login",
     .summary = "Log in",
     .description = "Takes the password form of OAuth 2, or JSON with email or username.",
     .body = ROUTE_FORM,
     .fields = {{"username!", IN_BODY, "The e-mail address", NULL},
                {"password!", IN_BODY, "The password", PASSWORD}},
     .hashes = true,
     .sql = LOGIN,
     .null = "U401C",
     .answer = "TokenPair",
     .errors = {"U403A", "U429A"}},

    {.method = "POST",
     .path = "/auth/login",
     .body = ROUTE_JSON,
     .fields = {{"email|username!", IN_BODY, "The e-mail address", NULL},
                {"password!", IN_BODY, "The password", PASSWORD}},
     .hashes = true,
     .sql = LOGIN,
     .null = "U401C"},

    {.method = "POST",
     .path = "/auth/refresh",
     .summary = "A new token pair for a refresh token",
     .description =
         "The refresh token answered takes the place of the one given. Where that was used "
         "before, and is forgiven since the answer may have been lost, the header "
         "X-Refresh-Token-Reuse says grace-period.",
     .body = ROUTE_JSON,
     .fields = {{"refresh_token!", IN_BODY, "The refresh token", NULL}},
     .sql = statement_refresh,
     .null = "U401D",
     .answer = "TokenPair",
     .errors = {"U429A"}},

    {.method = "POST",
     .path = "/auth/logout",
     .summary = "End this session",
     .access = ROUTE_BEARER,
     .sql = MESSAGE("Logged out") " FROM auth.logout()",
     .answer = "Message"},

    {.method = "POST",
     .path = "/auth/logout-all",
     .summary = "End all of the user's sessions",
     .access = ROUTE_BEARER,
     .sql = MESSAGE("Logged out") " FROM auth.logout_all()",
     .answer = "Message"},

    {.method = "GET",
     .path = "/auth/sessions",
     .summary = "The user's sessions, the last used first",
     .access = ROUTE_BEARER,
     .sql = statement_sessions,
     .answer = "[Session]"},

    {.method = "DELETE",
     .path = "/auth/sessions",
     .summary = "End all of the user's sessions but this one",
     .access = ROUTE_BEARER,
     .sql = "SELECT auth.revoke_other_sessions()",
     .has_no_body = true},

    {.method = "DELETE",
     .path = "/auth/sessions/{session_id}",
     .summary = "End a session of the user's",
     .access = ROUTE_BEARER,
     .fields = {{"session_id:uuid!", IN_PATH, "The session's id", "\"format\":\"uuid\""}},
     .sql = "SELECT '' FROM " ARGUMENTS(1, 2) " p WHERE auth.revoke_session(p[1]::pg_catalog.uuid)",
     .null = "U404D",
     .has_no_body = true},

    {.method = "POST",
     .path = "/auth/introspect",
     .summary = "What a token is good for (RFC 7662)",
     .description =
         "A user asks about his own tokens, an admin about any. What is no token, or another's, "
         "is not active.",
     .access = ROUTE_BEARER,
     .body = ROUTE_FORM,
     .fields = {FIELD_TOKEN, FIELD_TOKEN_HINT},
     .sql = INTROSPECT,
     .answer = "Introspection",
     .errors = {"U429A"}},

    {.method = "POST",
     .path = "/auth/introspect",
     .access = ROUTE_BEARER,
     .body = ROUTE_JSON,
     .fields = {FIELD_TOKEN, FIELD_TOKEN_HINT},
     .sql = INTROSPECT},

    {.method = "POST",
     .path = "/auth/revoke",
     .summary = "End the session of a token (RFC 7009)",
     .description = "Whoever has the token may. What is no token is answered alike.",
     .body = ROUTE_FORM,
     .fields = {FIELD_TOKEN, FIELD_TOKEN_HINT},
     .sql = REVOKE,
     .answer = "Message"},

    {.method = "POST",
     .path = "/auth/revoke",
     .body = ROUTE_JSON,
     .fields = {FIELD_TOKEN, FIELD_TOKEN_HINT},
     .sql = REVOKE},

    {.method = "POST",
     .path = "/auth/change-password",
     .summary = "Change the password",
     .description = "Ends all of the user's sessions.",
     .body = ROUTE_JSON,
     .fields = {{"email!", IN_BODY, "The e-mail address", NULL},
                {"old_password!", IN_BODY, "The password so far", PASSWORD},
                FIELD_PASSWORD("new_password!")},
     .hashes = true,
     .sql = MESSAGE("Password updated successfully") " FROM " ARGUMENTS(
         1, 2) " a"
               " WHERE auth.change_password(a[1], a[2], a[3])",
     .null = "U401E",
     .answer = "Message",
     .errors = {"U403A", "U429A"}},

    {.method = "GET",
     .path = "/auth/me",
     .summary = "Who is asking",
     .access = ROUTE_BEARER,
     .is_brief = true,
     .sql = "SELECT pg_catalog.to_json(r) FROM (SELECT auth.uid()::pg_catalog.text AS user_id) r",
     .answer = "Identity"},

    {.method = "GET",
     .path = "/users/me",
     .summary = "The user's profile",
     .access = ROUTE_BEARER,
     .is_brief = true,
     .sql = "SELECT pg_catalog.to_json(p) FROM auth.me() p",
     .answer = "Profile"},

    {.method = "DELETE",
     .path = "/users/me",
     .summary = "Delete the user's own account",
     .description = "Ends all of the user's sessions; the e-mail address can register again.",
     .access = ROUTE_BEARER,
     .sql = MESSAGE("Account successfully deleted") " FROM auth.delete_me()",
     .answer = "Message",
     .errors = {"U403C"}},

    {.method = "GET",
     .path = "/users/profile",
     .summary = "The user's profile, once it has both names",
     .access = ROUTE_BEARER,
     .is_brief = true,
     .sql = "SELECT pg_catalog.to_json(p) FROM auth.me() p"
            " WHERE p.first_name IS NOT NULL AND p.last_name IS NOT NULL",
     .null = "U403D",
     .answer = "Profile"},

    {.method = "PUT",
     .path = "/users/profile",
     .summary = "Set the user's names",
     .access = ROUTE_BEARER,
     .body = ROUTE_JSON,
     .fields = {FIELD_NAME("first_name"), FIELD_NAME("last_name")},
     .sql =
         "SELECT pg_catalog.to_json(p) FROM " ARGUMENTS(1, 2) " a,"
                                                              " auth.update_profile(a[1], a[2]) p",
     .answer = "Profile",
     .errors = {"U400B"}},

    {.method = "GET",
     .path = "/users/balance",
     .summary = "The user's balance",
     .access = ROUTE_BEARER,
     .is_brief = true,
     .sql = "SELECT pg_catalog.json_build_object('balance', auth.balance())",
     .answer = "Balance"},

    {.method = "PUT",
     .path = "/users/balance",
     .summary = "Add to the user's balance",
     .access = ROUTE_BEARER,
     .body = ROUTE_JSON,
     .fields = {FIELD_AMOUNT, FIELD_KEY},
     .sql = "SELECT pg_catalog.json_build_object('new_balance',"
            " auth.change_balance(a[1]::pg_catalog.int8, p[1]))"
            " FROM " ARGUMENTS(1, 2) " a, " ARGUMENTS(3, 4) " p",
     .answer = "NewBalance",
     .errors = {"U400C", "U403B", "U409A"}},

    ROUTE_LIST_USERS("/users/"),
    ROUTE_LIST_USERS("/users"),

    {.method = "GET",
     .path = "/users/deleted",
     .summary = "Deleted users, the last deleted first",
     .access = ROUTE_ADMIN,
     .fields = {FIELD_LIMIT, FIELD_CURSOR},
     .sql = statement_deleted_users,
     .answer = "DeletedUserList"},

    {.method = "POST",
     .path = "/admin/block/{user_id}",
     .summary = "Block a user",
     .description = "Ends all of the user's sessions.",
     .access = ROUTE_ADMIN,
     .fields = {FIELD_USER_ID},
     .sql = ADMIN_ACTION("block_user", "blocked"),
     .null = "U404B",
     .answer = "Message"},

    {.method = "POST",
     .path = "/admin/unblock/{user_id}",
     .summary = "Unblock a user",
     .access = ROUTE_ADMIN,
     .fields = {FIELD_USER_ID},
     .sql = ADMIN_ACTION("unblock_user", "unblocked"),
     .null = "U404B",
     .answer = "Message"},

    {.method = "POST",
     .path = "/admin/restore/{user_id}",
     .summary = "Restore a deleted user",
     .access = ROUTE_ADMIN,
     .fields = {FIELD_USER_ID},
     .sql = ADMIN_ACTION("restore_user", "restored"),
     .null = "U404B",
     .answer = "Message",
     .errors = {"U400A"}},

    {.method = "PUT",
     .path = "/admin/users/{user_id}/role",
     .summary = "Make a user an admin, or an admin a user",
     .access = ROUTE_ADMIN,
     .body = ROUTE_JSON,
     .fields = {{"role(user,admin)!", IN_BODY, "The new role", NULL}, FIELD_USER_ID},
     .sql = "SELECT pg_catalog.json_build_object('message', pg_catalog.format("
            "'User %s is now %s.', p[1], a[1])) FROM " ARGUMENTS(1, 2) " a, " ARGUMENTS(
                3, 4) " p"
                      " WHERE auth.set_role(" USER_ID ", a[1]::auth.user_role)",
     .null = "U404B",
     .answer = "Message"},

    {.method = "PUT",
     .path = "/admin/users/{user_id}/balance",
     .summary = "Add to a user's balance",
     .access = ROUTE_ADMIN,
     .body = ROUTE_JSON,
     .fields = {FIELD_AMOUNT, FIELD_USER_ID, FIELD_KEY},
     .sql = "SELECT pg_catalog.json_build_object('new_balance',"
            " auth.admin_change_balance(" USER_ID ", a[1]::pg_catalog.int8, p[2]))"
            " FROM " ARGUMENTS(1, 2) " a, " ARGUMENTS(3, 4) " p",
     .answer = "NewBalance",
     .errors = {"U400C", "U404B", "U409A", "U403B"}},

    {.method = "GET",
     .path = "/admin/audit",
     .summary = "Who did what to whom from where, the last first",
     .access = ROUTE_ADMIN,
     .fields = {{"user_id:integer", IN_QUERY, "What was done to this user", NULL},
                {"actor_id:integer", IN_QUERY, "What this user did", NULL},
                {"action", IN_QUERY, "What was done", NULL},
                FIELD_LIMIT,
                FIELD_CURSOR},
     .sql = statement_audit,
     .answer = "AuditLog"},

    {.method = "GET",
     .path = "/admin/check",
     .summary = "Whether the user is an admin",
     .access = ROUTE_ADMIN,
     .sql = "SELECT pg_catalog.json_build_object('message',"
            " pg_catalog.format('Welcome, admin %s!', p.email)) FROM auth.me() p",
     .answer = "Message"},

    /* What these are in the OpenAPI document the database tells: rpc.c. */
    {.method = "POST",
     .path = "/rpc/{function}",
     .access = ROUTE_CALLER,
     .body = ROUTE_JSON,
     .is_rpc = true,
     .sql = "SELECT auth._rpc($1, $2, $3, $4, false)"},

    {.method = "GET",
     .path = "/rpc/{function}",
     .access = ROUTE_CALLER,
     .is_rpc = true,
     .sql = "SELECT auth._rpc($1, $2, $3, $4, true)"},

    {.method = "GET",
     .path = "/",
     .summary = "Whether the service is running",
     .constant = "{\"message\":\"auth_service is running\"}",
     .answer = "Message"},

    {.method = "GET",
     .path = "/.well-known/jwks.json",
     .summary = "The public keys of access tokens (RFC 7517)",
     .description = "Empty while tokens are signed with HS256, which has no public key.",
     .sql = "SELECT auth.jwks()::pg_catalog.json",
     .headers = CACHED,
     .answer = "KeySet"},

    {.method = "GET",
     .path = "/.well-known/oauth-authorization-server",
     .summary = "Where what is to be found (RFC 8414)",
     .description = "Only where the setting auth_service.issuer is an https URL.",
     .sql = statement_metadata,
     .headers = CACHED,
     .null = "U404E",
     .answer = "Metadata"},

    {.method = "GET",
     .path = "/openapi.json",
     .summary = "This document",
     .is_document = true,
     .answer = "Document"},

    {.method = "GET",
     .path = "/health/live",
     .summary = "Whether the process answers",
     .constant = "{\"status\":\"live\"}",
     .answer = "Health"},

    {.method = "GET",
     .path = "/health/ready",
     .summary = "Whether the database can answer",
     .is_health = true,
     /* Calls the extension, so that "ready" means that it is there. */
     .sql = "SELECT '{\"status\":\"ready\"}' WHERE auth.uid() IS NULL",
     .answer = "Health"},
};

const size_t route_count = sizeof(routes) / sizeof(routes[0]);

_Static_assert(sizeof(routes) / sizeof(routes[0]) + DB_FIRST_STATEMENT + 3 <=
                   DB_MAINTENANCE_STATEMENT,
               "more routes than ids");
