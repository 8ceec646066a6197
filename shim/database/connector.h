/* SPDX-License-Identifier: MIT
 *
 * connector.h: the thread that makes the pool's connections.
 */
#ifndef SHIM_DATABASE_CONNECTOR_H
#define SHIM_DATABASE_CONNECTOR_H

#include "database/pool.h"

/* False: no thread could be started. */
bool connector_start(struct db_pool *pool);

/* End it; false where it does not end soon. */
bool connector_stop(struct db_pool *pool);

#endif
