/* SPDX-License-Identifier: MIT
 *
 * pool.c: the connections, and who may use them.
 *
 * Who wants one stands in a line, and nobody is overtaken by his like.  A call that may wait, for a row that
 * another transaction has locked or for an application's function, is kept from taking all: 20 that wait for one
 * account leave connections to those that hash, and one to those that only read.
 */
#define _GNU_SOURCE /* sem_clockwait */
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "database/database.h"
#include "database/pool.h"

/* More input than this on an idle connection, and it is given up. */
#define IDLE_READS_MAX 8

/* A thread that waits for a connection.  It is called once, and out of the line then. */
struct pool_waiter {
    struct pool_waiter *next;
    enum pool_use use;
    _Atomic(struct connection *) granted; /* NULL when it is called: there is no hope of one */
    bool is_called;
    sem_t called; /* unlike a condition it wakes nobody who then waits for the mutex */
};

bool
pool_open(struct db_pool *pool, int size)
{
    int i;

    pool->connections = calloc((size_t)size, sizeof(*pool->connections));
    pool->idle = calloc((size_t)size, sizeof(*pool->idle));
    pool->unmade = calloc((size_t)size, sizeof(*pool->unmade));
    if (pool->connections == NULL || pool->idle == NULL || pool->unmade == NULL)
        return false;
    pool->size = size;
    for (i = 0; i < size; i++)
        pool->unmade[pool->unmade_count++] = &pool->connections[i];
    pthread_mutex_init(&pool->mutex, NULL);
    return true;
}

void
pool_close(struct db_pool *pool)
{
    int i;

    for (i = 0; i < pool->size; i++)
        if (pool->connections[i].pg != NULL)
            PQfinish(pool->connections[i].pg);
    if (pool->size > 0)
        pthread_mutex_destroy(&pool->mutex);
    free(pool->connections);
    free(pool->idle);
    free(pool->unmade);
}

/* ---- The line --------------------------------------------------------------------------- */

/* Take a waiter out of the line; it may have left it already. */
static void
leave_line(struct db_pool *pool, const struct pool_waiter *waiter)
{
    struct pool_waiter **link;

    for (link = &pool->line; *link != NULL; link = &(*link)->next)
        if (*link == waiter) {
            *link = waiter->next;
            return;
        }
}

static void
join_line(struct db_pool *pool, struct pool_waiter *waiter, bool in_front)
{
    struct pool_waiter **link = &pool->line;

    while (*link != NULL && !in_front)
        link = &(*link)->next;
    waiter->next = *link;
    *link = waiter;
}

static bool
may_have_one(const struct db_pool *pool, const struct pool_waiter *waiter)
{
    return waiter->use != USE_SLOW || pool->slow < pool->slow_max;
}

bool
pool_wants_more(const struct db_pool *pool)
{
    const struct pool_waiter *waiter;

    if (pool->idle_count > 0 || pool->unmade_count == 0)
        return false;
    for (waiter = pool->line; waiter != NULL; waiter = waiter->next)
        if (may_have_one(pool, waiter))
            return true;
    return false;
}

/* Who is called may be gone after this. */
static void
call_waiter(struct db_pool *pool, struct pool_waiter *waiter, struct connection *granted)
{
    leave_line(pool, waiter);
    waiter->is_called = true;
    atomic_store(&waiter->granted, granted);
    sem_post(&waiter->called);
}

void
pool_serve_line(struct db_pool *pool)
{
    struct pool_waiter *waiter;
    struct pool_waiter *next;

    for (waiter = pool->line; waiter != NULL && pool->idle_count > 0; waiter = next) {
        struct connection *idle;

        next = waiter->next;
        if (!may_have_one(pool, waiter))
            continue;
        idle = pool->idle[--pool->idle_count];
        idle->use = waiter->use;
        pool->slow += waiter->use == USE_SLOW;
        call_waiter(pool, waiter, idle);
    }
    if (pool_wants_more(pool))
        pthread_cond_signal(&pool->demand);
}

/* Whether there is no connection, and none will be made soon: the last attempt has just failed. */
static bool
is_hopeless(const struct db_pool *pool)
{
    return pool->unmade_count == pool->size && !pool->connecting &&
           clock_now() < pool->connect_after;
}

void
pool_dismiss_hopeless(struct db_pool *pool)
{
    while (pool->line != NULL && is_hopeless(pool))
        call_waiter(pool, pool->line, NULL);
}

/* Wait for a connection that is made; NULL at the deadline, or where there is no hope of one, and why. */
static struct connection *
take_connection(struct db_pool *pool, enum pool_use use, bool in_front, long long deadline,
                enum db_outcome *why)
{
    struct timespec until = clock_timespec(deadline);
    struct pool_waiter waiter = {.use = use};

