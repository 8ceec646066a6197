/* SPDX-License-Identifier: MIT
 *
 * cors.h: pages of which other origins may read our answers (https://fetch.spec.whatwg.org/, CORS).
 *
 * Off until origins are configured.  Credentials in the sense of CORS (cookies) are never allowed: who asks
 * is said by the header Authorization, which a page has to set itself.
 */
#ifndef SHIM_HTTP_CORS_H
#define SHIM_HTTP_CORS_H

#include "base/buffer.h"
#include "http/http.h"

/* The lines of an answer's head for a client of this origin, which may be NULL. */
void cors_add_headers(struct buffer *head, const char *origins, const char *origin);

/*
 * Whether a request asks what requests to its path are allowed.  Then it is answered, where the path has
 * these methods.
 */
bool cors_respond(const char *origins, const struct http_request *request, const char *allow,
                  struct http_response *response);

#endif
