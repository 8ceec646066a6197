/* SPDX-License-Identifier: MIT
 *
 * api.c: see api.h.  No rule about users is here: which route, and which parameters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/answer.h"
#include "api/api.h"
#include "api/openapi.h"
#include "api/parameters.h"
#include "api/router.h"
#include "api/routes.h"
#include "api/rpc.h"
#include "base/buffer.h"
#include "config/config.h"
#include "database/database.h"
#include "http/admission.h"
#include "http/cors.h"
#include "http/header.h"
#include "http/http.h"
#include "pages/docs.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

/* Statements' ids: a route's follows from its number. */
#define REFUSED_ID     DB_FIRST_STATEMENT
#define NOTHING_ID     (DB_FIRST_STATEMENT + 1)
#define DESCRIBE_ID    (DB_FIRST_STATEMENT + 2)
#define FIRST_ROUTE_ID (DB_FIRST_STATEMENT + 3)

/* Whoever asks for our health has a deadline of his own, a second at least: in milliseconds. */
#define HEALTH_PATIENCE 700

/* The handler's context. */
struct api {
    const struct config *config;
    struct db_pool *pool;
};

/* The row for the body that was sent; NULL where no row takes it. */
static const struct route *
choose_body(const struct route *route, const struct http_request *request)
{
    const char *encoding = request->content_encoding;

    if (route->body == ROUTE_NO_BODY)
        return route;
    /* A function without arguments is called without a body. */
    if (route->is_rpc && request->body_length == 0)
        return route;
    if (encoding != NULL && strcasecmp(encoding, "identity") != 0)
        return NULL;
    if (header_is_media_type(request->content_type, "application/json"))
        return route_for_body(route, ROUTE_JSON);
    if (header_is_media_type(request->content_type, "application/x-www-form-urlencoded"))
        return route_for_body(route, ROUTE_FORM);
    return NULL;
}

/*
 * Whether a call may leave a row in the audit log, which tells where it came from.  A user's look at
 * what is his own leaves none, and is what clients do most.
 */
static bool
needs_origin(const struct route *route)
{
    return route->access == ROUTE_ADMIN || strcmp(route->method, "GET") != 0;
}

/*
 * Whether a call may wait for a row's lock, as all may that write, or for whatever a function of the
 * application's does.
 */
static bool
may_wait(const struct route *route)
{
    return route->is_rpc || strcmp(route->method, "GET") != 0;
}

static void
log_refusal(const char *request_id, const char *action, const char *sqlstate)
{
    struct log_line line;

    log_begin(&line, LEVEL_ERROR, "a refusal was not recorded");
    log_text(&line, "request_id", request_id);
    log_text(&line, "action", action);
    log_text(&line, "sqlstate", sqlstate);
    log_end(&line);
}

/*
 * Record that somebody who is no admin, or is blocked, called an admin's route.  The refusal was an error,
 * which would have undone its own record: so this is a call of its own, for the token's user, who may be
 * nobody's identity any more by now.
 */
static void
record_refused(const struct api *api, const struct http_request *request, const struct route *route,
               const struct db_caller *caller)
{
    const struct db_statement statement = {REFUSED_ID, "SELECT auth._audit_refused($1, $2)", 2};
    const struct db_caller nobody = {.origin = caller->origin};
    struct db_result result;
    char action[128];
    const char *values[] = {action, caller->token};

    snprintf(action, sizeof(action), "%s %s", route->method, route->path);
    db_call(api->pool, &nobody, &statement, values, &(struct db_limits){.may_wait = true}, &result);
    if (result.outcome != DB_DONE)
        log_refusal(request->id, action, result.outcome == DB_ERROR ? result.sqlstate : NULL);
    db_result_free(&result);
}

/* Call a statement for the route, as the caller that the route asks for. */
static void
call(const struct api *api, const struct http_request *request, const struct route *route,
     const char *token, const struct db_statement *statement, const struct parameters *parameters,
     struct db_result *result)
{
    struct db_caller caller = {.token = token,
                               .is_admin = route->access == ROUTE_ADMIN,
                               .origin = needs_origin(route) ? &parameters->origin : NULL};

    db_call(api->pool, &caller, statement, parameters->values,
            &(struct db_limits){.hashes = route->hashes,
                                .may_wait = may_wait(route),
                                .is_brief = route->is_brief,
                                .patience = route->is_health ? HEALTH_PATIENCE : 0,
                                .client = &request->client},
            result);
    if (caller.is_admin && result->outcome == DB_ERROR &&
        (strcmp(result->sqlstate, "U404A") == 0 || strcmp(result->sqlstate, "U403A") == 0))
        record_refused(api, request, route, &caller);
}

static void
call_route(const struct api *api, const struct http_request *request, const struct route *route,
           const char *token, struct http_response *response, struct answer *answer)
{
    struct parameters parameters = {0};
    struct db_statement statement = {.id = (int)(route - routes) + FIRST_ROUTE_ID,
                                     .sql = route->sql};

    if (route->is_rpc ? rpc_parameters(&parameters, api->config, route, request)
                      : parameters_fill(&parameters, route, request)) {
        statement.parameter_count = parameters.count;
        call(api, request, route, token, &statement, &parameters, &answer->result);
        answer_result(response, answer, request, route);
    } else
        answer_failure(response, answer, request, 503, NULL);
    parameters_free(&parameters);
}