    sem_init(&waiter.called, 0, 0);
    pthread_mutex_lock(&pool->mutex);
    join_line(pool, &waiter, in_front);
    pool_serve_line(pool);
    pool_dismiss_hopeless(pool);
    pthread_mutex_unlock(&pool->mutex);
    if (sem_clockwait(&waiter.called, CLOCK_MONOTONIC, &until) != 0 ||
        atomic_load(&waiter.granted) == NULL) {
        pthread_mutex_lock(&pool->mutex);
        if (!waiter.is_called)
            leave_line(pool, &waiter);
        *why = pool->unmade_count + pool->connecting >= pool->size ? DB_UNAVAILABLE : DB_BUSY;
        pthread_mutex_unlock(&pool->mutex);
    }
    sem_destroy(&waiter.called);
    return waiter.granted;
}

/* Whether nothing is on its way over a connection, and nothing is open in it. */
static bool
is_idle(const struct connection *connection)
{
    PGconn *pg = connection->pg;

    return PQstatus(pg) == CONNECTION_OK && PQtransactionStatus(pg) == PQTRANS_IDLE &&
           PQpipelineStatus(pg) == PQ_PIPELINE_ON && !PQisBusy(pg);
}

void
pool_drop(struct connection *connection)
{
    PQfinish(connection->pg);
    connection->pg = NULL;
    connection->prepared = 0;
}

/* libpq does not wait for anything when it closes a connection of ours: that can be done under the mutex. */
static void
put_back(struct db_pool *pool, struct connection *connection)
{
    if (connection->generation != pool->generation || !is_idle(connection))
        pool_drop(connection);
    if (connection->pg != NULL)
        pool->idle[pool->idle_count++] = connection;
    else
        pool->unmade[pool->unmade_count++] = connection;
}

void
pool_give(struct db_pool *pool, struct connection *connection)
{
    pthread_mutex_lock(&pool->mutex);
    pool->slow -= connection->use == USE_SLOW;
    connection->use = USE_QUICK;
    put_back(pool, connection);
    pool_serve_line(pool);
    pthread_mutex_unlock(&pool->mutex);
}

/* ---- Connections ------------------------------------------------------------------------ */

/*
 * Whether an idle connection is still one.  One that can be read has ended, or holds a notice; and a
 * server that shuts down says so first: libpq sees the end only when it reads again.
 */
static bool
is_alive(struct connection *connection)
{
    struct pollfd idle = {.fd = PQsocket(connection->pg), .events = POLLIN};
    int reads;

    if (PQstatus(connection->pg) != CONNECTION_OK ||
        PQtransactionStatus(connection->pg) != PQTRANS_IDLE)
        return false;
    for (reads = 0; poll(&idle, 1, 0) != 0; reads++)
        if (reads == IDLE_READS_MAX || !PQconsumeInput(connection->pg) ||
            PQstatus(connection->pg) != CONNECTION_OK)
            return false;
    return true;
}

struct connection *
pool_get(struct db_pool *pool, enum pool_use use, long long deadline, enum db_outcome *why)
{
    struct connection *connection = take_connection(pool, use, /* in_front */ false, deadline, why);

    /* All of them may have ended while they were idle. */
    while (connection != NULL && !is_alive(connection)) {
        pool_drop(connection);
        pool_give(pool, connection);
        connection = take_connection(pool, use, /* in_front */ true, deadline, why);
    }
    return connection;
}

void
pool_reload(struct db_pool *pool, bool is_another_database)
{
    int idle;

    pthread_mutex_lock(&pool->mutex);
    pool->connect_after = 0;
    if (is_another_database) {
        pool->generation++;
        /* What is idle goes now, the others when they are given back. */
        for (idle = pool->idle_count, pool->idle_count = 0; idle > 0; idle--)
            put_back(pool, pool->idle[idle - 1]);
    }
    pthread_cond_signal(&pool->demand);
    pthread_mutex_unlock(&pool->mutex);
}

void
pool_state(struct db_pool *pool, struct db_state *state)
{
    const struct pool_waiter *waiter;

    *state = (struct db_state){.limit = pool->size};
    pthread_mutex_lock(&pool->mutex);
    state->connections = pool->size - pool->unmade_count - pool->connecting;
    state->idle = pool->idle_count;
    for (waiter = pool->line; waiter != NULL; waiter = waiter->next)
        state->waiting++;
    pthread_mutex_unlock(&pool->mutex);
}
