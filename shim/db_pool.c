/* SPDX-License-Identifier: MIT
 *
 * db_pool.c: the connections, and who may use them: as many calls as there are connections, and among
 * them as many that hash a password as there are places for that.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "db_connect.h"
#include "db_pool.h"
#include "log.h"

/* After a connection could not be made, the next is tried so many milliseconds later. */
#define CONNECT_PAUSE 200

/* More input than this on an idle connection, and it is given up. */
#define IDLE_READS_MAX 8

/* A thread that waits for a connection. */
struct waiter {
    struct waiter *next;
    pthread_cond_t wake;
    bool made; /* only one that is made will do */
    struct connection *granted;
};

struct db_pool {
    const struct config *config;
    pthread_mutex_t mutex;
    pthread_condattr_t monotonic;
    struct waiter *line; /* who waits for a connection, the first first */
    pthread_cond_t hash_free;
    struct connection *connections;
    struct connection **idle; /* a stack: the one used last is the warmest */
    int idle_count;
    int connected; /* connections that are made or being made, idle or not */
    int hash_slots;
    int hash_waiting;
    long long connect_after; /* no attempt before this moment */
};

struct db_pool *
db_pool_open(const struct config *config)
{
    struct db_pool *pool = calloc(1, sizeof(*pool));
    size_t size = (size_t)config->pool_size;
    int i;

    if (pool == NULL)
        return NULL;
    pool->config = config;
    pool->connections = calloc(size, sizeof(*pool->connections));
    pool->idle = calloc(size, sizeof(*pool->idle));
    if (pool->connections == NULL || pool->idle == NULL) {
        free(pool->connections);
        free(pool->idle);
        free(pool);
        return NULL;
    }
    for (i = 0; i < config->pool_size; i++)
        pool->idle[pool->idle_count++] = &pool->connections[i];
    /* Hashing must leave a connection for everybody else. */
    pool->hash_slots = config->hash_slots < config->pool_size ? config->hash_slots
                       : config->pool_size > 1                ? config->pool_size - 1
                                                              : 1;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_condattr_init(&pool->monotonic);
    pthread_condattr_setclock(&pool->monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->hash_free, &pool->monotonic);
    return pool;
}

/* Only when no call is under way any more. */
void
db_pool_close(struct db_pool *pool)
{
    int i;

    for (i = 0; i < pool->config->pool_size; i++)
        if (pool->connections[i].pg != NULL)
            PQfinish(pool->connections[i].pg);
    free(pool->connections);
    free(pool->idle);
    free(pool);
}

/* Take a waiter out of the line; it may have left it already. */
static void
leave_line(struct db_pool *pool, const struct waiter *waiter)
{
    struct waiter **link;

    for (link = &pool->line; *link != NULL; link = &(*link)->next)
        if (*link == waiter) {
            *link = waiter->next;
            return;
        }
}

static void
join_line(struct db_pool *pool, struct waiter *waiter)
{
    struct waiter **link = &pool->line;

    while (*link != NULL)
        link = &(*link)->next;
    *link = waiter;
}

/* Whether the top of the stack will do. */
static struct connection *
take_idle(struct db_pool *pool, bool made)
{
    struct connection *top = pool->idle_count > 0 ? pool->idle[pool->idle_count - 1] : NULL;

    if (top == NULL || (made && top->pg == NULL))
        return NULL;
    pool->idle_count--;
    return top;
}

/*
 * Take a connection; NULL at the deadline.  made: only one that is made already, so NULL at once where
 * none is, nor is being made.  Who waits stands in a line, and nobody overtakes: without it a thread
 * that gives a connection back takes it again before the one that it woke.
 */
static struct connection *
take_connection(struct db_pool *pool, bool made, long long deadline)
{
    struct timespec until = clock_timespec(deadline);
    struct waiter waiter = {.made = made};

    pthread_mutex_lock(&pool->mutex);
    waiter.granted = take_idle(pool, made); /* what is idle is what nobody in the line wants */
    if (waiter.granted == NULL) {
        pthread_cond_init(&waiter.wake, &pool->monotonic);
        join_line(pool, &waiter);
        while (waiter.granted == NULL && !(made && pool->connected == 0) &&
               pthread_cond_timedwait(&waiter.wake, &pool->mutex, &until) == 0)
            continue;
        leave_line(pool, &waiter);
        pthread_cond_destroy(&waiter.wake);
    }
    pthread_mutex_unlock(&pool->mutex);
    return waiter.granted;
}

/*
 * Put a connection back: to the first in the line whom it will do, else onto the stack; there on the
 * top where it is made, below all others where it is not.
 */
