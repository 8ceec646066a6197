/* SPDX-License-Identifier: MIT
 *
 * pool.h: the pool's connections, for database.c and connector.c.
 */
#ifndef SHIM_DATABASE_POOL_H
#define SHIM_DATABASE_POOL_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "database/database.h"
#include "database/hash_queue.h"

/*
 * What a call does with a connection.  USE_QUICK does not wait for anybody, and finds a connection however many
 * of the others there are; USE_SLOW may wait for a lock, or runs what an application wrote; USE_HASH has a slot
 * in the hash queue, and so a connection.
 */
enum pool_use { USE_QUICK, USE_SLOW, USE_HASH };

struct connection {
    PGconn *pg;        /* NULL: not connected */
    uint64_t prepared; /* bit n: statement n is */
    int generation;    /* of the settings that it was made with */
    enum pool_use use;
};

struct pool_waiter;
struct shared;

struct db_pool {
    int size;
    struct hash_queue hashes;
    pthread_mutex_t mutex;    /* for all that follows */
    struct pool_waiter *line; /* who waits for a connection, the first first */
    struct connection *connections;
    struct connection **idle; /* a stack of those that are made: the one used last is the warmest */
    int idle_count;
    struct connection **unmade; /* a stack of those that are not */
    int unmade_count;
    int slow_max;          /* so many are for USE_SLOW at most */
    int slow;              /* so many are */
    atomic_int generation; /* of the database's settings */

    /* shared.c */
    struct shared *shared;
    int shared_count; /* 0: the pool is too small for it */

    /* connector.c */
    pthread_t connector;
    pthread_cond_t demand;
    bool stopping;
    bool connecting;         /* an attempt is under way */
    long long connect_after; /* no attempt before this moment */
    long long pause;         /* after the last one that failed, in milliseconds */
};

/* Make a pool of so many connections, none of them connected; false: out of memory.  pool_close ends it in any case. */
bool pool_open(struct db_pool *pool, int size);

/* Only when no call is under way any more. */
void pool_close(struct db_pool *pool);

/* As db_pool_reload and db_pool_state, for the connections alone. */
void pool_reload(struct db_pool *pool, bool is_another_database);
void pool_state(struct db_pool *pool, struct db_state *state);

/* A connection that works.  NULL at the deadline, and why: none came free, or there is none. */
struct connection *pool_get(struct db_pool *pool, enum pool_use use, long long deadline,
                            enum db_outcome *why);

/* Put a connection back, dropped or not; one that is not idle is dropped. */
void pool_give(struct db_pool *pool, struct connection *connection);

/* Close a connection that cannot be used again. */
void pool_drop(struct connection *connection);

/* Whether somebody in the line waits for a connection that must be made first; the mutex is held. */
bool pool_wants_more(const struct db_pool *pool);

/* Hand out what is idle; the mutex is held. */
void pool_serve_line(struct db_pool *pool);

/* An attempt to connect has failed: who has no hope is told; the mutex is held. */
void pool_dismiss_hopeless(struct db_pool *pool);

#endif
