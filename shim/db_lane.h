/* SPDX-License-Identifier: MIT
 *
 * db_lane.h: the lane of requests that hash a password.
 *
 * A hash takes a core for as long as a thousand other calls.  So many are computed at the same time; who
 * comes later stands in a line and does not stand in anybody else's way.  The line has a bound, since who stands
 * in it holds a thread, and an end, since nobody waits for ever.
 *
 * Networks have their turns in it, and first come is first served within each: however many one client sends,
 * another waits for one of his at most.
 */
#ifndef SHIM_DB_LANE_H
#define SHIM_DB_LANE_H

#include <pthread.h>
#include <stdbool.h>

#include "client.h"
#include "db.h"

struct lane_waiter;

struct lane {
    pthread_mutex_t mutex;
    struct lane_waiter *line; /* in the order of their rounds, and the first first in each */
    long long round;          /* of the one that was served last */
    int waiting;
    int taken;      /* places */
    int places_max; /* whatever the configuration says: others need connections too */
    long long mean; /* microseconds that a place was held lately */
    bool is_known;  /* there was one */
};

/* places_max: no more places than this. */
void lane_open(struct lane *lane, int places_max);
void lane_close(struct lane *lane);

/*
 * Wait for a place until the deadline (clock_now); give it back with lane_leave, which takes the clock_microseconds
 * at which lane_enter returned.  False: there is none, and *retry_after says in how many seconds there may be
 * one.  A client that has gone meanwhile gets no place; client may be NULL.
 */
bool lane_enter(struct lane *lane, const struct client *client, long long deadline,
                int *retry_after);
void lane_leave(struct lane *lane, long long entered);

/* The configuration may have more places now. */
void lane_reload(struct lane *lane);

/* Fill in what the state of the pool says of the lane. */
void lane_state(struct lane *lane, struct db_state *state);

#endif
