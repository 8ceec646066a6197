/* SPDX-License-Identifier: MIT
 *
 * db.c: the pool, and the pipeline of a call.
 *
 * A connection is always in pipeline mode.  A call sends, before it reads anything, the
 * authentication, the statement and one Sync: PostgreSQL runs both in one implicit transaction, so
 * the identity that the first sets is the second's, and ends with it.  Statements are prepared at
 * their first use, in the same round trip.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "db.h"
#include "db_connect.h"
#include "log.h"

#define AUTHENTICATE_ID 0
static const struct db_statement authenticate_statement = {
    AUTHENTICATE_ID, "SELECT auth.authenticate($1)::pg_catalog.text", 1};

/* After a connection could not be made, the next is tried so many milliseconds later. */
#define CONNECT_PAUSE 200

/* How long a call waits, in milliseconds: for a connection, for a place to hash, and in all where it
 * is a quick one. */
#define CONNECTION_WAIT 2000
#define HASH_WAIT       5000
#define QUICK_TIMEOUT   2000

/* More input than this on an idle connection, and it is given up. */
#define IDLE_READS_MAX 8

struct connection {
    PGconn *pg;        /* NULL: not connected */
    uint64_t prepared; /* bit n: statement n is */
};

struct db_pool {
    const struct config *config;
    pthread_mutex_t mutex;
    pthread_cond_t connection_free;
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
    pthread_condattr_t monotonic;
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
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->connection_free, &monotonic);
    pthread_cond_init(&pool->hash_free, &monotonic);
    pthread_condattr_destroy(&monotonic);
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

/* ---- Connections ------------------------------------------------------------------------ */

/*
 * Take an idle connection; NULL at the deadline.  made: only one that is made already, so NULL at once
 * where none is, nor is being made.
 */
static struct connection *
take_connection(struct db_pool *pool, bool made, long long deadline)
{
    struct timespec until = clock_timespec(deadline);
    struct connection *connection = NULL;

    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        struct connection *top = pool->idle_count > 0 ? pool->idle[pool->idle_count - 1] : NULL;

        if (top != NULL && (!made || top->pg != NULL)) {
            connection = top;
            pool->idle_count--;
            break;
        }
        if ((made && pool->connected == 0) ||
            pthread_cond_timedwait(&pool->connection_free, &pool->mutex, &until) != 0)
            break;
    }
    pthread_mutex_unlock(&pool->mutex);
    return connection;
}

/* Put a connection back: on the top where it is made, below all others where it is not. */
static void
give_connection(struct db_pool *pool, struct connection *connection)
{
    pthread_mutex_lock(&pool->mutex);
    if (connection->pg != NULL)
        pool->idle[pool->idle_count] = connection;
    else {
        memmove(pool->idle + 1, pool->idle, (size_t)pool->idle_count * sizeof(*pool->idle));
        pool->idle[0] = connection;
    }
    pool->idle_count++;
    pthread_cond_signal(&pool->connection_free);
    pthread_mutex_unlock(&pool->mutex);
}

