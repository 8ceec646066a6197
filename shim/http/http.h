/* SPDX-License-Identifier: MIT
 *
 * http.h: the HTTP server: what of civetweb the rest of the shim sees.
 */
#ifndef SHIM_HTTP_H
#define SHIM_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/client.h"
#include "config/config.h"
#include "http/capacity.h"
#include "telemetry/metrics.h"

#define HTTP_REQUEST_ID_MAX 64

/* A request, whole: its framing is proved and its body is here. */
struct http_request {
    long long began; /* clock_microseconds when its head was here; 0: there was none */
    long long
        came; /* the same when all of it was here: whoever holds its body back gains no time */
    const char *method; /* NULL: there was none */
    const char *path;   /* as sent, up to '?'; never decoded */
    const char *query;  /* as sent, behind the '?'; NULL: none */
    const char *authorization;
    const char *idempotency_key;
    const char *content_type;
    const char *content_encoding;
    const char *user_agent;
    const char *if_none_match;
    const char *origin;           /* of the page that asks, as its browser says; NULL: none */
    const char *requested_method; /* of CORS' question before a request */
    const char *remote_address;   /* the client's, past the proxies that are trusted */
    struct client client;         /* the other end of the connection: a proxy's, if there is one */
    const char *body;             /* NUL-terminated, "" where there is none */
    size_t body_length;
    char id[HTTP_REQUEST_ID_MAX + 1];
};

/* What the log and the metrics say of a request beyond the HTTP of it; NULL and 0: nothing. */
struct http_log {
    const char *route; /* the path in the table of routes; never the one that was sent */
    long long user_id; /* the identity's */
    const char *sqlstate;
    const char *error; /* what went wrong, in words that are not for the client */
    enum unavailable_reason reason;
};

/* An answer.  Texts live until the handler's release is called. */
struct http_response {
    int status;
    const char *body; /* unused where the status is 204 or 304 */
    int body_file; /* an open file whose first bytes are the body instead; 0, which is never free for one: none */
    size_t body_length;
    const char *content_type;    /* NULL: JSON */
    const char *headers;         /* more lines, Cache-Control among them; NULL: nothing is stored */
    const char *allow;           /* value of Allow, or NULL */
    const char *allowed_methods; /* value of Access-Control-Allow-Methods, or NULL */
    const char *www_authenticate; /* value of WWW-Authenticate, or NULL */
    const char *reuse;            /* value of X-Refresh-Token-Reuse, or NULL */
    int retry_after;              /* seconds, or 0 */
    bool close;                   /* the connection cannot be used further */
    struct http_log log;
    void *owner; /* for the handler's release */
};

struct http_handler {
    void *context;
    void (*handle)(void *context, const struct http_request *request,
                   struct http_response *response);
    void (*release)(struct http_response *response);
};

struct http_server;

/* Start to serve so many connections; NULL, with a line on standard error, where that cannot be done. */
struct http_server *http_start(const struct config *config, const struct capacity *capacity,
                               const struct http_handler *handler);

/* From now on answer new requests with 503, and close each connection after its answer. */
void http_drain(struct http_server *server);

/* How many requests are under way. */
int http_under_way(struct http_server *server);

/* Whether new requests are refused. */
bool http_is_draining(struct http_server *server);

/* When the last request began, by clock_now. */
long long http_last_begun(struct http_server *server);

/* Stop; what is still under way is cut. */
void http_stop(struct http_server *server);

#endif
