/* SPDX-License-Identifier: MIT
 *
 * operator.h: the commands beside serve.  Each returns the exit status, after a line where it failed.
 */
#ifndef SHIM_COMMAND_OPERATOR_H
#define SHIM_COMMAND_OPERATOR_H

#include "config/config.h"

int admin_init_db(const struct config *config);
int admin_drop_db(const struct config *config);
int admin_create_admin(const struct config *config);

#endif
