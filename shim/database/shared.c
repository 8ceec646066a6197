/* SPDX-License-Identifier: MIT
 *
 * shared.c: see shared.h.
 *
 * A backend that waits for each call is woken for each, and so is who waits for its answer: that costs more than
 * a brief call itself.  So calls that wait for nobody share connections.  They are sent one behind the other, each a
 * transaction of its own, and PostgreSQL answers them in that order; while it works on some, more come together,
 * and go out at once: the more there are, the less each costs.
 *
 * This is flat combining (Hendler et al., SPAA 2010): of the threads that wait for an answer one, the combiner, alone
 * touches the connection: it sends what has come together, and reads for everybody.  When it has its own answer, the
 * first of those that still wait takes over.  All have the same patience, so it is the first whose time is up; then the connection is lost for all whose
 * calls were sent.
 */
#include <semaphore.h>
#include <stdlib.h>

#include "base/clock.h"
#include "database/call.h"
#include "database/database.h"
#include "database/pool.h"
#include "database/shared.h"

/* Of so many connections one is shared by those whose calls are brief. */
#define CONNECTIONS_PER_SHARED 6

enum pending_state { PENDING_WAITS, PENDING_COMBINES, PENDING_ENDED };

/* A call that a thread waits for; it is that thread's, and gone when it has ended. */
struct pending_call {
    struct pending_call *next;
    struct call *call;
    enum pending_state state;
    long long moment;        /* until then it waits for a connection */
    enum db_outcome refused; /* why it was not sent; DB_DONE: it was */
    sem_t turn;              /* posted when it has ended, or combines */
};

struct call_list {
    struct pending_call *first;
    struct pending_call **end;
};

/* A connection that calls share, while there are any: shared.c. */
struct shared {
    pthread_mutex_t mutex; /* for has_combiner and incoming; all else is the combiner's */
    bool has_combiner;
    struct call_list incoming; /* calls that are not sent yet */
    struct call_list sent;     /* whose answers are due, in this order */
    struct connection *connection;
    bool is_broken;   /* the connection takes no more calls, and is dropped */
    atomic_int count; /* of calls; everybody's */
};

