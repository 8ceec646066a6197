/* SPDX-License-Identifier: MIT
 *
 * prometheus.h: the metrics in Prometheus' text format, version 0.0.4, for GET /metrics.
 */
#ifndef SHIM_MONITORING_PROMETHEUS_H
#define SHIM_MONITORING_PROMETHEUS_H

#include "base/buffer.h"
#include "database/database.h"
#include "http/capacity.h"

/* Where prometheus_write finds what is the case at the moment. */
void prometheus_open(struct http_server *server, struct db_pool *pool,
                     const struct capacity *capacity);

/* Add all of it. */
void prometheus_write(struct buffer *out);

#endif
