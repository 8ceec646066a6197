/* SPDX-License-Identifier: MIT
 *
 * answer.c: see answer.h.  The one place where an SQLSTATE becomes an answer.
 */
#include <stdlib.h>
#include <string.h>

#include "api/answer.h"
#include "api/problem.h"
#include "api/routes.h"
#include "api/status.h"
#include "base/buffer.h"
#include "database/database.h"
#include "http/http.h"
#include "http/reason_phrase.h"
#include "telemetry/metrics.h"

#define RETRY_AFTER_SECONDS 1
#define RETRY_AFTER_DIGITS  6

/* RFC 6750, 3: with one parameter at least. */
#define CHALLENGE           "Bearer realm=\"auth_service\""
#define CHALLENGE_BAD_TOKEN CHALLENGE ", error=\"invalid_token\""

/* So much of an application's message, detail or hint reaches the client. */
#define WORDS_BYTES_MAX 16384

static const char out_of_memory[] = "{\"detail\":\"Service Unavailable\"}";

void
answer_body(struct http_response *response, struct answer *answer, int status)
{
    response->status = status;
    if (buffer_ok(&answer->body)) {
        response->body = answer->body.data;
        response->body_length = answer->body.length;
    } else {
        response->status = 503;
        response->body = out_of_memory;
        response->body_length = sizeof(out_of_memory) - 1;
    }
    if (response->status == 503)
        response->retry_after = RETRY_AFTER_SECONDS;
}

void
answer_out_of_memory(struct http_response *response)
{
    *response = (struct http_response){.status = 503,
                                       .body = out_of_memory,
                                       .body_length = sizeof(out_of_memory) - 1,
                                       .retry_after = RETRY_AFTER_SECONDS};
}

void
answer_error(struct http_response *response, struct answer *answer, int status, const char *detail,
             const char *code)
{
    buffer_text(&answer->body, "{\"detail\":");
    buffer_json_string(&answer->body, detail, strlen(detail));
    if (code != NULL)
        buffer_format(&answer->body, ",\"code\":\"%s\"", code);
    buffer_text(&answer->body, "}");
    answer_body(response, answer, status);
}

void
answer_failure(struct http_response *response, struct answer *answer,
               const struct http_request *request, int status, const char *code)
{
    buffer_format(&answer->body, "{\"detail\":\"%s\",", reason_phrase(status));
    if (code != NULL)
        buffer_format(&answer->body, "\"code\":\"%s\",", code);
    buffer_format(&answer->body, "\"request_id\":\"%s\"}", request->id);
    answer_body(response, answer, status);
}

void
answer_unauthorized(struct http_response *response, struct answer *answer, bool token_sent)
{
    /* RFC 6750, 3.1: no error code where no token was sent. */
    response->www_authenticate = token_sent ? CHALLENGE_BAD_TOKEN : CHALLENGE;
    if (token_sent)
        answer_error(response, answer, 401, status_message("U401B"), "U401B");
    else
        answer_error(response, answer, 401, status_message("U401A"), "U401A");
}

/* ---- Errors that the database raised ---------------------------------------------------- */

/* Add a member with an application's words, cut at a whole character; nothing where there are none. */
static void
add_words(struct buffer *json, const char *member, const char *words)
{
    size_t length = words ? strlen(words) : 0;

    if (words == NULL)
        return;
    if (length > WORDS_BYTES_MAX) {
        length = WORDS_BYTES_MAX;
        while (length > 0 && ((unsigned char)words[length] & 0xC0) == 0x80)
            length--;
    }
    buffer_format(json, "%s\"%s\":", json->length == 0 ? "{" : ",", member);
    buffer_json_string(json, words, length);
}

/* The application's own words. */
static void
answer_words(struct http_response *response, struct answer *answer, int status)
{
    const struct db_result *result = &answer->result;

    add_words(&answer->body, "detail", result->message ? result->message : reason_phrase(status));
    add_words(&answer->body, "code", result->sqlstate);
    add_words(&answer->body, "details", result->detail);
    add_words(&answer->body, "hint", result->hint);
    buffer_text(&answer->body, "}");
    answer_body(response, answer, status);
}

/* The seconds that a DETAIL consists of; 0: it is something else. */
static int
read_seconds(const char *detail)
{
    size_t length = detail ? strspn(detail, "0123456789") : 0;

    return length > 0 && length <= RETRY_AFTER_DIGITS && detail[length] == '\0' ? atoi(detail) : 0;
}

static void
set_headers(struct http_response *response, const struct answer *answer, int status,
            enum error_origin voice)
{
    bool is_bad_token = answer->token_sent && voice == ORIGIN_EXTENSION;

