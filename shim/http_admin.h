/* SPDX-License-Identifier: MIT
 *
 * http_admin.h: the operator's listener: GET /metrics, and /health as everybody has it.
 */
#ifndef SHIM_HTTP_ADMIN_H
#define SHIM_HTTP_ADMIN_H

#include "http.h"

/* It needs so many descriptors at most. */
#define HTTP_ADMIN_DESCRIPTORS 16

/*
 * Start to listen, on threads of its own; true also where no such listener is wanted.  /health is the handler's, but
 * not ready where the server refuses requests.
 */
bool http_admin_start(const struct config *config, const struct capacity *capacity,
                      const struct http_handler *handler, struct http_server *server);

/* Stop; what is still under way is cut. */
void http_admin_stop(void);

#endif
