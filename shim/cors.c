/* SPDX-License-Identifier: MIT
 *
 * cors.c: see cors.h.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cors.h"

/* What a page may send beside what every page may, what it may read beside that, and how long a browser
 * may remember it (seconds; none remembers it longer). */
#define ALLOWED_HEADERS "Authorization, Content-Type, Idempotency-Key, X-Request-ID"
#define EXPOSED_HEADERS "X-Request-ID, Retry-After, X-Refresh-Token-Reuse, WWW-Authenticate"
#define MAX_AGE         "7200"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* ---- The list --------------------------------------------------------------------------- */

/* The next origin of a comma-separated list, and its length; NULL: there is none. */
static const char *
next_origin(const char **list, size_t *length)
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
cors_problem(const char *origins, char *which, size_t size)
{
    const char *origin;
    const char *problem;
    size_t length;

    while ((origin = next_origin(&origins, &length)) != NULL) {
        snprintf(which, size, "%.*s", (int)length, origin);
        problem = length < size ? origin_problem(which) : "is too long";
        if (problem != NULL)
            return problem;
    }
    return NULL;
}

/* Whether the origin is in this list, which may be NULL. */
static bool
is_allowed(const char *origins, const char *origin)
{
    const char *allowed;
    size_t length;

    if (origins == NULL || origin == NULL)
        return false;
    while ((allowed = next_origin(&origins, &length)) != NULL)
        if (strlen(origin) == length && memcmp(origin, allowed, length) == 0)
            return true;
    return false;
}

/* ---- Answers ---------------------------------------------------------------------------- */

void
cors_add_headers(struct buffer *head, const char *origins, const char *origin)
{
    if (origins == NULL)
        return;
    /* Also for others: a cache must not give the one's answer to the other. */
    buffer_text(head, "Vary: Origin\r\n");
    if (is_allowed(origins, origin))
        buffer_format(head,
                      "Access-Control-Allow-Origin: %s\r\n"
                      "Access-Control-Expose-Headers: " EXPOSED_HEADERS "\r\n",
                      origin);
}

bool
cors_respond(const char *origins, const struct http_request *request, const char *allow,
             struct http_response *response)
{
    if (strcmp(request->method, "OPTIONS") != 0 || request->requested_method == NULL ||
        !is_allowed(origins, request->origin))
        return false;
    response->status = 204;
    response->headers = "Cache-Control: no-store\r\n"
                        "Access-Control-Allow-Headers: " ALLOWED_HEADERS "\r\n"
                        "Access-Control-Max-Age: " MAX_AGE "\r\n";
    response->allowed_methods = allow;
    return true;
}