void
pool_give(struct db_pool *pool, struct connection *connection)
{
    struct waiter *waiter;

    pthread_mutex_lock(&pool->mutex);
    for (waiter = pool->line; waiter != NULL; waiter = waiter->next)
        if (connection->pg != NULL || !waiter->made)
            break;
    if (waiter != NULL) {
        leave_line(pool, waiter);
        waiter->granted = connection;
        pthread_cond_signal(&waiter->wake);
    } else if (connection->pg != NULL)
        pool->idle[pool->idle_count++] = connection;
    else {
        memmove(pool->idle + 1, pool->idle, (size_t)pool->idle_count * sizeof(*pool->idle));
        pool->idle[0] = connection;
        pool->idle_count++;
    }
    pthread_mutex_unlock(&pool->mutex);
}

bool
pool_take_hash_slot(struct db_pool *pool, long long deadline)
{
    struct timespec until = clock_timespec(deadline);
    bool taken;

    pthread_mutex_lock(&pool->mutex);
    /* Who waits holds a thread, and threads are for everybody: about a quarter of them may. */
    if (pool->hash_slots == 0 && pool->hash_waiting <= pool->config->threads / 4) {
        pool->hash_waiting++;
        while (pool->hash_slots == 0)
            if (pthread_cond_timedwait(&pool->hash_free, &pool->mutex, &until) != 0)
                break;
        pool->hash_waiting--;
    }
    taken = pool->hash_slots > 0;
    if (taken)
        pool->hash_slots--;
    pthread_mutex_unlock(&pool->mutex);
    return taken;
}

void
pool_give_hash_slot(struct db_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->hash_slots++;
    pthread_cond_signal(&pool->hash_free);
    pthread_mutex_unlock(&pool->mutex);
}

static void
count_connected(struct db_pool *pool, int change)
{
    pthread_mutex_lock(&pool->mutex);
    pool->connected += change;
    if (pool->connected == 0) {
        struct waiter *waiter;

        /* There may be nothing to wait for any more. */
        for (waiter = pool->line; waiter != NULL; waiter = waiter->next)
            pthread_cond_signal(&waiter->wake);
    }
    pthread_mutex_unlock(&pool->mutex);
}

void
pool_drop(struct db_pool *pool, struct connection *connection)
{
    PQfinish(connection->pg);
    *connection = (struct connection){0};
    count_connected(pool, -1);
}

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

static bool
may_connect(struct db_pool *pool)
{
    bool may;

    pthread_mutex_lock(&pool->mutex);
    may = clock_now() >= pool->connect_after;
    pthread_mutex_unlock(&pool->mutex);
    return may;
}

/* What the server says of its own accord; libpq would write it to standard error itself. */
static void
log_notice(void *nothing, const char *message)
{
    (void)nothing;
    log_event(LEVEL_INFO, "the database says", "notice", message);
}

/* Why this connection cannot serve; NULL: it can.  A superuser's passes every policy, for every caller. */
static const char *
refuse_connection(PGconn *pg)
{
    const char *is_superuser = pg ? PQparameterStatus(pg, "is_superuser") : NULL;

    if (pg == NULL)
        return "out of memory";
    if (PQstatus(pg) == CONNECTION_OK && is_superuser != NULL && strcmp(is_superuser, "on") == 0)
        return "the role is a superuser; serve connects as the one that init-db made "
               "(--database-user)";
    if (PQstatus(pg) != CONNECTION_OK || PQsetnonblocking(pg, 1) != 0 || !PQenterPipelineMode(pg))
        return PQerrorMessage(pg);
    return NULL;
}

static bool
make_connection(struct db_pool *pool, struct connection *connection)
{
    const char *refused;
    PGconn *pg;

    if (!may_connect(pool))
        return false;
    count_connected(pool, 1);
    pg = db_connect(pool->config, NULL);
    refused = refuse_connection(pg);
    if (refused == NULL) {
        PQsetNoticeProcessor(pg, log_notice, NULL);
        connection->pg = pg;
        log_event(LEVEL_DEBUG, "connected to the database", NULL, NULL);
        return true;
    }
    log_event(LEVEL_ERROR, "no connection to the database", "error", refused);
    PQfinish(pg);
    pthread_mutex_lock(&pool->mutex);
    pool->connect_after = clock_now() + CONNECT_PAUSE;
    pthread_mutex_unlock(&pool->mutex);
    count_connected(pool, -1);
    return false;
}

static bool
make_ready(struct db_pool *pool, struct connection *connection)
{
    if (connection->pg != NULL && is_alive(connection))
        return true;
    if (connection->pg != NULL)
        pool_drop(pool, connection);
    return make_connection(pool, connection);
}

struct connection *
pool_get(struct db_pool *pool, long long deadline, enum db_outcome *why)
{
    struct connection *connection = take_connection(pool, /* made */ false, deadline);

    *why = DB_BUSY;
    while (connection != NULL && !make_ready(pool, connection)) {
        pool_give(pool, connection);
        *why = DB_UNAVAILABLE;
        connection = take_connection(pool, /* made */ true, deadline);
    }
    return connection;
}

const struct config *
pool_config(const struct db_pool *pool)
{
    return pool->config;
}
