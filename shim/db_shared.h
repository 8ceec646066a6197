/* SPDX-License-Identifier: MIT
 *
 * db_shared.h: calls of many threads over few connections; for db.c.
 */
#ifndef SHIM_DB_SHARED_H
#define SHIM_DB_SHARED_H

#include "db_call.h"
#include "db_pool.h"

void shared_open(struct db_pool *pool);
void shared_close(struct db_pool *pool);

/*
 * Make a call together with others.  False: it was not sent, since there was no connection for it by this moment,
 * and why.
 */
bool shared_call(struct db_pool *pool, struct call *call, long long moment, enum db_outcome *why);

#endif
