/* SPDX-License-Identifier: MIT
 *
 * shared.h: calls of many threads over few connections; for database.c.
 */
#ifndef SHIM_DATABASE_SHARED_H
#define SHIM_DATABASE_SHARED_H

#include "database/call.h"
#include "database/database.h"
#include "database/pool.h"

/* Make as many as the pool has room for; false: out of memory. */
bool shared_open(struct db_pool *pool);
void shared_close(struct db_pool *pool);

/*
 * Make a call together with others.  False: it was not sent, since there was no connection for it by this moment,
 * and why.
 */
bool shared_call(struct db_pool *pool, struct call *call, long long moment, enum db_outcome *why);

#endif
