/* SPDX-License-Identifier: MIT
 *
 * db_lane.c: see db_lane.h.
 */
#include <stddef.h>
#include <string.h>

#include "client_address.h"
#include "clock.h"
#include "config.h"
#include "db_lane.h"
#include "metrics.h"

/* So much of the mean is the time of the last one: 1 of ... */
#define MEAN_WEIGHT 8

/* What a client is told at most, in seconds. */
#define RETRY_AFTER_MAX 30

/* Who waits for a place; its connection stays open as long as it is in the line. */
struct lane_waiter {
    struct lane_waiter *next;
    pthread_cond_t wake;
    int socket;
    unsigned char network[CLIENT_NETWORK_SIZE];
    long long round; /* of each network one is served in a round */
    bool entered;
    bool is_refused; /* its client has gone, or it made way for another */
};

void
lane_open(struct lane *lane, int places_max)
{
    *lane = (struct lane){.places_max = places_max};
    pthread_mutex_init(&lane->mutex, NULL);
}

void
lane_close(struct lane *lane)
{
    pthread_mutex_destroy(&lane->mutex);
}

static int
places(const struct lane *lane)
{
    int wanted = config_now()->hash_slots;

    return wanted < lane->places_max ? wanted : lane->places_max;
}

/* How many may wait: threads are for everybody, so about a quarter of them. */
static int
waiting_max(void)
{
    return config_now()->threads / 4 + 1;
}

/* The round in which who joins the line now is served: the next of those in which its network has nobody. */
static long long
next_round(const struct lane *lane, const unsigned char *network)
{
    const struct lane_waiter *waiter;
    long long round = lane->round;

    for (waiter = lane->line; waiter != NULL; waiter = waiter->next)
        if (memcmp(waiter->network, network, CLIENT_NETWORK_SIZE) == 0)
            round = waiter->round;
    return round + 1;
}

/* Where who is served in this round stands in the line, behind those who are there already. */
static struct lane_waiter **
end_of_round(struct lane *lane, long long round, int *ahead)
{
    struct lane_waiter **link = &lane->line;

    for (*ahead = 0; *link != NULL && (*link)->round <= round; link = &(*link)->next)
        ++*ahead;
    return link;
}

/* Seconds until one of this network who joined the line now would have its turn. */
static int
seconds_to_wait(struct lane *lane, const unsigned char *network)
{
    int before;
    long long ahead;
    long long seconds;

    end_of_round(lane, next_round(lane, network), &before);
    ahead = before + lane->taken + 1 - places(lane);
    seconds = (ahead * lane->mean / places(lane) + 999999) / 1000000;
    return seconds < 1 ? 1 : seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : (int)seconds;
}

static void
leave_line(struct lane *lane, struct lane_waiter *waiter)
{
    struct lane_waiter **link;

    for (link = &lane->line; *link != NULL; link = &(*link)->next)
        if (*link == waiter) {
            *link = waiter->next;
            lane->waiting--;
            return;
        }
}

static void
join_line(struct lane *lane, struct lane_waiter *waiter)
{
    struct lane_waiter **link;
    int ahead;

    waiter->round = next_round(lane, waiter->network);
    link = end_of_round(lane, waiter->round, &ahead);
    waiter->next = *link;
    *link = waiter;
    lane->waiting++;
}

static void
refuse(struct lane *lane, struct lane_waiter *waiter)
{
    leave_line(lane, waiter);
    waiter->is_refused = true;
    pthread_cond_signal(&waiter->wake);
}

/* There is one too many: the last goes, who is of the network with the most. */
static void
refuse_last(struct lane *lane)
{
    struct lane_waiter *last = lane->line;

    while (last->next != NULL)
        last = last->next;
    refuse(lane, last);
}

/* Send those home whose clients are not there any more. */
static void
drop_gone(struct lane *lane)
{
    struct lane_waiter *waiter;
    struct lane_waiter *next;

    for (waiter = lane->line; waiter != NULL; waiter = next) {
        next = waiter->next;
        if (client_is_gone(waiter->socket))
            refuse(lane, waiter);
    }
}

/* Give free places to the first in the line; a hash for a client that has gone would be for nobody. */
static void
serve_line(struct lane *lane)
{
    while (lane->line != NULL && lane->taken < places(lane)) {
        struct lane_waiter *first = lane->line;

        if (client_is_gone(first->socket)) {
            refuse(lane, first);
            continue;
        }
        leave_line(lane, first);
        lane->round = first->round;
        lane->taken++;
        first->entered = true;
        pthread_cond_signal(&first->wake);
    }
}

/* Stand in the line; false at the deadline, or when the client has gone, or where others were to be served first. */
static bool
wait_in_line(struct lane *lane, struct lane_waiter *waiter, long long deadline)
{
    struct timespec until = clock_timespec(deadline);

    clock_condition(&waiter->wake);
    join_line(lane, waiter);
    if (lane->waiting > waiting_max())
        refuse_last(lane);
    while (!waiter->entered && !waiter->is_refused)
        if (pthread_cond_timedwait(&waiter->wake, &lane->mutex, &until) != 0)
            break;
    leave_line(lane, waiter);
    pthread_cond_destroy(&waiter->wake);
    return waiter->entered;
}

static bool
enter_at_once(struct lane *lane)
{
    if (lane->line != NULL || lane->taken >= places(lane))
        return false;
    lane->taken++;
    return true;
}

bool
lane_enter(struct lane *lane, const struct client *client, long long deadline, int *retry_after)
{
    struct lane_waiter waiter = {0};
    bool entered;

    *retry_after = 0;
    pthread_mutex_lock(&lane->mutex);
    entered = enter_at_once(lane);
    if (!entered) {
        pthread_mutex_unlock(&lane->mutex);
        waiter.socket = client_socket(client); /* it looks at many */
        client_address_network(client ? client->origin : NULL, waiter.network);
        pthread_mutex_lock(&lane->mutex);
        if (lane->waiting >= waiting_max())
            drop_gone(lane);
        entered = enter_at_once(lane) || wait_in_line(lane, &waiter, deadline);
        if (!entered) {
            *retry_after = seconds_to_wait(lane, waiter.network);
            metrics_add(METRIC_HASHES_REFUSED);
        }
    }
    pthread_mutex_unlock(&lane->mutex);
    return entered;
}

void
lane_leave(struct lane *lane, long long entered)
{
    long long held = clock_microseconds() - entered;

    pthread_mutex_lock(&lane->mutex);
    lane->mean = lane->is_known ? lane->mean + (held - lane->mean) / MEAN_WEIGHT : held;
    lane->is_known = true;
    lane->taken--;
    serve_line(lane);
    pthread_mutex_unlock(&lane->mutex);
}

void
lane_reload(struct lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    serve_line(lane);
    pthread_mutex_unlock(&lane->mutex);
}

void
lane_state(struct lane *lane, struct db_state *state)
{
    pthread_mutex_lock(&lane->mutex);
    state->hash_slots = places(lane);
    state->hashing = lane->taken;
    state->hash_waiting = lane->waiting;
    pthread_mutex_unlock(&lane->mutex);
}
