/* SPDX-License-Identifier: MIT
 *
 * http.c: the server; it, the other http_*.c and framing.c are the only files that know civetweb.
 *
 * Every request ends in begin_request: nothing is ever left to civetweb's own handling of files,
 * CGI, WebSocket or CORS.  A connection is kept only after a request whose framing was proved.
 */
#include <civetweb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"
#include "base/buffer.h"
#include "base/client.h"
#include "base/clock.h"
#include "config/config.h"
#include "http/admission.h"
#include "http/capacity.h"
#include "http/connections.h"
#include "http/framing.h"
#include "http/header.h"
#include "http/http.h"
#include "http/io.h"
#include "http/reason_phrase.h"
#include "http/refuse.h"

struct http_server {
    struct mg_context *civetweb;
    const struct config *config;
    struct http_handler handler;
    atomic_int under_way; /* requests */
    atomic_bool draining;
    atomic_llong last_begun; /* clock_now of a request; only while draining */
};

/* Whether this thread's connection was answered by http_error; it ends then. */
static _Thread_local bool has_refused;

/* ---- A request -------------------------------------------------------------------------- */

/*
 * As civetweb itself decides it, by the first field, since our answer must say the same; and not where any other
 * says "close" (RFC 9112, 9.6).
 */
static bool
client_keeps_alive(const struct mg_connection *connection, const struct mg_request_info *info)
{
    const char *header = mg_get_header(connection, "Connection");
    int i;

    for (i = 0; i < info->num_headers; i++)
        if (strcasecmp(info->http_headers[i].name, "Connection") == 0 &&
            header_has_member(info->http_headers[i].value, "close"))
            return false;
    if (mg_get_header(connection, "Upgrade") != NULL)
        return false;
    if (header != NULL)
        return strcasecmp(header, "keep-alive") == 0;
    return strcmp(info->http_version, "1.1") == 0;
}

/* The client's address: the peer's, or what trusted proxies say, in one header or more (RFC 9110, 5.3). */
static void
find_client(const struct mg_request_info *info, struct http_request *request,
            char address[CLIENT_ADDRESS_SIZE])
{
    const char *proxies = config_now()->trusted_proxies;
    struct buffer forwarded = {0};
    int i;

    request->remote_address = info->remote_addr;
    for (i = 0; proxies != NULL && i < info->num_headers; i++)
        if (strcasecmp(info->http_headers[i].name, "X-Forwarded-For") == 0)
            buffer_format(&forwarded, "%s%s", forwarded.length > 0 ? "," : "",
                          info->http_headers[i].value);
    if (forwarded.length > 0 && buffer_ok(&forwarded)) {
        client_address_find(proxies, info->remote_addr, forwarded.data, address);
        request->remote_address = address;
    }
    buffer_free(&forwarded);
}

static void
handle(struct http_server *server, struct mg_connection *connection,
       const struct mg_request_info *info, struct http_request *request)
{
    struct http_response response = {0};

    request->query = info->query_string;
    request->authorization = mg_get_header(connection, "Authorization");
    request->idempotency_key = mg_get_header(connection, "Idempotency-Key");
    request->content_type = mg_get_header(connection, "Content-Type");
    request->content_encoding = mg_get_header(connection, "Content-Encoding");
    request->user_agent = mg_get_header(connection, "User-Agent");
    request->if_none_match = mg_get_header(connection, "If-None-Match");
    request->requested_method = mg_get_header(connection, "Access-Control-Request-Method");
    request->client = (struct client){
        .address = info->remote_addr, .port = info->remote_port, .origin = request->remote_address};
    server->handler.handle(server->handler.context, request, &response);
    if (!client_keeps_alive(connection, info) || admission_is_nearly_full() ||
        atomic_load(&server->draining))
        response.close = true;
    http_write_response(connection, request, &response);
    server->handler.release(&response);
}

/*
 * Blanks behind a header's value are no part of it (RFC 9110, 5.5); civetweb leaves them there, in memory
 * of its own.  Not before the framing was looked at, which is about what stands behind the last value.
 */
static void
trim_headers(const struct mg_request_info *info)
{
    int i;

    for (i = 0; i < info->num_headers; i++) {
        char *value = (char *)info->http_headers[i].value;
        size_t length = strlen(value);

        while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
            value[--length] = '\0';
    }
}

static void
serve(struct http_server *server, struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    char address[CLIENT_ADDRESS_SIZE];
    int status;
    const char *problem = framing_problem(info, &status);
    struct http_request request = {.began = clock_microseconds(),
                                   .method = info->request_method,
                                   .path = info->local_uri_raw,
                                   .body = ""};
    char *body = NULL;

    if (problem == NULL) {
        trim_headers(info);
        find_client(info, &request, address);
        request.origin = mg_get_header(connection, "Origin");
    }
    http_choose_id(problem == NULL ? mg_get_header(connection, "X-Request-ID") : NULL, request.id);
    if (problem != NULL) {
        http_write_error(connection, &request, status, problem);
        return;
    }
    if (info->content_length > config_now()->max_body) {
        http_write_error(connection, &request, 413, "Request body is too large");
        http_drain_body(connection);
        return;
    }
    if (!http_meet_expectation(connection)) {
        http_write_error(connection, &request, 417, "Expectation Failed");
        return;
    }
    if (info->content_length > 0) {
        request.body_length = (size_t)info->content_length;
        body = http_read_body(connection, request.body_length, &status);
        if (body == NULL) {
            http_write_error(connection, &request, status, reason_phrase(status));
            return;
        }
        request.body = body;
    }
    request.came = clock_microseconds();
    handle(server, connection, info, &request);
    free(body);
}

