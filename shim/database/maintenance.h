/* SPDX-License-Identifier: MIT
 *
 * maintenance.h: has the database delete what is over, now and then.
 */
#ifndef SHIM_DATABASE_MAINTENANCE_H
#define SHIM_DATABASE_MAINTENANCE_H

#include <stdbool.h>

#include "config/config.h"
#include "database/database.h"

/*
 * Start the thread that calls auth.maintain() through the pool every config->maintenance_interval seconds; none
 * where that is 0.  False: there is no thread to be had.
 */
bool maintenance_start(const struct config *config, struct db_pool *pool);

/* Begin no call from now on. */
void maintenance_end(void);

/* Wait for the call under way; the pool may be closed after it. */
void maintenance_join(void);

#endif
