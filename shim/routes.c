/* SPDX-License-Identifier: MIT
 *
 * routes.c: THE TABLE.  A new endpoint is one row here, and its SQL function.
 *
 * PostgreSQL parses the body ($1) and builds the answer; the shim looks into neither.  _arguments
 * takes named members out of a JSON object and raises for what is missing or of another type.
 */
#include <stdio.h>
#include <string.h>

#include "routes.h"

#define MESSAGE(text) "SELECT '{\"message\":\"" text "\"}'"

/* The token pair that these functions answer. */
#define TOKENS(from) "SELECT pg_catalog.to_json(t) FROM " from " t WHERE t.access_token IS NOT NULL"

#define LOGIN(user)                                                                                \
    TOKENS("auth._arguments($1, '" user "!', 'password!') a,"                                      \
           " auth.login(a[1], a[2], $2, $3::pg_catalog.inet)")

const struct route routes[] = {
    {.method = "POST",
     .path = "/auth/register",
     .body = ROUTE_JSON,
     .hashes = true,
     .sql = "SELECT pg_catalog.to_json(r) FROM (SELECT a[1] AS email,"
            " auth.register(a[1], a[2], a[3], a[4]) AS id"
            " FROM auth._arguments($1, 'email!', 'password!', 'first_name', 'last_name') a) r",
     .parameters = {PARAMETER_BODY}},

    {.method = "POST",
     .path = "/auth/login",
     .body = ROUTE_FORM,
     .hashes = true,
     .sql = LOGIN("username"),
     .parameters = {PARAMETER_BODY, PARAMETER_USER_AGENT, PARAMETER_ADDRESS},
     .null = {401, "Invalid credentials", "U401C"}},

    {.method = "POST",
     .path = "/auth/login",
     .body = ROUTE_JSON,
     .hashes = true,
     .sql = LOGIN("email|username"),
     .parameters = {PARAMETER_BODY, PARAMETER_USER_AGENT, PARAMETER_ADDRESS},
     .null = {401, "Invalid credentials", "U401C"}},

    {.method = "POST",
     .path = "/auth/refresh",
     .body = ROUTE_JSON,
     .sql = TOKENS("auth._arguments($1, 'refresh_token!') a, auth.refresh(a[1])"),
     .parameters = {PARAMETER_BODY},
     .null = {401, "Refresh token is invalid or expired", "U401D"}},

    {.method = "POST",
     .path = "/auth/logout",
     .access = ROUTE_BEARER,
     .sql = MESSAGE("Logged out") " FROM auth.logout()"},

    {.method = "POST",
     .path = "/auth/logout-all",
     .access = ROUTE_BEARER,
     .sql = MESSAGE("Logged out") " FROM auth.logout_all()"},

    {.method = "POST",
     .path = "/auth/change-password",
     .body = ROUTE_JSON,
     .hashes = true,
     .sql = MESSAGE("Password updated successfully") " FROM auth._arguments($1, 'email!',"
                                                     " 'old_password!', 'new_password!') a WHERE "
                                                     "auth.change_password(a[1], a[2], a[3])",
     .parameters = {PARAMETER_BODY},
     .null = {401, "Old password is incorrect", "U401E"}},

    {.method = "GET",
     .path = "/auth/me",
     .access = ROUTE_BEARER,
     .sql = "SELECT pg_catalog.to_json(r) FROM (SELECT auth.uid()::pg_catalog.text AS user_id) r"},

    {.method = "GET",
     .path = "/users/me",
     .access = ROUTE_BEARER,
     .sql = "SELECT pg_catalog.to_json(p) FROM auth.me() p"},

    {.method = "GET",
     .path = "/users/profile",
     .access = ROUTE_BEARER,
     .sql = "SELECT pg_catalog.to_json(p) FROM auth.me() p"
            " WHERE p.first_name IS NOT NULL AND p.last_name IS NOT NULL",
     .null = {403, "Profile incomplete", "U403D"}},

    {.method = "PUT",
     .path = "/users/profile",
     .access = ROUTE_BEARER,
     .body = ROUTE_JSON,
     .sql = "SELECT pg_catalog.to_json(p) FROM auth._arguments($1, 'first_name', 'last_name') a,"
            " auth.update_profile(a[1], a[2]) p",
     .parameters = {PARAMETER_BODY}},

    {.method = "GET", .path = "/", .constant = "{\"message\":\"auth_service is running\"}"},

    {.method = "GET", .path = "/health/live", .constant = "{\"status\":\"live\"}"},

    {.method = "GET",
     .path = "/health/ready",
     .is_health = true,
     /* Calls the extension, so that "ready" means that it is there. */
     .sql = "SELECT '{\"status\":\"ready\"}' WHERE auth.uid() IS NULL"},
};

const size_t route_count = sizeof(routes) / sizeof(routes[0]);

_Static_assert(sizeof(routes) / sizeof(routes[0]) < DB_STATEMENTS_MAX, "more routes than ids");

static bool
fits_method(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* Add a method to the list of Allow, once; HEAD comes with GET. */
static void
add_method(char *allow, size_t size, const char *method)
{
    size_t length = strlen(allow);

    if (strstr(allow, method) == NULL)
        snprintf(allow + length, size - length, "%s%s%s", length > 0 ? ", " : "", method,
                 strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

const struct route *
route_find(const char *method, const char *path, char *allow, size_t allow_size)
{
    size_t i;

    allow[0] = '\0';
    for (i = 0; i < route_count; i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        if (fits_method(&routes[i], method))
            return &routes[i];
        add_method(allow, allow_size, routes[i].method);
    }
    return NULL;
}

const struct route *
route_for_body(const struct route *route, enum route_body body)
{
    size_t i;

    for (i = 0; i < route_count; i++)
        if (routes[i].body == body && strcmp(routes[i].path, route->path) == 0 &&
            strcmp(routes[i].method, route->method) == 0)
            return &routes[i];
    return NULL;
}
