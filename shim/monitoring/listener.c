/* SPDX-License-Identifier: MIT
 *
 * listener.c: see listener.h.
 *
 * A civetweb of its own, with two threads, so that it answers however many clients the other has.  A connection is for
 * one request, and not known to http/connections.c and http/slow_clients.c, which see to the other's.  Nor need it be: a thread watches here
 * that none gets older than a request may, since civetweb would wait for each byte anew; and while both threads have
 * one, those that have sent no head within a second give way.
 *
 * civetweb does not show its sockets, but each is among our descriptors, and is known by the port that it came to.  A
 * descriptor stays that connection's while it is looked at because both that and closing it are done under one mutex.
 */
#include <civetweb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/client.h"
#include "base/clock.h"
#include "config/config.h"
#include "http/capacity.h"
#include "http/framing.h"
#include "http/http.h"
#include "http/io.h"
#include "http/reason_phrase.h"
#include "http/refuse.h"
#include "monitoring/listener.h"
#include "monitoring/prometheus.h"
#include "telemetry/metrics.h"

#define THREADS      2
#define THREADS_TEXT "2"

/* Connections that wait for a thread; CAPACITY_LISTENER_DESCRIPTORS has room for them. */
#define QUEUE_TEXT "8"

/* How often connections are looked at while there are some, and how long others' wait for a head, in milliseconds. */
#define INTERVAL 100
#define PATIENCE 300

/* What is known of a descriptor: since when this connection is there. */
struct tracked_socket {
    int port; /* the peer's; 0: it is no connection of the listener's */
    long long since;
};

static struct mg_context *civetweb;
static struct http_handler handler;
static struct http_server *others; /* the server of everybody's requests */
static int listening_port;
static pthread_t watcher;
static pthread_mutex_t mutex =
    PTHREAD_MUTEX_INITIALIZER; /* for what follows, and for closing sockets */
static pthread_cond_t woken;
static bool stopping;
static int connections; /* that have a thread */
static int descriptor_count;
static struct tracked_socket *sockets;

/* Whether this thread's connection was answered by http_error. */
static _Thread_local bool has_refused;

/* ---- Connections that take too long ----------------------------------------------------- */

/* The port of a connection's peer; 0 where the descriptor is none of the listener's. */
static int
peer_port(int descriptor)
{
    struct sockaddr_in own = {0};
    socklen_t length = sizeof(own);
    char address[INET6_ADDRSTRLEN];

    if (getsockname(descriptor, (struct sockaddr *)&own, &length) != 0 ||
        own.sin_family != AF_INET || ntohs(own.sin_port) != listening_port)
        return 0;
    return client_peer(descriptor, address);
}

/* Look at all descriptors.  What has been sent is read, and answered, also where its end was shut down. */
static void
look_around(void)
{
    long long now = clock_now();
    long long limit = stopping ? 0 : (long long)config_now()->request_timeout * 1000;
    int fd;

    for (fd = 0; fd < descriptor_count; fd++) {
        int port = peer_port(fd);

        if (port != sockets[fd].port)
            sockets[fd] = (struct tracked_socket){.port = port, .since = now};
        if (port != 0 && now - sockets[fd].since >= limit)
            shutdown(fd, SHUT_RDWR);
        else if (port != 0 && connections >= THREADS && now - sockets[fd].since >= PATIENCE)
            shutdown(fd, SHUT_RD);
    }
}

static void *
watch(void *nothing)
{
    (void)nothing;
    pthread_mutex_lock(&mutex);
    while (!stopping) {
        struct timespec next = clock_timespec(clock_now() + INTERVAL);

        if (connections == 0)
            pthread_cond_wait(&woken, &mutex);
        else if (pthread_cond_timedwait(&woken, &mutex, &next) != 0)
            look_around();
    }
    look_around();
    pthread_mutex_unlock(&mutex);
    return NULL;
}

/* ---- A request -------------------------------------------------------------------------- */

