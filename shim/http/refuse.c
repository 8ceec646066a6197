/* SPDX-License-Identifier: MIT
 *
 * refuse.c: see refuse.h.
 */
#include <civetweb.h>
#include <string.h>

#include "base/clock.h"
#include "http/connections.h"
#include "http/framing.h"
#include "http/http.h"
#include "http/io.h"
#include "http/reason_phrase.h"
#include "http/refuse.h"
#include "http/slow_clients.h"

void
http_refuse_early(struct mg_connection *connection, int status, long long patience)
{
    struct http_request request = {0};

    if (status == 411)
        status = 400; /* it means a Content-Length that is no number */
    else if (status == 400 &&
             (connection_work() || slow_clients_has_no_patience(http_idle_time()) ||
              http_idle_time() >= patience))
        status = 408; /* civetweb has one word for a bad head and for one that did not come */
    http_choose_id(NULL, request.id);
    http_write_error(connection, &request, status, reason_phrase(status));
}

void
http_refuse_pathless(struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    struct http_request request = {.began = clock_microseconds(), .method = info->request_method};
    int status;
    const char *problem = framing_problem(info, &status);

    http_choose_id(NULL, request.id);
    if (problem != NULL)
        http_write_error(connection, &request, status, problem);
    else if (strcmp(info->request_uri, "*") != 0)
        http_write_error(connection, &request, 421, reason_phrase(421));
    else if (strcmp(info->request_method, "OPTIONS") != 0)
        http_write_error(connection, &request, 400, reason_phrase(400));
    else
        http_write_response(connection, &request,
                            &(struct http_response){.status = 204,
                                                    .allow = "GET, HEAD, POST, PUT, DELETE",
                                                    .close = true});
}
