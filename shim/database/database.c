/* SPDX-License-Identifier: MIT
 *
 * database.c: what the pool consists of, and a call from its beginning to its end: its slot in the hash queue, and
 * its connection.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "config/config.h"
#include "database/call.h"
#include "database/connector.h"
#include "database/database.h"
#include "database/hash_queue.h"
#include "database/pool.h"
#include "database/shared.h"

/* How long a call waits, in milliseconds: for a connection, for a place to hash, and never longer
 * than its deadline. */
#define CONNECTION_WAIT 2000
#define HASH_WAIT       5000

/* ---- Beginning and end ------------------------------------------------------------------ */

/* How many connections calls that may wait can have: some are kept for those that hash, that share, and one. */
static int
slow_max(const struct db_pool *pool, int hash_slots)
{
    int others = (hash_slots < pool->size ? hash_slots : pool->size - 1) + pool->shared_count + 1;

    return pool->size > others ? pool->size - others : 1;
}

static void
release(struct db_pool *pool)
{
    shared_close(pool);
    pool_close(pool);
    free(pool);
}

struct db_pool *
db_pool_open(const struct config *config)
{
    struct db_pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return NULL;
    if (!pool_open(pool, config->pool_size) || !shared_open(pool)) {
        release(pool);
        return NULL;
    }
    pool->slow_max = slow_max(pool, config->hash_slots);
    /* Hashing must leave a connection for everybody else. */
    hash_queue_open(&pool->hashes, pool->size > 1 ? pool->size - 1 : 1);
    if (!connector_start(pool)) {
        hash_queue_close(&pool->hashes);
        release(pool);
        return NULL;
    }
    return pool;
}

void
db_pool_close(struct db_pool *pool)
{
    /* Where it hangs, in a look-up of a name for one, it ends with the process. */
    if (!connector_stop(pool))
        return;
    hash_queue_close(&pool->hashes);
    release(pool);
}

void
db_pool_reload(struct db_pool *pool, bool is_another_database)
{
    hash_queue_reload(&pool->hashes);
    pool_reload(pool, is_another_database);
}

void
db_pool_state(struct db_pool *pool, struct db_state *state)
{
    pool_state(pool, state);
    hash_queue_state(&pool->hashes, state);
}

/* ---- A call ----------------------------------------------------------------------------- */

/* Make a call over a connection of its own. */
static void
run_alone(struct call *call, struct connection *connection)
{
    enum call_state state = call_send(call, connection) ? CALL_WAITS : CALL_LOST;

    while (state == CALL_WAITS) {
        state = call_read(call);
        if (state == CALL_WAITS && !call_wait(call))
            state = CALL_LOST;
    }
    if (state == CALL_LOST)
        call_lose(call);
    if (!call_leaves_clean(call))
        pool_drop(connection);
}

static enum pool_use
use_of(const struct db_limits *limits)
{
    return limits->hashes ? USE_HASH : limits->may_wait ? USE_SLOW : USE_QUICK;
}

/* Make a call over a connection that is to be had, its own or one that is shared. */
static void
run(struct db_pool *pool, struct call *call, const struct db_limits *limits,
    struct db_result *result)
{
    long long moment = clock_earlier(call->deadline, CONNECTION_WAIT);
    struct connection *own;

    if (limits->is_brief && pool->shared_count > 0) {
        if (shared_call(pool, call, moment, &result->outcome))
            call_finish(call, result);
        return;
    }
    own = pool_get(pool, use_of(limits), moment, &result->outcome);
    if (own == NULL)
        return;
    result->outcome = DB_BUSY;
    if (clock_now() < call->deadline) {
        run_alone(call, own);
        call_finish(call, result);
    }
    pool_give(pool, own);
}

void
db_call(struct db_pool *pool, const struct db_caller *caller, const struct db_statement *statement,
        const char *const *parameters, const struct db_limits *limits, struct db_result *result)
{
    long long timeout = (long long)config_now()->database_timeout * 1000;
    struct call call = {.caller = caller,
                        .statement = statement,
                        .parameters = parameters,
                        .is_brief = limits->is_brief,
                        .deadline = clock_earlier(clock_now() + timeout,
                                                  limits->patience ? limits->patience : timeout)};
    long long entered = 0;

    *result = (struct db_result){.outcome = DB_CROWDED};
    if (limits->hashes) {
        if (!hash_queue_enter(&pool->hashes, limits->client,
                              clock_earlier(call.deadline, HASH_WAIT), &result->retry_after))
            return;
        entered = clock_microseconds();
    }
    run(pool, &call, limits, result);
    if (limits->hashes)
        hash_queue_leave(&pool->hashes, entered);
}

void
db_result_free(struct db_result *result)
{
    PQclear(result->owner);
    result->owner = NULL;
}
