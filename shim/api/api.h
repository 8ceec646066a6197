/* SPDX-License-Identifier: MIT
 *
 * api.h: from a request to a call of the database, and back.
 */
#ifndef SHIM_API_H
#define SHIM_API_H

#include "config/config.h"
#include "database/database.h"
#include "http/http.h"

/* The handler to give to http_start; there is one. */
struct http_handler api_handler(const struct config *config, struct db_pool *pool);

#endif
