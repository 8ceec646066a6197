/* SPDX-License-Identifier: MIT
 *
 * db.c: a call from its beginning to its end: its place in the lane or the pool, and its connection.
 */
#include <stdlib.h>

#include "clock.h"
#include "db.h"
#include "db_call.h"
#include "db_pool.h"
#include "db_shared.h"

/* How long a call waits, in milliseconds: for a connection, for a place to hash, and never longer
 * than its deadline. */
#define CONNECTION_WAIT 2000
#define HASH_WAIT       5000

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
        if (!lane_enter(&pool->lane, limits->client, clock_earlier(call.deadline, HASH_WAIT),
                        &result->retry_after))
            return;
        entered = clock_microseconds();
    }
    run(pool, &call, limits, result);
    if (limits->hashes)
        lane_leave(&pool->lane, entered);
}

void
db_result_free(struct db_result *result)
{
    PQclear(result->owner);
    result->owner = NULL;
}
