/* SPDX-License-Identifier: MIT
 *
 * maintenance.c: see maintenance.h.
 *
 * A step is a call as any other: it waits its turn for a connection, and holds one for some milliseconds.
 * Several fronts need not know of each other: the database does one step at a time, and answers the others
 * that there is nothing to do.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/config.h"
#include "database/database.h"
#include "database/maintenance.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

/* Between the steps of one run, in milliseconds: clients come first. */
#define STEP_PAUSE 50

static const struct db_statement maintain_statement = {
    DB_MAINTENANCE_STATEMENT, "SELECT auth.maintain()::pg_catalog.text", 0};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended;
static bool ending;
static bool started;
static pthread_t thread;
static struct db_pool *pool;
static long long interval; /* milliseconds */

/* Wait so many milliseconds; false where the end came. */
static bool
pause_for(long long milliseconds)
{
    struct timespec until = clock_timespec(clock_now() + milliseconds);
    bool goes_on;

    pthread_mutex_lock(&mutex);
    while (!ending && pthread_cond_timedwait(&ended, &mutex, &until) == 0)
        continue;
    goes_on = !ending;
    pthread_mutex_unlock(&mutex);
    return goes_on;
}

/* One call; how many rows it deleted, or -1 where it failed.  What the pool has to say it logs itself. */
static long long
take_step(void)
{
    const struct db_caller nobody = {0};
    const struct db_limits limits = {.may_wait = true};
    struct db_result result;
    long long deleted = -1;
    bool is_standby;

    db_call(pool, &nobody, &maintain_statement, NULL, &limits, &result);
    if (result.outcome == DB_DONE)
        deleted = result.is_null ? 0 : atoll(result.value);
    /* A server that takes no writes has no rows to delete either: its primary has. */
    is_standby = result.outcome == DB_ERROR && strcmp(result.sqlstate, "25006") == 0;
    if (result.outcome != DB_DONE && !is_standby)
        metrics_add(METRIC_MAINTENANCE_FAILURES);
    if (result.outcome == DB_ERROR) {
        struct log_line line;

        log_begin(&line, is_standby ? LEVEL_DEBUG : LEVEL_WARNING, "maintenance failed");
        log_text(&line, "sqlstate", result.sqlstate);
        log_text(&line, "error", result.message);
        log_end(&line);
    }
    db_result_free(&result);
    return deleted;
}

/* Steps until there is nothing to delete. */
static void
run_once(void)
{
    long long begin = clock_microseconds();
    long long deleted = 0;
    long long step = 0;
    struct log_line line;

    do {
        deleted += step;
        step = take_step();
    } while (step > 0 && pause_for(STEP_PAUSE));
    metrics_add(METRIC_MAINTENANCE_RUNS);
    log_begin(&line, LEVEL_DEBUG, "maintenance");
    log_number(&line, "rows_deleted", deleted + (step > 0 ? step : 0));
    log_milliseconds(&line, "duration_ms", clock_microseconds() - begin);
    log_end(&line);
}

static void *
run(void *nothing)
{
    (void)nothing;
    while (pause_for(interval))
        run_once();
    return NULL;
}

bool
maintenance_start(const struct config *config, struct db_pool *used)
{
    if (config->maintenance_interval == 0)
        return true;
    pool = used;
    interval = (long long)config->maintenance_interval * 1000;
    clock_condition(&ended);
    started = pthread_create(&thread, NULL, run, NULL) == 0;
    return started;
}

void
maintenance_end(void)
{
    pthread_mutex_lock(&mutex);
    ending = true;
    if (started)
        pthread_cond_signal(&ended);
    pthread_mutex_unlock(&mutex);
}

void
maintenance_join(void)
{
    if (started)
        pthread_join(thread, NULL);
}
