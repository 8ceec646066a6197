/* SPDX-License-Identifier: MIT
 *
 * db_shared.c: see db_shared.h.
 *
 * A backend that waits for each call is woken for each, and so is who waits for its answer: that costs more than
 * a brief call itself.  So calls that wait for nobody share connections.  They are sent one behind the other, each a
 * transaction of its own, and PostgreSQL answers them in that order; while it works on some, more come together,
 * and go out at once: the more there are, the less each costs.
 *
 * Of the threads that wait for an answer one leads, who alone touches the connection: it sends what has come
 * together, and reads for everybody.  When it has its own answer, the lead goes to the first of those that still
 * wait.  All have the same patience, so it is the first whose time is up; then the connection is lost for all whose
 * calls were sent.
 */
#include <semaphore.h>

#include "clock.h"
#include "db_shared.h"

enum ticket_state { TICKET_WAITS, TICKET_LEADS, TICKET_ENDED };

/* A call that a thread waits for; it is that thread's, and gone when it has ended. */
struct ticket {
    struct ticket *next;
    struct call *call;
    enum ticket_state state;
    long long moment;        /* until then it waits for a connection */
    enum db_outcome refused; /* why it was not sent; DB_DONE: it was */
    sem_t turn;              /* posted when it has ended, or leads */
};

static void
clear(struct ticket_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void
append(struct ticket_list *list, struct ticket *ticket)
{
    ticket->next = NULL;
    *list->end = ticket;
    list->end = &ticket->next;
}

static struct ticket *
take_first(struct ticket_list *list)
{
    struct ticket *first = list->first;

    if (first != NULL) {
        list->first = first->next;
        if (list->first == NULL)
            clear(list);
    }
    return first;
}

void
shared_open(struct db_pool *pool)
{
    int i;

    for (i = 0; i < pool->shared_count; i++) {
        pthread_mutex_init(&pool->shared[i].mutex, NULL);
        clear(&pool->shared[i].come);
        clear(&pool->shared[i].sent);
    }
}

void
shared_close(struct db_pool *pool)
{
    int i;

    for (i = 0; i < pool->shared_count; i++)
        pthread_mutex_destroy(&pool->shared[i].mutex);
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

/* ---- What the leader does --------------------------------------------------------------- */

/* A call has ended; the thread that waits for it may be gone after this. */
static void
end_ticket(struct shared *shared, struct ticket *ticket)
{
    bool is_leader = ticket->state == TICKET_LEADS;

    atomic_fetch_sub(&shared->count, 1);
    ticket->state = TICKET_ENDED;
    if (!is_leader)
        sem_post(&ticket->turn);
}

/* The next of those that have come; NULL: there is none. */
static struct ticket *
next_to_send(struct shared *shared)
{
    struct ticket *ticket;

    pthread_mutex_lock(&shared->mutex);
    ticket = take_first(&shared->come);
    pthread_mutex_unlock(&shared->mutex);
    return ticket;
}

/* Give the connection back, where there is one. */
static void
give_back(struct db_pool *pool, struct shared *shared)
{
    struct connection *connection = shared->connection;

    if (connection == NULL)
        return;
    if (shared->is_spoilt)
        pool_drop(connection);
    shared->connection = NULL;
    shared->is_spoilt = false;
    pool_give(pool, connection);
}

/* Nothing that comes over this connection is to be trusted any more. */
static void
lose(struct db_pool *pool, struct shared *shared)
{
    struct ticket *ticket;

    shared->is_spoilt = true;
    while ((ticket = take_first(&shared->sent)) != NULL) {
        call_lose(ticket->call);
        end_ticket(shared, ticket);
    }
    give_back(pool, shared);
}

/* Whether the first of those that have come need not try for itself. */
static bool
is_hopeless(struct shared *shared, enum db_outcome why, long long now)
{
    bool is;

    pthread_mutex_lock(&shared->mutex);
    is = shared->come.first != NULL && (why != DB_BUSY || shared->come.first->moment <= now);
    pthread_mutex_unlock(&shared->mutex);
    return is;
}

/* There is no connection for the first that has come, who leads, nor for those who waited as long, or for anybody. */
static void
refuse(struct shared *shared, enum db_outcome why)
{
    long long now = clock_now();

    do {
        struct ticket *ticket = next_to_send(shared);

        ticket->refused = why;
        end_ticket(shared, ticket);
    } while (is_hopeless(shared, why, now));
}

/* Whether the connection may take another call; one that may not is given back behind its last answer. */
static bool
takes_more(const struct db_pool *pool, const struct shared *shared)
{
    return !shared->is_spoilt && shared->connection->generation == atomic_load(&pool->generation);
}

/* Send the calls that have come, and have a connection for them. */
static void
send_come(struct db_pool *pool, struct shared *shared, long long moment)
{
    enum db_outcome why = DB_BUSY;
    struct ticket *ticket;

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
    while ((ticket = next_to_send(shared)) != NULL) {
        append(&shared->sent, ticket);
        if (!call_send(ticket->call, shared->connection)) {
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
            shared->is_spoilt = true;
        end_ticket(shared, take_first(&shared->sent));
    }
}

/* Work for all until the own call has ended. */
static void
lead(struct db_pool *pool, struct shared *shared, struct ticket *ticket)
{
    while (ticket->state != TICKET_ENDED) {
        send_come(pool, shared, ticket->moment);
        hand_out(pool, shared);
        if (ticket->state != TICKET_ENDED && shared->connection != NULL && !call_wait(ticket->call))
            lose(pool, shared);
    }
}

/* Leave the lead to the next, or, where nobody waits, the connection to the pool. */
static void
resign(struct db_pool *pool, struct shared *shared)
{
    struct ticket *next = shared->sent.first;

    pthread_mutex_lock(&shared->mutex);
    if (next == NULL)
        next = shared->come.first;
    if (next == NULL) {
        give_back(pool, shared);
        shared->is_led = false;
    }
    pthread_mutex_unlock(&shared->mutex);
    if (next != NULL) {
        next->state = TICKET_LEADS;
        sem_post(&next->turn);
    }
}

/* ---- A call ----------------------------------------------------------------------------- */

bool
shared_call(struct db_pool *pool, struct call *call, long long moment, enum db_outcome *why)
{
    struct shared *shared = choose_shared(pool);
    struct ticket ticket = {.call = call, .moment = moment, .refused = DB_DONE};
    bool leads;

    sem_init(&ticket.turn, 0, 0);
    atomic_fetch_add(&shared->count, 1);
    pthread_mutex_lock(&shared->mutex);
    append(&shared->come, &ticket);
    leads = !shared->is_led;
    if (leads)
        ticket.state = TICKET_LEADS;
    shared->is_led = true;
    pthread_mutex_unlock(&shared->mutex);
    /* From now on its state is others' business, until they say so. */
    while (!leads && sem_wait(&ticket.turn) != 0)
        continue;
    if (ticket.state == TICKET_LEADS) {
        lead(pool, shared, &ticket);
        resign(pool, shared);
    }
    sem_destroy(&ticket.turn);
    *why = ticket.refused;
    return ticket.refused == DB_DONE;
}
