/* SPDX-License-Identifier: MIT
 *
 * hash_queue.c: see hash_queue.h.
 */
#include <stddef.h>
#include <string.h>

#include "base/address.h"
#include "base/client.h"
#include "base/clock.h"
#include "config/config.h"
#include "database/database.h"
#include "database/hash_queue.h"
#include "telemetry/metrics.h"

/* So much of the mean is the time of the last one: 1 of ... */
#define MEAN_WEIGHT 8

/* What a client is told at most, in seconds. */
#define RETRY_AFTER_MAX 30

/* Who waits for a slot; its connection stays open as long as it is in the line. */
struct hash_queue_waiter {
    struct hash_queue_waiter *next;
    pthread_cond_t wake;
    int socket;
    unsigned char network[CLIENT_NETWORK_SIZE];
    long long round; /* of each network one is served in a round */
    bool entered;
    bool is_refused; /* its client has gone, or it made way for another */
};

void
hash_queue_open(struct hash_queue *queue, int slots_max)
{
    *queue = (struct hash_queue){.slots_max = slots_max};
    pthread_mutex_init(&queue->mutex, NULL);
}

void
hash_queue_close(struct hash_queue *queue)
{
    pthread_mutex_destroy(&queue->mutex);
}

static int
slots(const struct hash_queue *queue)
{
    int wanted = config_now()->hash_slots;

    return wanted < queue->slots_max ? wanted : queue->slots_max;
}

/* How many may wait: threads are for everybody, so about a quarter of them. */
static int
waiting_max(void)
{
    return config_now()->threads / 4 + 1;
}

/* The round in which who joins the line now is served: the next of those in which its network has nobody. */
static long long
next_round(const struct hash_queue *queue, const unsigned char *network)
{
    const struct hash_queue_waiter *waiter;
    long long round = queue->round;

    for (waiter = queue->line; waiter != NULL; waiter = waiter->next)
        if (memcmp(waiter->network, network, CLIENT_NETWORK_SIZE) == 0)
            round = waiter->round;
    return round + 1;
}

/* Where who is served in this round stands in the line, behind those who are there already. */
static struct hash_queue_waiter **
end_of_round(struct hash_queue *queue, long long round, int *ahead)
{
    struct hash_queue_waiter **link = &queue->line;

    for (*ahead = 0; *link != NULL && (*link)->round <= round; link = &(*link)->next)
        ++*ahead;
    return link;
}

/* Seconds until one of this network who joined the line now would have its turn. */
static int
seconds_to_wait(struct hash_queue *queue, const unsigned char *network)
{
    int before;
    long long ahead;
    long long seconds;

    end_of_round(queue, next_round(queue, network), &before);
    ahead = before + queue->taken + 1 - slots(queue);
    seconds = (ahead * queue->mean / slots(queue) + 999999) / 1000000;
    return seconds < 1 ? 1 : seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : (int)seconds;
}

static void
leave_line(struct hash_queue *queue, struct hash_queue_waiter *waiter)
{
    struct hash_queue_waiter **link;

    for (link = &queue->line; *link != NULL; link = &(*link)->next)
        if (*link == waiter) {
            *link = waiter->next;
            queue->waiting--;
            return;
        }
}

static void
join_line(struct hash_queue *queue, struct hash_queue_waiter *waiter)
{
    struct hash_queue_waiter **link;
    int ahead;

    waiter->round = next_round(queue, waiter->network);
    link = end_of_round(queue, waiter->round, &ahead);
    waiter->next = *link;
    *link = waiter;
    queue->waiting++;
}

static void
refuse(struct hash_queue *queue, struct hash_queue_waiter *waiter)
{
    leave_line(queue, waiter);
    waiter->is_refused = true;
    pthread_cond_signal(&waiter->wake);
}

/* There is one too many: the last goes, who is of the network with the most. */
static void
refuse_last(struct hash_queue *queue)
{
    struct hash_queue_waiter *last = queue->line;

    while (last->next != NULL)
        last = last->next;
    refuse(queue, last);
}

/* Send those home whose clients are not there any more. */
static void
drop_gone(struct hash_queue *queue)
{
    struct hash_queue_waiter *waiter;
    struct hash_queue_waiter *next;

    for (waiter = queue->line; waiter != NULL; waiter = next) {
        next = waiter->next;
        if (client_is_gone(waiter->socket))
            refuse(queue, waiter);
    }
}

/* Give free slots to the first in the line; a hash for a client that has gone would be for nobody. */
static void
serve_line(struct hash_queue *queue)
{
    while (queue->line != NULL && queue->taken < slots(queue)) {
        struct hash_queue_waiter *first = queue->line;

        if (client_is_gone(first->socket)) {
            refuse(queue, first);
            continue;
        }
        leave_line(queue, first);
        queue->round = first->round;
        queue->taken++;
        first->entered = true;
        pthread_cond_signal(&first->wake);
    }
}

/* Stand in the line; false at the deadline, or when the client has gone, or where others were to be served first. */
static bool
wait_in_line(struct hash_queue *queue, struct hash_queue_waiter *waiter, long long deadline)
{
    struct timespec until = clock_timespec(deadline);

    clock_condition(&waiter->wake);
    join_line(queue, waiter);
    if (queue->waiting > waiting_max())
        refuse_last(queue);
    while (!waiter->entered && !waiter->is_refused)
        if (pthread_cond_timedwait(&waiter->wake, &queue->mutex, &until) != 0)
            break;
    leave_line(queue, waiter);
    pthread_cond_destroy(&waiter->wake);
    return waiter->entered;
}

static bool
enter_at_once(struct hash_queue *queue)
{
    if (queue->line != NULL || queue->taken >= slots(queue))
        return false;
    queue->taken++;
    return true;
}

bool
hash_queue_enter(struct hash_queue *queue, const struct client *client, long long deadline,
                 int *retry_after)
{
    struct hash_queue_waiter waiter = {0};
    bool entered;

    *retry_after = 0;
    pthread_mutex_lock(&queue->mutex);
    entered = enter_at_once(queue);
    if (!entered) {
        pthread_mutex_unlock(&queue->mutex);
        waiter.socket = client_socket(client); /* it looks at many */
        client_address_network(client ? client->origin : NULL, waiter.network);
        pthread_mutex_lock(&queue->mutex);
        if (queue->waiting >= waiting_max())
            drop_gone(queue);
        entered = enter_at_once(queue) || wait_in_line(queue, &waiter, deadline);
        if (!entered) {
            *retry_after = seconds_to_wait(queue, waiter.network);
            metrics_add(METRIC_HASHES_REFUSED);
        }
    }
    pthread_mutex_unlock(&queue->mutex);
    return entered;
}

void
hash_queue_leave(struct hash_queue *queue, long long entered)
{
    long long held = clock_microseconds() - entered;

    pthread_mutex_lock(&queue->mutex);
    queue->mean = queue->is_known ? queue->mean + (held - queue->mean) / MEAN_WEIGHT : held;
    queue->is_known = true;
    queue->taken--;
    serve_line(queue);
    pthread_mutex_unlock(&queue->mutex);
}

void
hash_queue_reload(struct hash_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    serve_line(queue);
    pthread_mutex_unlock(&queue->mutex);
}

void
hash_queue_state(struct hash_queue *queue, struct db_state *state)
{
    pthread_mutex_lock(&queue->mutex);
    state->hash_slots = slots(queue);
    state->hashing = queue->taken;
    state->hash_waiting = queue->waiting;
    pthread_mutex_unlock(&queue->mutex);
}
