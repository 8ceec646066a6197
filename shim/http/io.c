/* SPDX-License-Identifier: MIT
 *
 * io.c: see io.h.
 */
#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "config/config.h"
#include "http/connections.h"
#include "http/cors.h"
#include "http/header.h"
#include "http/http.h"
#include "http/io.h"
#include "http/reason_phrase.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

/* After an answer that does not wait for the body, so much of it is still taken in, for so long:
 * closing a socket with unread bytes could take the answer away from the client. */
#define DRAIN_BYTES        (8 * 1024 * 1024)
#define DRAIN_MILLISECONDS 2000

/* Of a request's id of our own; it has twice as many digits. */
#define ID_BYTES 16

/* Up to this size head and body go out together. */
#define COPIED_BODY_MAX 65536

/* A file is sent in pieces of this size. */
#define FILE_PIECE 8192

/* When this thread last had something to do: its connection came, or an answer was sent. */
static _Thread_local long long last_busy;

void
http_note_busy(void)
{
    last_busy = clock_now();
}

long long
http_idle_time(void)
{
    return clock_now() - last_busy;
}

/* An id's random bytes; a system call gets them for many. */
static const unsigned char *
random_bytes(void)
{
    static _Thread_local unsigned char bytes[ID_BYTES * 16];
    static _Thread_local size_t used = sizeof(bytes);

    if (used == sizeof(bytes)) {
        if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
            memset(bytes, 0, sizeof(bytes));
        used = 0;
    }
    used += ID_BYTES;
    return bytes + used - ID_BYTES;
}

void
http_choose_id(const char *given, char *id)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *random;
    size_t i;

    if (given != NULL && header_is_request_id(given)) {
        strcpy(id, given);
        return;
    }
    random = random_bytes();
    for (i = 0; i < ID_BYTES; i++) {
        id[2 * i] = digits[random[i] >> 4];
        id[2 * i + 1] = digits[random[i] & 15];
    }
    id[2 * ID_BYTES] = '\0';
}

int
http_log_message(const struct mg_connection *connection, const char *message)
{
    (void)connection;
    log_event(LEVEL_WARNING, "civetweb", "error", message);
    return 1;
}

/* ---- Writing ---------------------------------------------------------------------------- */

