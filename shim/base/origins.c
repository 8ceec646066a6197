/* SPDX-License-Identifier: MIT
 *
 * origins.c: see origins.h.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/origins.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

const char *
origins_next(const char **list, size_t *length)
{
    const char *origin;

    *list += strspn(*list, ", \t");
    origin = *list;
    *length = strcspn(origin, ", \t");
    *list += *length;
    return *length > 0 ? origin : NULL;
}

/* ":port", which is no scheme's own: browsers leave that out. */
static const char *
port_problem(const char *port, bool is_http, bool is_https)
{
    long number = strtol(port + 1, NULL, 10);

    if (strlen(port) > 6 || port[1] < '1' || port[1] > '9' ||
        port[1 + strspn(port + 1, DIGITS)] != '\0' || number > 65535)
        return "has no good port";
    if ((is_http && number == 80) || (is_https && number == 443))
        return "has its scheme's own port, which browsers leave out";
    return NULL;
}

/* One origin. */
static const char *
origin_problem(const char *origin)
{
    size_t scheme = strspn(origin, LOWER DIGITS "+-.");
    const char *host = origin + scheme + 3;
    const char *end;

    if (strcmp(origin, "*") == 0)
        return "is not allowed: name the origins";
    if (scheme == 0 || !islower((unsigned char)origin[0]) ||
        strncmp(origin + scheme, "://", 3) != 0)
        return "is not scheme://host or scheme://host:port, in lower case";
    if (host[0] == '[') {
        end = host + 1 + strspn(host + 1, "abcdef:." DIGITS);
        end = *end == ']' && end > host + 1 ? end + 1 : host;
    } else
        end = host + strspn(host, LOWER DIGITS "-._");
    if (end == host || (*end != '\0' && *end != ':'))
        return "has more than scheme, host and port, or is not in lower case";
    return *end == ':' ? port_problem(end, scheme == 4 && strncmp(origin, "http", 4) == 0,
                                      scheme == 5 && strncmp(origin, "https", 5) == 0)
                       : NULL;
}

const char *
origins_problem(const char *origins, char *which, size_t size)
{
    const char *origin;
    const char *problem;
    size_t length;

    while ((origin = origins_next(&origins, &length)) != NULL) {
        snprintf(which, size, "%.*s", (int)length, origin);
        problem = length < size ? origin_problem(which) : "is too long";
        if (problem != NULL)
            return problem;
    }
    return NULL;
}
