/* SPDX-License-Identifier: MIT
 *
 * router.c: see router.h.  Every request scans the table: nothing is allocated or hashed.
 */
#include <stdio.h>
#include <string.h>

#include "api/router.h"
#include "api/routes.h"

/* Whether a path is one of the pattern's; a place in it takes one segment that is not empty. */
static bool
fits_path(const char *pattern, const char *path)
{
    while (*pattern != '\0') {
        if (*pattern == '{') {
            size_t length = strcspn(path, "/");

            if (length == 0)
                return false;
            path += length;
            pattern += strcspn(pattern, "}") + 1;
        } else if (*pattern++ != *path++)
            return false;
    }
    return *path == '\0';
}

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
route_find(const char *method, const char *path, bool with_rpc, char *allow, size_t allow_size)
{
    size_t i;

    allow[0] = '\0';
    for (i = 0; i < route_count; i++) {
        if (!fits_path(routes[i].path, path) || (routes[i].is_rpc && !with_rpc))
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

const char *
route_path_value(const struct route *route, const char *path, const char *name, size_t *length)
{
    const char *pattern = route->path;

    while (*pattern != '\0' && *path != '\0') {
        if (*pattern != '{') {
            pattern++;
            path++;
            continue;
        }
        *length = strcspn(path, "/");
        if (strncmp(pattern + 1, name, strlen(name)) == 0 && pattern[1 + strlen(name)] == '}')
            return path;
        path += *length;
        pattern += strcspn(pattern, "}") + 1;
    }
    return NULL;
}

bool
field_is_named(const struct field *field, const char *name, size_t length)
{
    const char *own = field->specification;

    for (;;) {
        size_t own_length = strcspn(own, "|:(!");

        if (own_length == length && strncmp(own, name, length) == 0)
            return true;
        if (own[own_length] != '|')
            return false;
        own += own_length + 1;
    }
}
