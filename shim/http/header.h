/* SPDX-License-Identifier: MIT
 *
 * header.h: what the values of a request's headers say.
 */
#ifndef SHIM_HTTP_HEADER_H
#define SHIM_HTTP_HEADER_H

#include <stdbool.h>

/*
 * The token of "Bearer token" (RFC 6750, 2.1), the scheme in any case.  *is_bearer tells whether
 * it is that scheme at all; NULL where the token is none.
 */
const char *header_bearer_token(const char *authorization, bool *is_bearer);

/* Whether a value is a list that has this member. */
bool header_has_member(const char *value, const char *member);

/* Whether a Content-Type names this media type, in UTF-8; what its other parameters say is not asked. */
bool header_is_media_type(const char *content_type, const char *media_type);

/* Whether a client's X-Request-ID is one that can be answered and logged as it is. */
bool header_is_request_id(const char *given);

#endif