    if (status == 401)
        response->www_authenticate = is_bad_token ? CHALLENGE_BAD_TOKEN : CHALLENGE;
    if (status == 405)
        response->allow = voice == ORIGIN_EXTENSION ? "POST" : "";
    if (status == 429)
        response->retry_after = read_seconds(answer->result.detail);
}

/*
 * Whether the words of an error are for the client.  With a status from 500 on only those that the
 * application has given that very status to: others may say more than its author thought of.
 */
static bool
is_for_client(const char *sqlstate, enum error_origin voice, int status)
{
    if (voice == ORIGIN_SERVER)
        return false;
    return status < 500 || sqlstate[0] == 'U' || strncmp(sqlstate, "PT", 2) == 0;
}

static void
answer_sqlstate(struct http_response *response, struct answer *answer,
                const struct http_request *request, const struct route *route)
{
    const struct db_result *result = &answer->result;
    enum error_origin voice = error_origin(result->sqlstate, result->source);
    int status = status_of_error(result->sqlstate, voice);
    bool for_client = is_for_client(result->sqlstate, voice, status);

    response->log.sqlstate = result->sqlstate;
    if (!for_client || status >= 500)
        response->log.error = result->message ? result->message : "no message";
    set_headers(response, answer, status, voice);
    if (for_client && voice == ORIGIN_APPLICATION)
        answer_words(response, answer, status);
    else if (status >= 500)
        answer_failure(response, answer, request, status, result->sqlstate);
    else if (for_client && status == 422 && result->detail != NULL) {
        problem_list(&answer->body, route, result->detail);
        answer_body(response, answer, status);
    } else
        answer_error(response, answer, status,
                     for_client && result->message ? result->message : reason_phrase(status),
                     result->sqlstate);
}

/* ---- Whatever it came to ---------------------------------------------------------------- */

/* What the log says of a call that the database did not answer. */
static const char *
failure_words(enum db_outcome outcome)
{
    switch (outcome) {
    case DB_BUSY:
        return "no connection came free in time";
    case DB_CROWDED:
        return "no place to hash came free in time";
    case DB_TIMED_OUT:
        return "the database did not answer in time";
    case DB_UNAVAILABLE:
        return "no connection to the database, or it was lost";
    default:
        return NULL;
    }
}

enum unavailable_reason
answer_reason(enum db_outcome outcome)
{
    switch (outcome) {
    case DB_BUSY:
        return REASON_POOL;
    case DB_CROWDED:
        return REASON_HASHING;
    case DB_TIMED_OUT:
        return REASON_TIMEOUT;
    case DB_UNAVAILABLE:
        return REASON_CONNECTION;
    default:
        return REASON_DATABASE;
    }
}

/* The statement's value, or what NULL means. */
static void
answer_value(struct http_response *response, struct answer *answer,
             const struct http_request *request, const struct route *route)
{
    int status;

    if (!answer->result.is_null && route->has_no_body)
        response->status = 204;
    else if (!answer->result.is_null) {
        response->status = 200;
        response->headers = route->headers;
        response->reuse = answer->result.note;
        response->body = answer->result.value;
        response->body_length = answer->result.length;
    } else if (route->is_rpc)
        response->status = 204;
    else if (route->null == NULL) {
        response->log.error = "the statement answered NULL";
        answer_failure(response, answer, request, 500, NULL);
    } else {
        status = status_of_sqlstate(route->null);
        if (status == 401)
            response->www_authenticate = CHALLENGE;
        answer_error(response, answer, status, status_message(route->null), route->null);
    }
}

void
answer_result(struct http_response *response, struct answer *answer,
              const struct http_request *request, const struct route *route)
{
    const struct db_result *result = &answer->result;

    response->log.user_id = result->user_id;
    response->log.error = failure_words(result->outcome);
    response->log.reason = answer_reason(result->outcome);
    if (route->is_health && (result->outcome != DB_DONE || result->is_null)) {
        if (result->outcome == DB_ERROR) {
            response->log.sqlstate = result->sqlstate;
            response->log.error = result->message ? result->message : "no message";
        }
        answer_error(response, answer, 503, "The database cannot answer", NULL);
    } else if (result->outcome == DB_ERROR)
        answer_sqlstate(response, answer, request, route);
    else if (result->outcome == DB_DONE)
        answer_value(response, answer, request, route);
    else
        answer_failure(response, answer, request, 503, NULL);
    if (response->status == 503 && result->retry_after > 0)
        response->retry_after = result->retry_after;
}

void
answer_free(struct answer *answer)
{
    db_result_free(&answer->result);
    buffer_free(&answer->body);
    free(answer);
}
