/* SPDX-License-Identifier: MIT
 *
 * cors.c: see cors.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/origins.h"
#include "http/cors.h"
#include "http/http.h"

/* What a page may send beside what every page may, what it may read beside that, and how long a browser
 * may remember it (seconds; none remembers it longer). */
#define ALLOWED_HEADERS "Authorization, Content-Type, Idempotency-Key, X-Request-ID"
#define EXPOSED_HEADERS "X-Request-ID, Retry-After, X-Refresh-Token-Reuse, WWW-Authenticate"
#define MAX_AGE         "7200"

/* Whether the origin is in this list, which may be NULL. */
static bool
is_allowed(const char *origins, const char *origin)
{
    const char *allowed;
    size_t length;

    if (origins == NULL || origin == NULL)
        return false;
    while ((allowed = origins_next(&origins, &length)) != NULL)
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