static bool
is_read(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void
answer_metrics(struct mg_connection *connection, const struct http_request *request)
{
    static const char wrong_method[] = "{\"detail\":\"Method Not Allowed\"}";
    struct buffer text = {0};
    struct http_response response = {.status = 200,
                                     .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                     .close = true,
                                     .log = {.route = "/metrics"}};

    if (is_read(request->method)) {
        prometheus_write(&text);
        response.body = text.data;
        response.body_length = text.length;
    } else {
        response = (struct http_response){.status = 405,
                                          .allow = "GET, HEAD",
                                          .body = wrong_method,
                                          .body_length = sizeof(wrong_method) - 1,
                                          .close = true,
                                          .log = {.route = "/metrics"}};
    }
    if (is_read(request->method) && !buffer_ok(&text))
        http_write_error(connection, request, 503, reason_phrase(503));
    else
        http_write_response(connection, request, &response);
    buffer_free(&text);
}

/* As on the other listener. */
static void
answer_health(struct mg_connection *connection, const struct http_request *request)
{
    struct http_response response = {0};

    handler.handle(handler.context, request, &response);
    response.close = true;
    http_write_response(connection, request, &response);
    handler.release(&response);
}

static void
answer(struct mg_connection *connection, const struct http_request *request)
{
    bool is_ready = strcmp(request->path, "/health/ready") == 0;

    if (strcmp(request->path, "/metrics") == 0)
        answer_metrics(connection, request);
    else if (is_ready && http_is_draining(others))
        http_write_error(connection, request, 503, reason_phrase(503));
    else if (is_ready || strcmp(request->path, "/health/live") == 0)
        answer_health(connection, request);
    else
        http_write_error(connection, request, 404, reason_phrase(404));
}

static int
begin_request(struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    int status;
    const char *problem = framing_problem(info, &status);
    struct http_request request = {
        .began = clock_microseconds(),
        .method = info->request_method,
        .path = info->local_uri_raw,
        .remote_address = info->remote_addr,
        .client = {.address = info->remote_addr, .port = info->remote_port},
        .body = ""};

    http_choose_id(problem == NULL ? mg_get_header(connection, "X-Request-ID") : NULL, request.id);
    request.came = request.began;
    if (problem != NULL)
        http_write_error(connection, &request, status, problem);
    else if (info->content_length > 0) {
        http_write_error(connection, &request, 413, "Request body is too large");
        http_drain_body(connection);
    } else
        answer(connection, &request);
    return 200; /* handled, whatever the status was */
}

/* ---- civetweb's callbacks --------------------------------------------------------------- */

static int
init_connection(const struct mg_connection *connection, void **data)
{
    (void)connection;
    *data = NULL;
    has_refused = false;
    metrics_exempt_thread();
    http_note_busy();
    pthread_mutex_lock(&mutex);
    if (connections++ == 0)
        pthread_cond_signal(&woken);
    pthread_mutex_unlock(&mutex);
    return 0;
}

static void
connection_close(const struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);

    if (info->request_method != NULL && info->local_uri_raw == NULL && !has_refused)
        http_refuse_pathless((struct mg_connection *)connection);
    pthread_mutex_lock(&mutex);
}

static void
connection_closed(const struct mg_connection *connection)
{
    (void)connection;
    connections--;
    pthread_mutex_unlock(&mutex);
}

static int
http_error(struct mg_connection *connection, int status, const char *message)
{
    (void)message;
    has_refused = true;
    http_refuse_early(connection, status, PATIENCE);
    return 0;
}

static const struct mg_callbacks callbacks = {.begin_request = begin_request,
                                              .http_error = http_error,
                                              .log_message = http_log_message,
                                              .init_connection = init_connection,
                                              .connection_close = connection_close,
                                              .connection_closed = connection_closed};

/* ---- Beginning and end ------------------------------------------------------------------ */

static bool
start_watcher(const struct capacity *capacity)
{
    descriptor_count = capacity->descriptors;
    sockets = calloc((size_t)descriptor_count, sizeof(sockets[0]));
    clock_condition(&woken);
    return sockets != NULL && pthread_create(&watcher, NULL, watch, NULL) == 0;
}

bool
listener_start(const struct config *config, const struct capacity *capacity,
               const struct http_handler *its_handler, struct http_server *server)
{
    char listen_on[128];
    char timeout[16];
    const char *options[] = {"listening_ports",    listen_on,  "num_threads",       THREADS_TEXT,
                             "request_timeout_ms", timeout,    "enable_keep_alive", "no",
                             "connection_queue",   QUEUE_TEXT, HTTP_STRICT_OPTIONS, NULL};

    if (config->admin_port == 0)
        return true;
    listening_port = config->admin_port;
    handler = *its_handler;
    others = server;
    snprintf(listen_on, sizeof(listen_on), "%s:%d", config->admin_host, config->admin_port);
    snprintf(timeout, sizeof(timeout), "%d", config->request_timeout * 1000);
    if (!start_watcher(capacity))
        return false;
    mg_init_library(MG_FEATURES_DEFAULT);
    civetweb = mg_start(&callbacks, NULL, options);
    return civetweb != NULL;
}

void
listener_stop(void)
{
    if (civetweb == NULL)
        return;
    pthread_mutex_lock(&mutex);
    stopping = true;
    pthread_cond_signal(&woken);
    pthread_mutex_unlock(&mutex);
    pthread_join(watcher, NULL);
    mg_stop(civetweb);
    mg_exit_library();
    free(sockets);
}
