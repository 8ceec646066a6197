/* SPDX-License-Identifier: MIT
 *
 * admin_rpc.h: what init-db makes for calls of the application's functions.
 */
#ifndef SHIM_ADMIN_RPC_H
#define SHIM_ADMIN_RPC_H

#include <stdbool.h>

#include "config.h"
#include "db_admin.h"

/* Whether a role can do nothing but what it was given; after a line where not.  In admin.c. */
bool admin_is_ordinary_role(struct db_admin *admin, const char *role);

/* Make the role that takes the front's place for calls without a token, if it is not there. */
bool admin_make_anonymous_role(struct db_admin *admin, const struct config *config,
                               const char *database);

/* Let both roles name what is in the schema of the application's functions. */
bool admin_open_rpc_schema(struct db_admin *admin, const struct config *config);

#endif