/* ---- civetweb's callbacks --------------------------------------------------------------- */

static void
introduce(const struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);

    connection_set_peer(info->remote_addr, info->remote_port);
}

/* Whether this thread's request has reached begin_request. */
static _Thread_local bool was_begun;

static int
begin_request(struct mg_connection *connection)
{
    struct http_server *server = mg_get_user_data(mg_get_context(connection));

    introduce(connection);
    connection_work();
    was_begun = true;
    atomic_fetch_add(&server->under_way, 1);
    if (atomic_load(&server->draining)) {
        struct http_request request = {.began = clock_microseconds(),
                                       .method = mg_get_request_info(connection)->request_method};

        atomic_store(&server->last_begun, clock_now());
        http_choose_id(NULL, request.id);
        http_write_error(connection, &request, 503, "Service Unavailable");
    } else
        serve(server, connection);
    atomic_fetch_sub(&server->under_way, 1);
    connection_wait(HTTP_AWAITS_HEAD, 0);
    return 200; /* handled, whatever the status was: civetweb only wants to log it */
}

/*
 * civetweb gives a request up without a word where it has no memory for it, and takes what the client sends next
 * for a new one.
 */
static void
end_request(const struct mg_connection *connection, int status)
{
    (void)status;
    if (!was_begun)
        mg_disable_connection_keep_alive((struct mg_connection *)connection);
    was_begun = false;
}

static int
init_connection(const struct mg_connection *connection, void **data)
{
    (void)connection;
    *data = NULL;
    connection_begin();
    has_refused = false;
    http_note_busy();
    return 0;
}

static void
connection_close(const struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);

    introduce(connection);
    if (info->request_method != NULL && info->local_uri_raw == NULL && !has_refused)
        http_refuse_pathless((struct mg_connection *)connection);
    connection_leave();
}

static void
connection_closed(const struct mg_connection *connection)
{
    (void)connection;
    connection_end();
}

/* The least time in milliseconds after which civetweb gives up waiting for a head: as it was started. */
static long long
shortest_timeout(const struct config *config)
{
    int seconds = config->keep_alive_timeout < config->request_timeout ? config->keep_alive_timeout
                                                                       : config->request_timeout;

    return (long long)seconds * 1000;
}

static int
http_error(struct mg_connection *connection, int status, const char *message)
{
    const struct http_server *server = mg_get_user_data(mg_get_context(connection));

    (void)message;
    introduce(connection);
    has_refused = true;
    http_refuse_early(connection, status, shortest_timeout(server->config));
    return 0;
}

static const struct mg_callbacks callbacks = {.begin_request = begin_request,
                                              .end_request = end_request,
                                              .http_error = http_error,
                                              .log_message = http_log_message,
                                              .init_connection = init_connection,
                                              .connection_close = connection_close,
                                              .connection_closed = connection_closed};

#define NUMBER_SIZE 16

/* A number as civetweb takes it. */
static const char *
number_text(char text[NUMBER_SIZE], int number)
{
    snprintf(text, NUMBER_SIZE, "%d", number);
    return text;
}

struct http_server *
http_start(const struct config *config, const struct capacity *capacity,
           const struct http_handler *handler)
{
    struct http_server *server = calloc(1, sizeof(*server));
    char listen_on[128];
    char threads[NUMBER_SIZE];
    char queue[NUMBER_SIZE];
    char request_timeout[NUMBER_SIZE];
    char keep_alive_timeout[NUMBER_SIZE];
    const char *options[] = {
        "listening_ports",       listen_on,
        "num_threads",           number_text(threads, capacity->threads),
        "request_timeout_ms",    number_text(request_timeout, config->request_timeout * 1000),
        "keep_alive_timeout_ms", number_text(keep_alive_timeout, config->keep_alive_timeout * 1000),
        "enable_keep_alive",     "yes",
        "connection_queue",      number_text(queue, capacity->queue),
        "listen_backlog",        "1024",
        HTTP_STRICT_OPTIONS,     NULL};
    if (server == NULL)
        return NULL;
    server->config = config;
    server->handler = *handler;
    snprintf(listen_on, sizeof(listen_on), "%s:%d", config->host, config->port);
    mg_init_library(MG_FEATURES_DEFAULT);
    server->civetweb = mg_start(&callbacks, server, options);
    if (server->civetweb == NULL) {
        free(server);
        return NULL;
    }
    return server;
}

void
http_drain(struct http_server *server)
{
    atomic_store(&server->last_begun, clock_now());
    atomic_store(&server->draining, true);
}

int
http_under_way(struct http_server *server)
{
    return atomic_load(&server->under_way);
}

bool
http_is_draining(struct http_server *server)
{
    return atomic_load(&server->draining);
}

long long
http_last_begun(struct http_server *server)
{
    return atomic_load(&server->last_begun);
}

void
http_stop(struct http_server *server)
{
    mg_stop(server->civetweb);
    mg_exit_library();
    free(server);
}