/* Refuse a body of no kind that the route takes, once it is sure that the caller may call it. */
static void
refuse_body(const struct api *api, const struct http_request *request, const struct route *route,
            const char *token, struct http_response *response, struct answer *answer)
{
    static const struct db_statement nothing = {NOTHING_ID, "SELECT ''", 0};
    struct parameters parameters = {0};

    if (token != NULL) {
        parameters_origin(&parameters, request);
        call(api, request, route, token, &nothing, &parameters, &answer->result);
    }
    if (token == NULL || answer->result.outcome == DB_DONE)
        answer_error(
            response, answer, 415,
            route_for_body(route, ROUTE_FORM) == NULL
                ? "Unsupported Media Type: the Content-Type has to be application/json, in UTF-8, "
                  "without Content-Encoding"
                : "Unsupported Media Type: the Content-Type has to be application/json or "
                  "application/x-www-form-urlencoded, in UTF-8, without Content-Encoding",
            NULL);
    else
        answer_result(response, answer, request, route);
}

/* Find the row of a request; NULL, and answered, where there is none. */
static const struct route *
find_route(const struct api *api, const struct http_request *request,
           struct http_response *response, struct answer *answer)
{
    const struct route *route =
        route_find(request->method, request->path, api->config->rpc_schema != NULL, answer->allow,
                   sizeof(answer->allow));

    if (route == NULL && answer->allow[0] == '\0')
        answer_error(response, answer, 404, "Not Found", NULL);
    else if (route == NULL &&
             !cors_respond(config_now()->cors_origins, request, answer->allow, response)) {
        response->allow = answer->allow;
        answer_error(response, answer, 405, "Method Not Allowed", NULL);
    } else if (route != NULL)
        response->log.route = route->path;
    return route;
}

/* The document of the table of routes, with the application's functions in it. */
static void
answer_document(const struct api *api, const struct http_request *request,
                struct http_response *response, struct answer *answer)
{
    const struct db_result *result = rpc_describe(api->pool, api->config, DESCRIBE_ID);

    if (result->outcome == DB_DONE && !result->is_null) {
        openapi_with_paths(&answer->body, result->value, result->length);
        answer_body(response, answer, 200);
    } else {
        response->log.error = "the database could not describe its functions";
        response->log.reason = answer_reason(result->outcome);
        answer_failure(response, answer, request, 503, NULL);
    }
    rpc_described();
}

/* Answer where no database is needed for it; false: it is. */
static bool
answer_constant(const struct api *api, const struct route *route, struct http_response *response,
                struct answer *answer)
{
    if (route->constant != NULL) {
        buffer_text(&answer->body, route->constant);
        answer_body(response, answer, 200);
        return true;
    }
    if (!route->is_document || api->config->rpc_schema != NULL)
        return false;
    response->status = 200;
    response->body = openapi_document()->data;
    response->body_length = openapi_document()->length;
    return true;
}

/* Read the token that the route asks for; false, and answered, where it is not there. */
static bool
read_token(const struct route *route, const struct http_request *request, const char **token,
           struct http_response *response, struct answer *answer)
{
    bool is_bearer = false;

    if (route->access == ROUTE_ANYONE ||
        (route->access == ROUTE_CALLER && request->authorization == NULL))
        return true;
    *token = header_bearer_token(request->authorization, &is_bearer);
    answer->token_sent = *token != NULL;
    if (*token == NULL)
        answer_unauthorized(response, answer, is_bearer);
    return *token != NULL;
}

/* Answer with the database's word, on whatever way to it: what hangs on it is counted here. */
static void
answer_work(const struct api *api, const struct http_request *request, const struct route *route,
            const char *token, struct http_response *response, struct answer *answer)
{
    const struct route *row = choose_body(route, request);

    if (!admission_begin_work(route->hashes)) {
        response->log.reason = REASON_THREADS;
        answer_failure(response, answer, request, 503, NULL);
        return;
    }
    if (route->is_document)
        answer_document(api, request, response, answer);
    else if (row != NULL)
        call_route(api, request, row, token, response, answer);
    else
        refuse_body(api, request, route, token, response, answer);
    admission_end_work(route->hashes);
}

static void
handle(void *context, const struct http_request *request, struct http_response *response)
{
    const struct api *api = context;
    struct answer *answer = calloc(1, sizeof(*answer));
    const struct route *route;
    const char *token = NULL;

    if (answer == NULL) {
        answer_out_of_memory(response);
        return;
    }
    response->owner = answer;
    if (docs_respond(request, response))
        return;
    route = find_route(api, request, response, answer);
    if (route != NULL && !answer_constant(api, route, response, answer) &&
        read_token(route, request, &token, response, answer))
        answer_work(api, request, route, token, response, answer);
}

static void
release(struct http_response *response)
{
    if (response->owner != NULL)
        answer_free(response->owner);
    response->owner = NULL;
}

struct http_handler
api_handler(const struct config *config, struct db_pool *pool)
{
    static struct api api;

    api = (struct api){.config = config, .pool = pool};
    return (struct http_handler){.context = &api, .handle = handle, .release = release};
}
