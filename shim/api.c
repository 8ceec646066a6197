/* SPDX-License-Identifier: MIT
 *
 * api.c: see api.h.  No rule about users is here: which route, which parameters, and what the
 * database's word is in HTTP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api.h"
#include "buffer.h"
#include "docs.h"
#include "header.h"
#include "log.h"
#include "parameters.h"
#include "problem.h"
#include "router.h"
#include "status.h"

#define RETRY_AFTER_SECONDS 1

/* Statements' ids: a route's follows from its number. */
#define REFUSED_ID     DB_FIRST_STATEMENT
#define NOTHING_ID     (DB_FIRST_STATEMENT + 1)
#define FIRST_ROUTE_ID (DB_FIRST_STATEMENT + 2)

/* ---- Answers ---------------------------------------------------------------------------- */

/* What a response's texts live in. */
struct owner {
    struct buffer body;
    struct db_result result;
    char allow[64];
};

static const char out_of_memory[] = "{\"detail\":\"Service Unavailable\"}";

/* Make the buffer the response's body. */
static void
respond(struct http_response *response, int status, struct owner *owner)
{
    response->status = status;
    if (buffer_ok(&owner->body)) {
        response->body = owner->body.data;
        response->body_length = owner->body.length;
    } else {
        response->status = 503;
        response->body = out_of_memory;
        response->body_length = sizeof(out_of_memory) - 1;
    }
    if (response->status == 503)
        response->retry_after = RETRY_AFTER_SECONDS;
}

/* {"detail": ..., "code": ...}; the code may be NULL. */
static void
respond_error(struct http_response *response, struct owner *owner, int status, const char *detail,
              const char *code)
{
    buffer_text(&owner->body, "{\"detail\":");
    buffer_json_string(&owner->body, detail, strlen(detail));
    if (code != NULL)
        buffer_format(&owner->body, ",\"code\":\"%s\"", code);
    buffer_text(&owner->body, "}");
    respond(response, status, owner);
}

/* A failure that is not the client's: a fixed text, and the id under which the log has the rest. */
static void
respond_failure(struct http_response *response, struct owner *owner,
                const struct http_request *request, int status, const char *code)
{
    buffer_format(&owner->body, "{\"detail\":\"%s\",", status_text(status));
    if (code != NULL)
        buffer_format(&owner->body, "\"code\":\"%s\",", code);
    buffer_format(&owner->body, "\"request_id\":\"%s\"}", request->id);
    respond(response, status, owner);
}

static void
respond_unauthorized(struct http_response *response, struct owner *owner, bool token_sent)
{
    /* RFC 6750, 3.1: no error code where no token was sent. */
    response->www_authenticate = token_sent ? "Bearer error=\"invalid_token\"" : "Bearer";
    if (token_sent)
        respond_error(response, owner, 401, status_message("U401B"), "U401B");
    else
        respond_error(response, owner, 401, status_message("U401A"), "U401A");
}

/* An error that the database raised. */
static void
respond_sqlstate(struct http_response *response, struct owner *owner,
                 const struct http_request *request, const struct route *route)
{
    const struct db_result *result = &owner->result;
    bool token_sent = route->access != ROUTE_ANYONE;
    int status = status_of_sqlstate(result->sqlstate);

    if (status >= 500) {
        respond_failure(response, owner, request, status, result->sqlstate);
        return;
    }
    if (status == 422 && result->detail != NULL) {
        problem_list(&owner->body, route, result->detail);
        respond(response, status, owner);
        return;
    }
    if (status == 401)
        response->www_authenticate = token_sent ? "Bearer error=\"invalid_token\"" : "Bearer";
    if (status == 429)
        response->retry_after = result->detail ? atoi(result->detail) : 0;
    respond_error(response, owner, status,
                  status_is_ours(result->sqlstate) && result->message ? result->message
                                                                      : status_text(status),
                  result->sqlstate);
}

/* What the log says of a call; the words of an error that is ours the client has. */
static void
note_for_log(struct http_log *log, const struct db_result *result)
{
    log->user_id = result->user_id;
    switch (result->outcome) {
    case DB_DONE:
        break;
    case DB_ERROR:
        log->sqlstate = result->sqlstate;
        if (!status_is_ours(result->sqlstate))
            log->error = result->message ? result->message : "no message";
        break;
    case DB_BUSY:
        log->error = "no connection, or no place to hash, came free in time";
        break;
    case DB_TIMED_OUT:
        log->error = "the database did not answer in time";
        break;
    case DB_UNAVAILABLE:
        log->error = "no connection to the database, or it was lost";
        break;
    }
}

static void
respond_result(struct http_response *response, struct owner *owner,
               const struct http_request *request, const struct route *route)
{
    const struct db_result *result = &owner->result;

    note_for_log(&response->log, result);
    if (route->is_health && (result->outcome != DB_DONE || result->is_null))
        respond_error(response, owner, 503, "The database cannot answer", NULL);
    else if (result->outcome == DB_ERROR)
        respond_sqlstate(response, owner, request, route);
    else if (result->outcome == DB_BUSY || result->outcome == DB_UNAVAILABLE)
        respond_failure(response, owner, request, 503, NULL);
    else if (result->outcome == DB_TIMED_OUT)
        respond_failure(response, owner, request, 504, NULL);
    else if (!result->is_null) {
        response->status = 200;
        response->headers = route->headers;
        response->body = result->value;
        response->body_length = result->length;
    } else if (route->null == NULL) {
        response->log.error = "the statement answered NULL";
        respond_failure(response, owner, request, 500, NULL);
    } else {
        int status = status_of_sqlstate(route->null);

        if (status == 401)
            response->www_authenticate = "Bearer";
        respond_error(response, owner, status, status_message(route->null), route->null);
    }
}