/* It is made anew when the second has changed. */
static void
add_date(struct buffer *head)
{
    static _Thread_local time_t second = -1;
    static _Thread_local char line[48];
    time_t now = time(NULL);
    struct tm utc;

    if (now != second) {
        gmtime_r(&now, &utc);
        strftime(line, sizeof(line), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
        second = now;
    }
    buffer_text(head, line);
}

static bool
write_all(struct mg_connection *connection, const char *data, size_t length)
{
    return mg_write(connection, data, length) == (int)length;
}

/* Send the first bytes of a file; false where it has fewer, too. */
static bool
write_file(struct mg_connection *connection, int file, size_t length)
{
    char piece[FILE_PIECE];
    size_t sent = 0;

    while (sent < length) {
        size_t left = length - sent;
        ssize_t n = pread(file, piece, left < FILE_PIECE ? left : FILE_PIECE, (off_t)sent);

        if (n <= 0 || !write_all(connection, piece, (size_t)n))
            return false;
        sent += (size_t)n;
    }
    return true;
}

static bool
write_body(struct mg_connection *connection, const struct http_response *response)
{
    if (response->body_file != 0)
        return write_file(connection, response->body_file, response->body_length);
    return write_all(connection, response->body, response->body_length);
}

/* The one line of a request.  Its status alone decides on the level, but for an error in our words. */
static void
log_request(const struct mg_request_info *info, const struct http_request *request,
            const struct http_response *response, bool is_sent)
{
    enum log_level level = response->status == 503       ? LEVEL_WARNING
                           : response->status >= 500     ? LEVEL_ERROR
                           : response->log.error != NULL ? LEVEL_WARNING
                                                         : LEVEL_INFO;
    struct log_line line;

    log_begin(&line, level, "request");
    log_text(&line, "request_id", request->id);
    log_text(&line, "method", request->method);
    log_text(&line, "route", response->log.route);
    log_number(&line, "status", response->status);
    if (request->began != 0)
        log_milliseconds(&line, "duration_ms", clock_microseconds() - request->began);
    if (response->log.user_id != 0)
        log_number(&line, "user_id", response->log.user_id);
    log_text(&line, "remote_address",
             request->remote_address ? request->remote_address : info->remote_addr);
    log_text(&line, "sqlstate", response->log.sqlstate);
    log_text(&line, "error", response->log.error);
    log_text(&line, "answer", is_sent ? NULL : "not sent");
    log_end(&line);
}

/* Nothing in an answer that is data runs, loads anything or is shown in a frame. */
#define DATA_POLICY "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"

static void
add_head(struct buffer *out, const struct config *config, const struct http_request *request,
         const struct http_response *response)
{
    buffer_format(out, "HTTP/1.1 %d %s\r\n", response->status, reason_phrase(response->status));
    add_date(out);
    /* RFC 9110, 8.6: a 204 has no length, and a 304 none but that of what it stands for. */
    if (response->status != 204 && response->status != 304) {
        buffer_format(out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                      response->content_type ? response->content_type
                                             : "application/json; charset=utf-8",
                      response->body_length);
        buffer_text(out, response->headers ? "" : DATA_POLICY);
    }
    buffer_text(out, response->headers ? response->headers : "Cache-Control: no-store\r\n");
    buffer_format(out, "X-Content-Type-Options: nosniff\r\nX-Request-ID: %s\r\nConnection: %s\r\n",
                  request->id, response->close ? "close" : "keep-alive");
    cors_add_headers(out, config->cors_origins, request->origin);
    if (response->allowed_methods != NULL)
        buffer_format(out, "Access-Control-Allow-Methods: %s\r\n", response->allowed_methods);
    if (response->allow != NULL)
        buffer_format(out, "Allow: %s\r\n", response->allow);
    if (response->www_authenticate != NULL)
        buffer_format(out, "WWW-Authenticate: %s\r\n", response->www_authenticate);
    if (response->reuse != NULL)
        buffer_format(out, "X-Refresh-Token-Reuse: %s\r\n", response->reuse);
    if (response->retry_after > 0)
        buffer_format(out, "Retry-After: %d\r\n", response->retry_after);
    buffer_text(out, "\r\n");
}

void
http_write_response(struct mg_connection *connection, const struct http_request *request,
                    const struct http_response *response)
{
    const struct config *config = config_now();
    bool is_head = request->method != NULL && strcmp(request->method, "HEAD") == 0;
    bool has_body = !is_head && response->status != 204 && response->status != 304;
    bool is_sent;
    struct buffer out = {0};

    metrics_add_request(&(struct metrics_request){.route = response->log.route,
                                                  .method = request->method,
                                                  .status = response->status,
                                                  .reason = response->log.reason,
                                                  .began = request->began});
    add_head(&out, config, request, response);
    /* A large body is not copied. */
    if (has_body && response->body_file == 0 && response->body_length <= COPIED_BODY_MAX) {
        buffer_add(&out, response->body, response->body_length);
        has_body = false;
    }
    if (response->close)
        mg_disable_connection_keep_alive(connection);

    connection_wait(HTTP_SENDS, (long long)config->request_timeout * 1000);
    is_sent = buffer_ok(&out) && write_all(connection, out.data, out.length) &&
              (!has_body || write_body(connection, response));
    if (!is_sent)
        mg_disable_connection_keep_alive(connection);
    connection_work();
    buffer_free(&out);
    log_request(mg_get_request_info(connection), request, response, is_sent);
    http_note_busy();
}

void
http_write_error(struct mg_connection *connection, const struct http_request *request, int status,
                 const char *detail)
{
    struct buffer body = {0};
    struct http_response response = {
        .status = status, .close = true, .retry_after = status == 503 ? 1 : 0};

    buffer_text(&body, "{\"detail\":");
    buffer_json_string(&body, detail, strlen(detail));
    buffer_text(&body, "}");
    if (buffer_ok(&body)) {
        response.body = body.data;
        response.body_length = body.length;
        http_write_response(connection, request, &response);
    } else /* what is wrong with this request must not become a part of the next one */
        mg_disable_connection_keep_alive(connection);
    buffer_free(&body);
}

/* ---- Reading ---------------------------------------------------------------------------- */

/* Read until there is so much, or nothing more comes; how much it was. */
static size_t
read_all(struct mg_connection *connection, char *bytes, size_t length)
{
    size_t got = 0;

    while (got < length) {
        int n = mg_read(connection, bytes + got, length - got);

        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

char *
http_read_body(struct mg_connection *connection, size_t length, int *status)
{
    char *body = malloc(length + 1);
    size_t got;
    bool late;

    if (body == NULL) {
        *status = 503;
        return NULL;
    }
    connection_wait(HTTP_AWAITS_BODY, (long long)config_now()->request_timeout * 1000);
    got = read_all(connection, body, length);
    late = connection_work();
    if (got < length) {
        *status = late ? 408 : 400;
        free(body);
        return NULL;
    }
    body[length] = '\0';
    return body;
}

void
http_drain_body(struct mg_connection *connection)
{
    char scratch[4096];
    size_t got = 0;
    size_t n;

    connection_wait(HTTP_AWAITS_BODY, DRAIN_MILLISECONDS);
    do {
        n = read_all(connection, scratch, sizeof(scratch));
        got += n;
    } while (n == sizeof(scratch) && got < DRAIN_BYTES);
    connection_work();
}

bool
http_meet_expectation(struct mg_connection *connection)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const char *expect = mg_get_header(connection, "Expect");

    if (expect == NULL || strcmp(mg_get_request_info(connection)->http_version, "1.0") == 0)
        return true;
    if (strcasecmp(expect, "100-continue") != 0)
        return false;
    return mg_write(connection, go_on, sizeof(go_on) - 1) > 0;
}
