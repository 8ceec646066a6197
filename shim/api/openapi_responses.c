/* SPDX-License-Identifier: MIT
 *
 * openapi_responses.c: what operations answer.  Which errors an operation can answer with follows
 * from what kind of route it is, and from the codes in its row; the examples of an error are all the
 * bodies with a code of ours that it can have.
 */
#include <string.h>

#include "api/openapi_parts.h"
#include "api/routes.h"
#include "api/status.h"
#include "base/buffer.h"
#include "http/reason_phrase.h"

#define CODES_MAX (ROUTE_ERRORS_MAX + 3)

/* The errors; codes are those that every route of the kind answers with. */
static const struct {
    int status;
    const char *description;
    const char *codes[2];
} errors[] = {
    {400, "The request is malformed, or has a value that the database cannot hold", {NULL}},
    {401, "The access token is missing, invalid or expired", {"U401A", "U401B"}},
    {403, "The account is blocked", {"U403A"}},
    {404, "The user is no admin", {"U404A"}},
    {408, "The request did not come in time", {NULL}},
    {409, "Something else was changed at the same time", {NULL}},
    {413, "The body is too large", {NULL}},
    {414, "The request's target is too long", {NULL}},
    {415, "The body is of a media type that is not taken here", {NULL}},
    {417, "The request expects what is not offered", {NULL}},
    {422, "A value is missing or wrong", {NULL}},
    {429, "It was tried too often", {NULL}},
    {431, "The request's head is too large", {NULL}},
    {500, "The service failed; its log tells more under the request id", {NULL}},
    {503,
     "The service is overloaded or stopping, or the database does not answer: try again; whether "
     "the request "
     "was carried out is unknown where the database fell silent in the middle of it",
     {NULL}},
    {504,
     "The database ended the request, which took too long or was cancelled: nothing was done",
     {NULL}},
};

#define ERROR_COUNT (sizeof(errors) / sizeof(errors[0]))

/* Whether routes of this kind answer with the status. */
static bool
is_of_kind(const struct route *route, int status)
{
    switch (status) {
    case 401:
    case 403:
        return route->access != ROUTE_ANYONE;
    case 404:
        return route->access == ROUTE_ADMIN;
    case 409:
    case 429:
        return false;
    case 415:
        return route->body != ROUTE_NO_BODY;
    case 422:
        return route->fields[0].specification != NULL;
    case 500:
    case 504:
        return route->sql != NULL && !route->is_health;
    default:
        return true; /* of the server itself, so of every request */
    }
}

/* Collect the codes of ours that the route answers this error with; how many of them its row names. */
static int
collect_codes(const struct route *route, size_t error, const char **codes)
{
    const char *const *kind = errors[error].codes;
    int count = 0;
    int from_row = 0;
    int i;

    if (is_of_kind(route, errors[error].status))
        for (i = 0; i < 2 && kind[i] != NULL; i++)
            codes[count++] = kind[i];
    for (i = -1; i < ROUTE_ERRORS_MAX; i++) {
        const char *code = i < 0 ? route->null : route->errors[i];

        if (code != NULL && status_of_sqlstate(code) == errors[error].status) {
            codes[count++] = code;
            from_row++;
        }
    }
    codes[count] = NULL;
    return from_row;
}

/* Add a component's name: the status's text without blanks. */
static void
add_name(struct buffer *json, int status)
{
    const char *c;

    for (c = reason_phrase(status); *c != '\0'; c++)
        if (*c != ' ')
            buffer_add(json, c, 1);
}

static void
add_headers(struct buffer *json, int status)
{
    buffer_text(json,
                ",\"headers\":{\"X-Request-ID\":{\"$ref\":\"#/components/headers/RequestId\"}");
    if (status == 401)
        buffer_text(json, ",\"WWW-Authenticate\":{\"$ref\":\"#/components/headers/Authenticate\"}");
    if (status == 429 || status == 503)
        buffer_text(json, ",\"Retry-After\":{\"$ref\":\"#/components/headers/RetryAfter\"}");
    buffer_text(json, "}");
}

static void
add_examples(struct buffer *json, const char *const *codes)
{
    const char *separator = ",\"examples\":{";

    if (*codes == NULL)
        return;
    for (; *codes != NULL; codes++) {
        buffer_format(json, "%s\"%s\":{\"value\":{\"detail\":", separator, *codes);
        openapi_add_string(json, status_message(*codes));
        buffer_format(json, ",\"code\":\"%s\"}}", *codes);
        separator = ",";
    }
    buffer_text(json, "}");
}

