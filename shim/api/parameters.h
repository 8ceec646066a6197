/* SPDX-License-Identifier: MIT
 *
 * parameters.h: from a request to the parameters of its route's statement.
 */
#ifndef SHIM_API_PARAMETERS_H
#define SHIM_API_PARAMETERS_H

#include "api/routes.h"
#include "base/buffer.h"
#include "database/database.h"
#include "http/http.h"

#define USER_AGENT_MAX 512

/* Begins with all 0. */
struct parameters {
    const char *values[DB_PARAMETERS_MAX];
    int count;
    struct db_origin origin;
    char user_agent[USER_AGENT_MAX + 1];
    struct buffer texts[4]; /* what the values live in */
};

/* Fill in the origin alone: no values, and nothing to free. */
void parameters_origin(struct parameters *parameters, const struct http_request *request);

/* Fill it; false out of memory.  Free it with parameters_free in either case. */
bool parameters_fill(struct parameters *parameters, const struct route *route,
                     const struct http_request *request);
void parameters_free(struct parameters *parameters);

/*
 * Add bytes as they were sent, decoded, as a text that the database can hold: a NUL becomes the character
 * that stands for what is none.
 */
void parameters_decode(struct buffer *text, const char *value, size_t length, bool plus_is_blank);

/* A body of JSON; one with a NUL, behind which PostgreSQL would not look, becomes one that is none. */
const char *parameters_json_body(const struct http_request *request);

/* A header's name for the field of this name: "idempotency_key" is "Idempotency-Key". */
void header_name(struct buffer *text, const char *field, size_t length);

#endif
