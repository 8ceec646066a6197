/* SPDX-License-Identifier: MIT
 *
 * db_lane.c: see db_lane.h.
 */
#include <stddef.h>

#include "clock.h"
#include "config.h"
#include "db_lane.h"

/* So much of the mean is the time of the last one: 1 of ... */
#define MEAN_WEIGHT 8

/* What a client is told at most, in seconds. */
#define RETRY_AFTER_MAX 30

/* Who waits for a place; its connection stays open as long as it is in the line. */
struct lane_waiter {
    struct lane_waiter *next;
    pthread_cond_t wake;
    int socket;
    bool entered;
    bool is_gone;
};

void
lane_open(struct lane *lane, int places_max)
{
    *lane = (struct lane){.places_max = places_max};
    pthread_mutex_init(&lane->mutex, NULL);
    pthread_condattr_init(&lane->monotonic);
    pthread_condattr_setclock(&lane->monotonic, CLOCK_MONOTONIC);
}

void
lane_close(struct lane *lane)
{
    pthread_condattr_destroy(&lane->monotonic);
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

/* Seconds until who joined the line now would have its turn. */
static int
seconds_to_wait(const struct lane *lane)
{
    long long ahead = lane->waiting + lane->taken + 1 - places(lane);
    long long seconds = (ahead * lane->mean / places(lane) + 999999) / 1000000;

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
    struct lane_waiter **link = &lane->line;

    while (*link != NULL)
        link = &(*link)->next;
    *link = waiter;
    lane->waiting++;
}

/* Send those home whose clients are not there any more. */
static void
drop_gone(struct lane *lane)
{
    struct lane_waiter *waiter;
    struct lane_waiter *next;

    for (waiter = lane->line; waiter != NULL; waiter = next) {
        next = waiter->next;
        if (client_is_gone(waiter->socket)) {
            leave_line(lane, waiter);
            waiter->is_gone = true;
            pthread_cond_signal(&waiter->wake);
        }
    }
}

/* Give free places to the first in the line; a hash for a client that has gone would be for nobody. */
static void
serve_line(struct lane *lane)
{
    while (lane->line != NULL && lane->taken < places(lane)) {
        struct lane_waiter *first = lane->line;

        leave_line(lane, first);
        first->is_gone = client_is_gone(first->socket);
        first->entered = !first->is_gone;
        if (first->entered)
            lane->taken++;
        pthread_cond_signal(&first->wake);
    }
}

/* Stand in the line; false at the deadline, or when the client has gone. */
static bool
wait_in_line(struct lane *lane, int socket, long long deadline)
{
    struct timespec until = clock_timespec(deadline);
    struct lane_waiter waiter = {.socket = socket};

    pthread_cond_init(&waiter.wake, &lane->monotonic);
    join_line(lane, &waiter);
    while (!waiter.entered && !waiter.is_gone)
        if (pthread_cond_timedwait(&waiter.wake, &lane->mutex, &until) != 0)
            break;
    leave_line(lane, &waiter);
    pthread_cond_destroy(&waiter.wake);
    return waiter.entered;
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
    bool entered;
    int socket;

    pthread_mutex_lock(&lane->mutex);
    entered = enter_at_once(lane);
    if (!entered) {
        pthread_mutex_unlock(&lane->mutex);
        socket = client_socket(client); /* it looks at many */
        pthread_mutex_lock(&lane->mutex);
        if (lane->waiting >= waiting_max())
            drop_gone(lane);
        entered = enter_at_once(lane) ||
                  (lane->waiting < waiting_max() && wait_in_line(lane, socket, deadline));
    }
    *retry_after = entered ? 0 : seconds_to_wait(lane);
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
