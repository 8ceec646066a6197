/* SPDX-License-Identifier: MIT
 *
 * io.h: reading bodies from and writing answers to civetweb's connections, for http.c.
 */
#ifndef SHIM_HTTP_IO_H
#define SHIM_HTTP_IO_H

#include "http/http.h"

struct mg_connection;

/*
 * Options of civetweb's for every listener: it serves no files, decodes nothing and adds no header of its own.  Its
 * buffer is larger than the largest head that is taken (framing.c), so that one that is too large is seen.
 */
#define HTTP_STRICT_OPTIONS                                                                        \
    "max_request_size", "32768", "tcp_nodelay", "1", "decode_url", "no",                           \
        "enable_auth_domain_check", "no", "enable_directory_listing", "no",                        \
        "access_control_allow_origin", "", "access_control_allow_methods", "",                     \
        "access_control_allow_headers", ""

/*
 * Send an answer, without its body for HEAD, and log the request; the connection is closed after it
 * where it says so.
 */
void http_write_response(struct mg_connection *connection, const struct http_request *request,
                         const struct http_response *response);

/* Send an answer of this layer's own, after which the connection is closed. */
void http_write_error(struct mg_connection *connection, const struct http_request *request,
                      int status, const char *detail);

/*
 * Read a body of this length into new memory, with a NUL behind it.  NULL, and a status, where it
 * did not come: 408 in time, 400 at all, 503 out of memory.
 */
char *http_read_body(struct mg_connection *connection, size_t length, int *status);

/* Take in what the client still sends of a body that nobody wants. */
void http_drain_body(struct mg_connection *connection);

/* RFC 9110, 10.1.1.  False: an expectation that we do not meet. */
bool http_meet_expectation(struct mg_connection *connection);

/* The client's request id where it is a harmless one, else a new one. */
void http_choose_id(const char *given, char *id);

/* What civetweb has to say goes into our log. */
int http_log_message(const struct mg_connection *connection, const char *message);

/* Note that this thread has something to do; the milliseconds since it had. */
void http_note_busy(void);
long long http_idle_time(void);

#endif
