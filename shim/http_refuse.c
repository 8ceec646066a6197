/* SPDX-License-Identifier: MIT
 *
 * http_refuse.c: see http_refuse.h.
 */
#include <civetweb.h>
#include <string.h>

#include "clock.h"
#include "crowd.h"
#include "framing.h"
#include "http_io.h"
#include "http_refuse.h"
#include "places.h"
#include "status.h"

void
http_refuse_early(struct mg_connection *connection, int status, long long patience)
{
    struct http_request request = {0};

    if (status == 411)
        status = 400; /* it means a Content-Length that is no number */
    else if (status == 400 && (place_work() || crowd_has_no_patience(http_idle_time()) ||
                               http_idle_time() >= patience))
        status = 408; /* civetweb has one word for a bad head and for one that did not come */
    http_choose_id(NULL, request.id);
    http_write_error(connection, &request, status, status_text(status));
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
        http_write_error(connection, &request, 421, status_text(421));
    else if (strcmp(info->request_method, "OPTIONS") != 0)
        http_write_error(connection, &request, 400, status_text(400));
    else
        http_write_response(connection, &request,
                            &(struct http_response){.status = 204,
                                                    .allow = "GET, HEAD, POST, PUT, DELETE",
                                                    .close = true});
}
