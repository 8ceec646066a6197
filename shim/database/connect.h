/* SPDX-License-Identifier: MIT
 *
 * connect.h: how every connection is made; for this room.
 */
#ifndef SHIM_DATABASE_CONNECT_H
#define SHIM_DATABASE_CONNECT_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "config/config.h"

/*
 * Connect, trying each host for two seconds; the result is NULL only out of memory, and bad where
 * PQstatus says so.  database: instead of the configured one, or NULL.
 */
PGconn *db_connect(const struct config *config, const char *database);

#endif
