/* SPDX-License-Identifier: MIT
 *
 * db_pool.h: the pool's connections, for db.c.
 */
#ifndef SHIM_DB_POOL_H
#define SHIM_DB_POOL_H

#include <libpq-fe.h>
#include <stdint.h>

#include "db.h"

struct connection {
    PGconn *pg;        /* NULL: not connected */
    uint64_t prepared; /* bit n: statement n is */
};

/*
 * A connection that works.  Where a new one cannot be made, one that others use will do as well when
 * it comes free.  NULL at the deadline, and why: none came free, or there is none.
 */
struct connection *pool_get(struct db_pool *pool, long long deadline, enum db_outcome *why);

/* Put a connection back, dropped or not. */
void pool_give(struct db_pool *pool, struct connection *connection);

/* Close a connection that cannot be used again. */
void pool_drop(struct db_pool *pool, struct connection *connection);

/* One of the places to hash a password; false at the deadline, or where too many wait already. */
bool pool_take_hash_slot(struct db_pool *pool, long long deadline);
void pool_give_hash_slot(struct db_pool *pool);

const struct config *pool_config(const struct db_pool *pool);

#endif
