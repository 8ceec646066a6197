/* SPDX-License-Identifier: MIT
 *
 * admin.h: the commands beside serve.  Each returns the exit status, after a line where it failed.
 */
#ifndef SHIM_ADMIN_H
#define SHIM_ADMIN_H

#include "config.h"

int admin_init_db(const struct config *config);
int admin_drop_db(const struct config *config);
int admin_create_admin(const struct config *config);

#endif
