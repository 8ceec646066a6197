/* SPDX-License-Identifier: MIT
 *
 * db_connect.h: how every connection is made; for the db_*.c files.
 */
#ifndef SHIM_DB_CONNECT_H
#define SHIM_DB_CONNECT_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "config.h"

/*
 * Connect, trying each host for two seconds; the result is NULL only out of memory, and bad where
 * PQstatus says so.  database: instead of the configured one, or NULL.
 */
PGconn *db_connect(const struct config *config, const char *database);

#endif
