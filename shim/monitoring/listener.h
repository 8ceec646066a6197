/* SPDX-License-Identifier: MIT
 *
 * listener.h: the operator's listener: GET /metrics, and /health as everybody has it.
 */
#ifndef SHIM_MONITORING_LISTENER_H
#define SHIM_MONITORING_LISTENER_H

#include "config/config.h"
#include "http/capacity.h"
#include "http/http.h"

/*
 * Start to listen, on threads of its own; true also where no such listener is wanted.  /health is the handler's, but
 * not ready where the server refuses requests.
 */
bool listener_start(const struct config *config, const struct capacity *capacity,
                    const struct http_handler *handler, struct http_server *server);

/* Stop; what is still under way is cut. */
void listener_stop(void);

#endif
