/* SPDX-License-Identifier: MIT
 *
 * roles.h: the roles of the front, and what init-db makes for calls of the application's functions.
 */
#ifndef SHIM_COMMAND_ROLES_H
#define SHIM_COMMAND_ROLES_H

#include <stdbool.h>

#include "config/config.h"

struct db_admin;

/* Whether a role can do nothing but what it was given; after a line where not. */
bool admin_is_ordinary_role(struct db_admin *admin, const char *role);

/* Make the role that takes the front's place for calls without a token, if it is not there. */
bool admin_make_anonymous_role(struct db_admin *admin, const struct config *config,
                               const char *database);

/* Let both roles name what is in the schema of the application's functions. */
bool admin_open_rpc_schema(struct db_admin *admin, const struct config *config);

#endif
