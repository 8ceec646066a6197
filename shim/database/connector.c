/* SPDX-License-Identifier: MIT
 *
 * connector.c: see connector.h.
 *
 * Connecting is this thread's alone.  So there is one attempt at a time, however many requests wait, with a pause
 * after one that failed; and where it hangs, in a look-up of a name or in a server that does not answer, no
 * request hangs with it: each ends at its own deadline.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "config/config.h"
#include "database/connect.h"
#include "database/connector.h"
#include "database/pool.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

/* After an attempt that failed the next is made so many milliseconds later at least, after more of them at most. */
#define PAUSE_MIN 100
#define PAUSE_MAX 1000

/* How long its end is waited for, in seconds: as long as libpq tries one host. */
#define STOP_PATIENCE 3

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

/* NULL after a line in the log. */
static PGconn *
make_connection(void)
{
    PGconn *pg = db_connect(config_now(), NULL);
    const char *refused = refuse_connection(pg);

    if (refused == NULL) {
        PQsetNoticeProcessor(pg, log_notice, NULL);
        log_event(LEVEL_DEBUG, "connected to the database", NULL, NULL);
        metrics_add(METRIC_CONNECTIONS_MADE);
        return pg;
    }
    log_event(LEVEL_ERROR, "no connection to the database", "error", refused);
    metrics_add(METRIC_CONNECTIONS_FAILED);
    PQfinish(pg);
    return NULL;
}

/* Try to make one; the mutex is held, but not meanwhile. */
static void
connect_one(struct db_pool *pool)
{
    struct connection *connection = pool->unmade[--pool->unmade_count];

    connection->generation = pool->generation;
    connection->prepared = 0;
    pool->connecting = true;
    pthread_mutex_unlock(&pool->mutex);
    connection->pg = make_connection();
    pthread_mutex_lock(&pool->mutex);
    pool->connecting = false;
    /* Other settings count by now: what was made with those before serves nobody, and what failed says nothing. */
    if (connection->generation != pool->generation) {
        pool_drop(connection);
        pool->unmade[pool->unmade_count++] = connection;
        return;
    }
    if (connection->pg != NULL) {
        pool->pause = 0;
        pool->connect_after = 0;
        pool->idle[pool->idle_count++] = connection;
        pool_serve_line(pool);
        return;
    }
    pool->unmade[pool->unmade_count++] = connection;
    pool->pause = pool->pause == 0 ? PAUSE_MIN : 2 * pool->pause;
    if (pool->pause > PAUSE_MAX)
        pool->pause = PAUSE_MAX;
    /* Many fronts do not come back at the same moment. */
    pool->connect_after = clock_now() + pool->pause - clock_microseconds() % (pool->pause / 4);
    pool_dismiss_hopeless(pool);
}

static void *
run(void *context)
{
    struct db_pool *pool = context;
    bool is_first = true; /* one is made before it is asked for, while the threads of HTTP are */

    pthread_mutex_lock(&pool->mutex);
    while (!pool->stopping) {
        struct timespec until = clock_timespec(pool->connect_after);

        if (!pool_wants_more(pool) && !is_first)
            pthread_cond_wait(&pool->demand, &pool->mutex);
        else if (clock_now() < pool->connect_after)
            pthread_cond_timedwait(&pool->demand, &pool->mutex, &until);
        else {
            connect_one(pool);
            is_first = false;
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

bool
connector_start(struct db_pool *pool)
{
    clock_condition(&pool->demand);
    return pthread_create(&pool->connector, NULL, run, pool) == 0;
}

bool
connector_stop(struct db_pool *pool)
{
    struct timespec until;

    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    pthread_cond_signal(&pool->demand);
    pthread_mutex_unlock(&pool->mutex);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_PATIENCE;
    if (pthread_timedjoin_np(pool->connector, NULL, &until) != 0)
        return false;
    pthread_cond_destroy(&pool->demand);
    return true;
}
