/* SPDX-License-Identifier: MIT
 *
 * hash_queue.h: the queue of requests that hash a password.
 *
 * A hash takes a core for as long as a thousand other calls.  So many are computed at the same time; who
 * comes later stands in a line and does not stand in anybody else's way.  The line has a bound, since who stands
 * in it holds a thread, and an end, since nobody waits for ever.
 *
 * Networks have their turns in it, and first come is first served within each: however many one client sends,
 * another waits for one of his at most.
 */
#ifndef SHIM_DATABASE_HASH_QUEUE_H
#define SHIM_DATABASE_HASH_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include "base/client.h"
#include "database/database.h"

struct hash_queue_waiter;

struct hash_queue {
    pthread_mutex_t mutex;
    struct hash_queue_waiter *line; /* in the order of their rounds, and the first first in each */
    long long round;                /* of the one that was served last */
    int waiting;
    int taken;      /* slots */
    int slots_max;  /* whatever the configuration says: others need connections too */
    long long mean; /* microseconds that a slot was held lately */
    bool is_known;  /* there was one */
};

/* slots_max: no more slots than this. */
void hash_queue_open(struct hash_queue *queue, int slots_max);
void hash_queue_close(struct hash_queue *queue);

/*
 * Wait for a slot until the deadline (clock_now); give it back with hash_queue_leave, which takes the clock_microseconds
 * at which hash_queue_enter returned.  False: there is none, and *retry_after says in how many seconds there may be
 * one.  A client that has gone meanwhile gets no slot; client may be NULL.
 */
bool hash_queue_enter(struct hash_queue *queue, const struct client *client, long long deadline,
                      int *retry_after);
void hash_queue_leave(struct hash_queue *queue, long long entered);

/* The configuration may have more slots now. */
void hash_queue_reload(struct hash_queue *queue);

/* Fill in what the state of the pool says of the queue. */
void hash_queue_state(struct hash_queue *queue, struct db_state *state);

#endif