static bool
take_hash_slot(struct db_pool *pool, long long deadline)
{
    struct timespec until = clock_timespec(deadline);
    bool taken;

    pthread_mutex_lock(&pool->mutex);
    /* Who waits holds a thread, and threads are for everybody: a quarter of them at most. */
    if (pool->hash_slots == 0 && pool->hash_waiting < pool->config->threads / 4) {
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

static void
give_hash_slot(struct db_pool *pool)
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
    if (pool->connected == 0)
        pthread_cond_broadcast(&pool->connection_free); /* there is nothing to wait for any more */
    pthread_mutex_unlock(&pool->mutex);
}

static void
drop_connection(struct db_pool *pool, struct connection *connection)
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

static bool
make_connection(struct db_pool *pool, struct connection *connection)
{
    PGconn *pg;

    if (!may_connect(pool))
        return false;
    count_connected(pool, 1);
    pg = db_connect(pool->config, NULL);
    if (pg != NULL && PQstatus(pg) == CONNECTION_OK && PQsetnonblocking(pg, 1) == 0 &&
        PQenterPipelineMode(pg)) {
        connection->pg = pg;
        return true;
    }
    log_line("no connection to the database: %s",
             pg != NULL ? PQerrorMessage(pg) : "out of memory");
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
        drop_connection(pool, connection);
    return make_connection(pool, connection);
}

/*
 * A connection that works.  Where a new one cannot be made, one that others use will do as well when
 * it comes free.  NULL, and why: none came free, or there is none.
 */
static struct connection *
get_connection(struct db_pool *pool, long long deadline, enum db_outcome *why)
{
    struct connection *connection = take_connection(pool, /* made */ false, deadline);

    *why = DB_BUSY;
    while (connection != NULL && !make_ready(pool, connection)) {
        give_connection(pool, connection);
        *why = DB_UNAVAILABLE;
        connection = take_connection(pool, /* made */ true, deadline);
    }
    return connection;
}

/* ---- A call ----------------------------------------------------------------------------- */

/* A call on its way: one entry for each result to come, the id of a statement to prepare or -1. */
struct call {
    struct connection *connection;
    long long deadline;
    bool timed_out;
    int prepares[4];
    int sent;
    int received;
};

static bool
send_statement(const struct db_pool *pool, struct call *call, const struct db_statement *statement,
               const char *const *parameters)
{
    struct connection *connection = call->connection;
    char name[16];

    if (!pool->config->prepare) {
        call->prepares[call->sent++] = -1;
        return PQsendQueryParams(connection->pg, statement->sql, statement->parameter_count, NULL,
                                 parameters, NULL, NULL, 0) == 1;
    }
    snprintf(name, sizeof(name), "s%d", statement->id);
    if ((connection->prepared >> statement->id & 1) == 0) {
        call->prepares[call->sent++] = statement->id;
        if (PQsendPrepare(connection->pg, name, statement->sql, 0, NULL) != 1)
            return false;
    }
    call->prepares[call->sent++] = -1;
    return PQsendQueryPrepared(connection->pg, name, statement->parameter_count, parameters, NULL,
                               NULL, 0) == 1;
}

/* The next result; NULL where it did not come in time or the connection is lost. */
static PGresult *
next_result(struct call *call)
{
    PGconn *pg = call->connection->pg;

    for (;;) {
        int unsent = PQflush(pg);
        PGresult *result;

        if (unsent < 0)
            return NULL;
        if (unsent > 0 || PQisBusy(pg)) {
            if (!db_wait(pg, unsent > 0, call->deadline)) {
                call->timed_out = PQsocket(pg) >= 0;
                return NULL;
            }
            if (!PQconsumeInput(pg))
                return NULL;
            continue;
        }
        result = PQgetResult(pg);
        if (result != NULL)
            return result;
        /* NULL separates the statements of a pipeline. */
        if (PQstatus(pg) != CONNECTION_OK)
            return NULL;
    }
}

/* Keep of two results the one that the caller gets: the first error, else the last rows. */
static PGresult *
choose_result(PGresult *kept, PGresult *next)
{
    ExecStatusType status = PQresultStatus(next);

    if ((kept != NULL && PQresultStatus(kept) == PGRES_FATAL_ERROR) ||
        (status != PGRES_TUPLES_OK && status != PGRES_FATAL_ERROR)) {
        PQclear(next);
        return kept;
    }
    PQclear(kept);
    return next;
}

/* Note what a result says of the statement that was to be prepared there. */
static void
note_prepared(struct call *call, const PGresult *result)
{
    int id = call->received < call->sent ? call->prepares[call->received] : -1;

    call->received++;
    if (id >= 0 && PQresultStatus(result) == PGRES_COMMAND_OK)
        call->connection->prepared |= UINT64_C(1) << id;
}

/*
 * Read until the Sync's answer; the connection is good for another call then.  NULL where that
 * answer did not come.
 */
static PGresult *
read_results(struct call *call)
{
    PGresult *kept = NULL;
    PGresult *next;

    while ((next = next_result(call)) != NULL) {
        if (PQresultStatus(next) == PGRES_PIPELINE_SYNC) {
            PQclear(next);
            return kept;
        }
        note_prepared(call, next);
        kept = choose_result(kept, next);
    }
    PQclear(kept);
    return NULL;
}

static void
fill_result(struct db_result *result, PGresult *pg)
{
    result->owner = pg;
    if (PQresultStatus(pg) == PGRES_FATAL_ERROR) {
        const char *sqlstate = PQresultErrorField(pg, PG_DIAG_SQLSTATE);

        result->outcome = sqlstate != NULL ? DB_ERROR : DB_UNAVAILABLE;
        result->sqlstate = sqlstate;
        result->message = PQresultErrorField(pg, PG_DIAG_MESSAGE_PRIMARY);
        result->detail = PQresultErrorField(pg, PG_DIAG_MESSAGE_DETAIL);
        result->column = PQresultErrorField(pg, PG_DIAG_COLUMN_NAME);
        return;
    }
    result->outcome = DB_DONE;
    result->is_null = PQntuples(pg) == 0 || PQgetisnull(pg, 0, 0);
    if (!result->is_null) {
        result->value = PQgetvalue(pg, 0, 0);
        result->length = (size_t)PQgetlength(pg, 0, 0);
    }
}

/* Whether the server no longer knows what we have prepared, or knows something else by that name. */
static bool
is_out_of_step(const struct db_result *result)
{
    return result->outcome == DB_ERROR &&
           (strcmp(result->sqlstate, "26000") == 0 || strcmp(result->sqlstate, "42P05") == 0 ||
            strcmp(result->sqlstate, "0A000") == 0);
}

static void
run_call(struct db_pool *pool, struct call *call, const char *token,
         const struct db_statement *statement, const char *const *parameters,
         struct db_result *result)
{
    PGconn *pg = call->connection->pg;
    PGresult *answer = NULL;

    if ((token == NULL || send_statement(pool, call, &authenticate_statement, &token)) &&
        send_statement(pool, call, statement, parameters) && PQpipelineSync(pg))
        answer = read_results(call);
    if (answer != NULL)
        fill_result(result, answer);
    else
        result->outcome = call->timed_out ? DB_TIMED_OUT : DB_UNAVAILABLE;
    if (answer == NULL || PQstatus(pg) != CONNECTION_OK ||
        PQtransactionStatus(pg) != PQTRANS_IDLE || is_out_of_step(result))
        drop_connection(pool, call->connection);
}

void
db_call(struct db_pool *pool, const char *token, const struct db_statement *statement,
        const char *const *parameters, const struct db_limits *limits, struct db_result *result)
{
    long long now = clock_now();
    long long timeout =
        limits->is_quick ? QUICK_TIMEOUT : (long long)pool->config->database_timeout * 1000;
    struct call call = {.deadline = now + timeout};

    *result = (struct db_result){.outcome = DB_BUSY};
    if (limits->hashes && !take_hash_slot(pool, now + HASH_WAIT))
        return;
    call.connection = get_connection(pool, clock_now() + CONNECTION_WAIT, &result->outcome);
    if (call.connection != NULL) {
        run_call(pool, &call, token, statement, parameters, result);
        give_connection(pool, call.connection);
    }
    if (limits->hashes)
        give_hash_slot(pool);
}

void
db_result_free(struct db_result *result)
{
    PQclear(result->owner);
    result->owner = NULL;
}