/* ---- Requests --------------------------------------------------------------------------- */

/* The row for the body that was sent; NULL where no row takes it. */
static const struct route *
choose_body(const struct route *route, const struct http_request *request)
{
    const char *encoding = request->content_encoding;

    if (route->body == ROUTE_NO_BODY)
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
record_refused(struct db_pool *pool, const struct http_request *request, const struct route *route,
               const struct db_caller *caller)
{
    const struct db_statement statement = {REFUSED_ID, "SELECT auth._audit_refused($1, $2)", 2};
    const struct db_caller nobody = {.origin = caller->origin};
    struct db_result result;
    char action[128];
    const char *values[] = {action, caller->token};

    snprintf(action, sizeof(action), "%s %s", route->method, route->path);
    db_call(pool, &nobody, &statement, values, &(struct db_limits){0}, &result);
    if (result.outcome != DB_DONE)
        log_refusal(request->id, action, result.outcome == DB_ERROR ? result.sqlstate : NULL);
    db_result_free(&result);
}

/* Call a statement for the route, as the caller that the route asks for. */
static void
call(struct db_pool *pool, const struct http_request *request, const struct route *route,
     const char *token, const struct db_statement *statement, const struct parameters *parameters,
     struct db_result *result)
{
    struct db_caller caller = {.token = token,
                               .is_admin = route->access == ROUTE_ADMIN,
                               .origin = needs_origin(route) ? &parameters->origin : NULL};

    db_call(pool, &caller, statement, parameters->values,
            &(struct db_limits){.hashes = route->hashes, .is_quick = route->is_health}, result);
    if (caller.is_admin && result->outcome == DB_ERROR &&
        (strcmp(result->sqlstate, "U404A") == 0 || strcmp(result->sqlstate, "U403A") == 0))
        record_refused(pool, request, route, &caller);
}

static void
call_route(struct db_pool *pool, const struct http_request *request, const struct route *route,
           const char *token, struct http_response *response, struct owner *owner)
{
    struct parameters parameters = {0};
    struct db_statement statement = {.id = (int)(route - routes) + FIRST_ROUTE_ID,
                                     .sql = route->sql};

    if (parameters_fill(&parameters, route, request)) {
        statement.parameter_count = parameters.count;
        call(pool, request, route, token, &statement, &parameters, &owner->result);
        respond_result(response, owner, request, route);
    } else
        respond_failure(response, owner, request, 503, NULL);
    parameters_free(&parameters);
}

/* Refuse a body of no kind that the route takes, once it is sure that the caller may call it. */
static void
refuse_body(struct db_pool *pool, const struct http_request *request, const struct route *route,
            const char *token, struct http_response *response, struct owner *owner)
{
    static const struct db_statement nothing = {NOTHING_ID, "SELECT ''", 0};
    struct parameters parameters = {0};

    if (token != NULL) {
        parameters_origin(&parameters, request);
        call(pool, request, route, token, &nothing, &parameters, &owner->result);
    }
    if (token == NULL || owner->result.outcome == DB_DONE)
        respond_error(response, owner, 415, "Unsupported Media Type", NULL);
    else
        respond_result(response, owner, request, route);
}

/* Answer without the database where that is possible; true where it was. */
static bool
respond_early(struct http_response *response, struct owner *owner,
              const struct http_request *request, const struct route **route, const char **token)
{
    bool is_bearer = false;

    if (docs_respond(request, response))
        return true;
    *route = route_find(request->method, request->path, owner->allow, sizeof(owner->allow));
    if (*route == NULL && owner->allow[0] == '\0') {
        respond_error(response, owner, 404, "Not Found", NULL);
        return true;
    }
    if (*route == NULL) {
        response->allow = owner->allow;
        respond_error(response, owner, 405, "Method Not Allowed", NULL);
        return true;
    }
    response->log.route = (*route)->path;
    if ((*route)->constant != NULL) {
        buffer_text(&owner->body, (*route)->constant);
        respond(response, 200, owner);
        return true;
    }
    if ((*route)->document != NULL) {
        response->status = 200;
        response->body = (*route)->document()->data;
        response->body_length = (*route)->document()->length;
        return true;
    }
    if ((*route)->access != ROUTE_ANYONE) {
        *token = header_bearer_token(request->authorization, &is_bearer);
        if (*token == NULL) {
            respond_unauthorized(response, owner, is_bearer);
            return true;
        }
    }
    return false;
}

static void
handle(void *context, const struct http_request *request, struct http_response *response)
{
    struct owner *owner = calloc(1, sizeof(*owner));
    const struct route *route = NULL;
    const struct route *row;
    const char *token = NULL;

    if (owner == NULL) {
        *response = (struct http_response){.status = 503,
                                           .body = out_of_memory,
                                           .body_length = sizeof(out_of_memory) - 1,
                                           .retry_after = RETRY_AFTER_SECONDS};
        return;
    }
    response->owner = owner;
    if (respond_early(response, owner, request, &route, &token))
        return;
    row = choose_body(route, request);
    if (row != NULL)
        call_route(context, request, row, token, response, owner);
    else
        refuse_body(context, request, route, token, response, owner);
}

static void
release(struct http_response *response)
{
    struct owner *owner = response->owner;

    if (owner == NULL)
        return;
    db_result_free(&owner->result);
    buffer_free(&owner->body);
    free(owner);
    response->owner = NULL;
}

struct http_handler
api_handler(struct db_pool *pool)
{
    return (struct http_handler){.context = pool, .handle = handle, .release = release};
}
