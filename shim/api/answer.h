/* SPDX-License-Identifier: MIT
 *
 * answer.h: what the database's word is in HTTP.
 */
#ifndef SHIM_API_ANSWER_H
#define SHIM_API_ANSWER_H

#include "api/routes.h"
#include "base/buffer.h"
#include "database/database.h"
#include "http/http.h"
#include "telemetry/metrics.h"

/* What a response's texts live in; begins with all 0. */
struct answer {
    struct buffer body;
    struct db_result result; /* of the call, for answer_result */
    char allow[64];
    bool token_sent; /* as whom the caller is: what a 401 tells hangs on it */
};

/* Answer with the text in body. */
void answer_body(struct http_response *response, struct answer *answer, int status);

/* Answer {"detail": ..., "code": ...}; the code may be NULL. */
void answer_error(struct http_response *response, struct answer *answer, int status,
                  const char *detail, const char *code);

/* A failure that is not the client's: a fixed text, and the id under which the log has the rest. */
void answer_failure(struct http_response *response, struct answer *answer,
                    const struct http_request *request, int status, const char *code);

/* 401 without the database: no token, or one that cannot be one. */
void answer_unauthorized(struct http_response *response, struct answer *answer, bool token_sent);

/* 503, where there is no memory for an answer. */
void answer_out_of_memory(struct http_response *response);

/* What the route's statement came to, which is in result. */
void answer_result(struct http_response *response, struct answer *answer,
                   const struct http_request *request, const struct route *route);

/* Why a call that came to this is answered with 503, where it is. */
enum unavailable_reason answer_reason(enum db_outcome outcome);

/* Free what the texts live in. */
void answer_free(struct answer *answer);

#endif