static void
clear(struct call_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void
append(struct call_list *list, struct pending_call *pending)
{
    pending->next = NULL;
    *list->end = pending;
    list->end = &pending->next;
}

static struct pending_call *
take_first(struct call_list *list)
{
    struct pending_call *first = list->first;

    if (first != NULL) {
        list->first = first->next;
        if (list->first == NULL)
            clear(list);
    }
    return first;
}

bool
shared_open(struct db_pool *pool)
{
    int count = pool->size / CONNECTIONS_PER_SHARED;
    int i;

    pool->shared = calloc((size_t)count + 1, sizeof(*pool->shared));
    if (pool->shared == NULL)
        return false;
    for (i = 0; i < count; i++) {
        pthread_mutex_init(&pool->shared[i].mutex, NULL);
        clear(&pool->shared[i].incoming);
        clear(&pool->shared[i].sent);
    }
    pool->shared_count = count;
    return true;
}

void
shared_close(struct db_pool *pool)
{
    int i;

    for (i = 0; i < pool->shared_count; i++)
        pthread_mutex_destroy(&pool->shared[i].mutex);
    free(pool->shared);
}

/* The one with the fewest calls, the first of them. */
static struct shared *
choose_shared(struct db_pool *pool)
{
    struct shared *best = &pool->shared[0];
    int i;

    for (i = 1; i < pool->shared_count; i++)
        if (atomic_load(&pool->shared[i].count) < atomic_load(&best->count))
            best = &pool->shared[i];
    return best;
}

/* ---- What the combiner does --------------------------------------------------------------- */

/* A call has ended; the thread that waits for it may be gone after this. */
static void
end_pending(struct shared *shared, struct pending_call *pending)
{
    bool is_combiner = pending->state == PENDING_COMBINES;

    atomic_fetch_sub(&shared->count, 1);
    pending->state = PENDING_ENDED;
    if (!is_combiner)
        sem_post(&pending->turn);
}

/* The next of those that have come; NULL: there is none. */
static struct pending_call *
next_to_send(struct shared *shared)
{
    struct pending_call *pending;

    pthread_mutex_lock(&shared->mutex);
    pending = take_first(&shared->incoming);
    pthread_mutex_unlock(&shared->mutex);
    return pending;
}

/* Give the connection back, where there is one. */
static void
give_back(struct db_pool *pool, struct shared *shared)
{
    struct connection *connection = shared->connection;

    if (connection == NULL)
        return;
    if (shared->is_broken)
        pool_drop(connection);
    shared->connection = NULL;
    shared->is_broken = false;
    pool_give(pool, connection);
}

/* Nothing that comes over this connection is to be trusted any more. */
static void
lose(struct db_pool *pool, struct shared *shared)
{
    struct pending_call *pending;

    shared->is_broken = true;
    while ((pending = take_first(&shared->sent)) != NULL) {
        call_lose(pending->call);
        end_pending(shared, pending);
    }
    give_back(pool, shared);
}

/* Whether the first of those that have come need not try for itself. */
static bool
is_hopeless(struct shared *shared, enum db_outcome why, long long now)
{
    bool is;

    pthread_mutex_lock(&shared->mutex);
    is =
        shared->incoming.first != NULL && (why != DB_BUSY || shared->incoming.first->moment <= now);
    pthread_mutex_unlock(&shared->mutex);
    return is;
}

/* There is no connection for the first that has come, whose thread combines, nor for those who waited as long, or for anybody. */
static void
refuse(struct shared *shared, enum db_outcome why)
{
    long long now = clock_now();

    do {
        struct pending_call *pending = next_to_send(shared);

        pending->refused = why;
        end_pending(shared, pending);
    } while (is_hopeless(shared, why, now));
}

/* Whether the connection may take another call; one that may not is given back behind its last answer. */
static bool
takes_more(const struct db_pool *pool, const struct shared *shared)
{
    return !shared->is_broken && shared->connection->generation == atomic_load(&pool->generation);
}

/* Send the calls that have come, and have a connection for them. */
static void
send_incoming(struct db_pool *pool, struct shared *shared, long long moment)
{
    enum db_outcome why = DB_BUSY;
    struct pending_call *pending;

    if (shared->connection != NULL && !takes_more(pool, shared)) {
        if (shared->sent.first != NULL)
            return;
        give_back(pool, shared);
    }
    if (shared->connection == NULL) {
        shared->connection = pool_get(pool, USE_QUICK, moment, &why);
        if (shared->connection == NULL) {
            refuse(shared, why);
            return;
        }
    }
    while ((pending = next_to_send(shared)) != NULL) {
        append(&shared->sent, pending);
        if (!call_send(pending->call, shared->connection)) {
            lose(pool, shared);
            return;
        }
    }
    if (!calls_flush(shared->connection))
        lose(pool, shared);
}

/* Hand out the answers that have come. */
static void
hand_out(struct db_pool *pool, struct shared *shared)
{
    while (shared->sent.first != NULL) {
        struct call *call = shared->sent.first->call;
        enum call_state state = call_read(call);

        if (state == CALL_WAITS)
            return;
        if (state == CALL_LOST) {
            lose(pool, shared);
            return;
        }
        if (!call_leaves_clean(call))
            shared->is_broken = true;
        end_pending(shared, take_first(&shared->sent));
    }
}

/* Work for all until the own call has ended. */
static void
combine(struct db_pool *pool, struct shared *shared, struct pending_call *pending)
{
    while (pending->state != PENDING_ENDED) {
        send_incoming(pool, shared, pending->moment);
        hand_out(pool, shared);
        if (pending->state != PENDING_ENDED && shared->connection != NULL &&
            !call_wait(pending->call))
            lose(pool, shared);
    }
}

/* Leave combining to the next, or, where nobody waits, the connection to the pool. */
static void
hand_over(struct db_pool *pool, struct shared *shared)
{
    struct pending_call *next = shared->sent.first;

    pthread_mutex_lock(&shared->mutex);
    if (next == NULL)
        next = shared->incoming.first;
    if (next == NULL) {
        give_back(pool, shared);
        shared->has_combiner = false;
    }
    pthread_mutex_unlock(&shared->mutex);
    if (next != NULL) {
        next->state = PENDING_COMBINES;
        sem_post(&next->turn);
    }
}

/* ---- A call ----------------------------------------------------------------------------- */

bool
shared_call(struct db_pool *pool, struct call *call, long long moment, enum db_outcome *why)
{
    struct shared *shared = choose_shared(pool);
    struct pending_call pending = {.call = call, .moment = moment, .refused = DB_DONE};
    bool combines;

    sem_init(&pending.turn, 0, 0);
    atomic_fetch_add(&shared->count, 1);
    pthread_mutex_lock(&shared->mutex);
    append(&shared->incoming, &pending);
    combines = !shared->has_combiner;
    if (combines)
        pending.state = PENDING_COMBINES;
    shared->has_combiner = true;
    pthread_mutex_unlock(&shared->mutex);
    /* From now on its state is others' business, until they say so. */
    while (!combines && sem_wait(&pending.turn) != 0)
        continue;
    if (pending.state == PENDING_COMBINES) {
        combine(pool, shared, &pending);
        hand_over(pool, shared);
    }
    sem_destroy(&pending.turn);
    *why = pending.refused;
    return pending.refused == DB_DONE;
}
