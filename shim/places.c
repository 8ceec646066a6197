/* SPDX-License-Identifier: MIT
 *
 * places.c: see places.h.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "places.h"

/* Places are found by their peer's port; a power of two. */
#define BUCKETS 1024

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct place *buckets[BUCKETS];
static atomic_int place_count;
static int unknown_count;
static int awaited_count; /* of places, that wakes who sleeps; 0: nobody does */

static _Thread_local struct place mine;

/* ---- The thread's own ------------------------------------------------------------------- */

static struct place **
bucket_of(int port)
{
    return &buckets[port % BUCKETS];
}

void
place_take(void)
{
    mine = (struct place){.is_new = true, .since = clock_now()};
    pthread_mutex_lock(&mutex);
    unknown_count++;
    if (atomic_fetch_add(&place_count, 1) + 1 == awaited_count)
        pthread_cond_signal(&woken);
    pthread_mutex_unlock(&mutex);
}

void
place_introduce(const char *address, int port)
{
    if (mine.address != NULL)
        return;
    pthread_mutex_lock(&mutex);
    mine.address = address;
    mine.port = port;
    mine.next = *bucket_of(port);
    *bucket_of(port) = &mine;
    unknown_count--;
    pthread_mutex_unlock(&mutex);
}

void
place_wait(enum place_state state, long long milliseconds)
{
    long long now = clock_now();

    pthread_mutex_lock(&mutex);
    mine.is_new &= state != PLACE_AWAITS_HEAD;
    mine.state = state;
    mine.is_shut = false;
    mine.since = now;
    mine.moment = milliseconds > 0 ? now + milliseconds : 0;
    pthread_mutex_unlock(&mutex);
}

bool
place_work(void)
{
    long long now = clock_now();

    pthread_mutex_lock(&mutex);
    mine.state = PLACE_WORKS;
    mine.since = now;
    pthread_mutex_unlock(&mutex);
    return mine.is_shut;
}

void
place_leave(void)
{
    pthread_mutex_lock(&mutex);
    mine.state = PLACE_LEAVES;
    pthread_mutex_unlock(&mutex);
}

void
place_left(void)
{
    struct place **link;

    pthread_mutex_lock(&mutex);
    atomic_fetch_sub(&place_count, 1);
    for (link = bucket_of(mine.port); *link != NULL; link = &(*link)->next)
        if (*link == &mine) {
            *link = mine.next;
            break;
        }
    pthread_mutex_unlock(&mutex);
}

/* ---- All of them ------------------------------------------------------------------------ */

void
places_lock(void)
{
    pthread_mutex_lock(&mutex);
}

void
places_unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

int
places_unknown(void)
{
    return unknown_count;
}

struct place *
places_find(const char *address, int port)
{
    struct place *place = *bucket_of(port);

    while (place != NULL && (place->port != port || strcmp(place->address, address) != 0))
        place = place->next;
    return place;
}

int
places_count(void)
{
    return atomic_load(&place_count);
}

void
places_each(void (*function)(struct place *place, void *context), void *context)
{
    struct place *place;
    int i;

    for (i = 0; i < BUCKETS; i++)
        for (place = buckets[i]; place != NULL; place = place->next)
            function(place, context);
}

static void
prepare(void)
{
    clock_condition(&woken);
}

void
places_sleep(long long until, int count)
{
    struct timespec next = clock_timespec(until);

    pthread_once(&once, prepare);
    awaited_count = count;
    pthread_cond_timedwait(&woken, &mutex, &next);
    awaited_count = 0;
}

void
places_wake(void)
{
    pthread_once(&once, prepare);
    pthread_cond_signal(&woken);
}