/* Add an error's response; own: its description is that of its codes, not that of the kind. */
static void
add_error(struct buffer *json, size_t error, const char *const *codes, bool own)
{
    int status = errors[error].status;
    struct buffer description = {0};
    int i;

    for (i = 0; own && codes[i] != NULL; i++)
        buffer_format(&description, "%s%s", i > 0 ? " / " : "", status_message(codes[i]));
    buffer_text(json, "{\"description\":");
    openapi_add_string(json,
                       buffer_ok(&description) ? description.data : errors[error].description);
    add_headers(json, status);
    buffer_format(json,
                  ",\"content\":{\"application/json\":{\"schema\":{\"$ref\":"
                  "\"#/components/schemas/%s\"}",
                  status == 422 ? "HTTPValidationError" : "Error");
    add_examples(json, codes);
    buffer_text(json, "}}}");
    json->failed |= description.failed;
    buffer_free(&description);
}

static void
add_success(struct buffer *json, const struct route *route)
{
    int status = route->has_no_body ? 204 : 200;

    buffer_format(json, ",\"responses\":{\"%d\":{\"description\":", status);
    openapi_add_string(json, reason_phrase(status));
    add_headers(json, status);
    if (!route->has_no_body) {
        buffer_text(json, ",\"content\":{\"application/json\":{\"schema\":");
        openapi_add_type(json, route->answer, strlen(route->answer));
        buffer_text(json, "}}");
    }
    buffer_text(json, "}");
}

void
openapi_add_responses(struct buffer *json, const struct route *route)
{
    size_t i;

    add_success(json, route);
    for (i = 0; i < ERROR_COUNT; i++) {
        const char *codes[CODES_MAX + 1];
        int from_row = collect_codes(route, i, codes);

        if (from_row == 0 && !is_of_kind(route, errors[i].status))
            continue;
        buffer_format(json, ",\"%d\":", errors[i].status);
        if (from_row > 0)
            add_error(json, i, codes, true);
        else {
            buffer_text(json, "{\"$ref\":\"#/components/responses/");
            add_name(json, errors[i].status);
            buffer_text(json, "\"}");
        }
    }
    buffer_text(json, "}");
}

void
openapi_add_response_components(struct buffer *json)
{
    size_t i;

    buffer_text(json,
                "\"headers\":{\"RequestId\":{\"description\":\"The request's own X-Request-ID "
                "where that is a harmless one, else a new one\",\"required\":true,\"schema\":"
                "{\"type\":\"string\"}},\"Authenticate\":{\"description\":\"Bearer with a realm; "
                "and error=\\\"invalid_token\\\" where a token was sent\",\"required\":true,"
                "\"schema\":{\"type\":\"string\"}},\"RetryAfter\":{\"description\":\"Seconds\","
                "\"required\":true,\"schema\":{\"type\":\"integer\"}}},\"responses\":{");
    for (i = 0; i < ERROR_COUNT; i++) {
        const char *codes[3] = {errors[i].codes[0], errors[i].codes[1], NULL};

        if (errors[i].status == 409 || errors[i].status == 429)
            continue; /* only rows know these */
        buffer_text(json, i > 0 ? ",\"" : "\"");
        add_name(json, errors[i].status);
        buffer_text(json, "\":");
        add_error(json, i, codes, false);
    }
    buffer_text(json, "}");
}

void
openapi_add_rpc_errors(struct buffer *json)
{
    static const char *const not_found[] = {"U404C", NULL};
    size_t i;

    for (i = 0; i < ERROR_COUNT; i++) {
        int status = errors[i].status;

        if (status == 404 || status == 409 || status == 422 || status == 429)
            continue;
        buffer_format(json, "\"%d\":{\"$ref\":\"#/components/responses/", status);
        add_name(json, status);
        buffer_text(json, "\"},");
    }
    buffer_text(json, "\"404\":");
    for (i = 0; errors[i].status != 404; i++)
        continue;
    add_error(json, i, not_found, true);
    buffer_text(json,
                ",\"422\":{\"description\":\"The body is no JSON object, a name is there twice, "
                "or the function refuses\"");
    add_headers(json, 422);
    buffer_text(json, ",\"content\":{\"application/json\":{\"schema\":{\"anyOf\":["
                      "{\"$ref\":\"#/components/schemas/HTTPValidationError\"},"
                      "{\"$ref\":\"#/components/schemas/Error\"}]}}}},"
                      "\"default\":{\"description\":\"What the function refuses\"");
    add_headers(json, 400);
    buffer_text(json, ",\"content\":{\"application/json\":{\"schema\":"
                      "{\"$ref\":\"#/components/schemas/Error\"}}}}");
}
