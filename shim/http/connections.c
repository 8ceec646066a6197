/* SPDX-License-Identifier: MIT
 *
 * connections.c: see connections.h.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "http/connections.h"

/* Places are found by their peer's port; a power of two. */
#define BUCKETS 1024

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct http_connection *buckets[BUCKETS];
static atomic_int connection_count;
static int unknown_count;
static int awaited_count; /* of connections, that wakes who sleeps; 0: nobody does */

static _Thread_local struct http_connection mine;

/* ---- The thread's own ------------------------------------------------------------------- */

static struct http_connection **
bucket_of(int port)
{
    return &buckets[port % BUCKETS];
}

void
connection_begin(void)
{
    mine = (struct http_connection){.is_new = true, .since = clock_now()};
    pthread_mutex_lock(&mutex);
    unknown_count++;
    if (atomic_fetch_add(&connection_count, 1) + 1 == awaited_count)
        pthread_cond_signal(&woken);
    pthread_mutex_unlock(&mutex);
}

void
connection_set_peer(const char *address, int port)
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
connection_wait(enum connection_state state, long long milliseconds)
{
    long long now = clock_now();

    pthread_mutex_lock(&mutex);
    mine.is_new &= state != HTTP_AWAITS_HEAD;
    mine.state = state;
    mine.is_shut = false;
    mine.since = now;
    mine.deadline = milliseconds > 0 ? now + milliseconds : 0;
    pthread_mutex_unlock(&mutex);
}

bool
connection_work(void)
{
    long long now = clock_now();

    pthread_mutex_lock(&mutex);
    mine.state = HTTP_WORKS;
    mine.since = now;
    pthread_mutex_unlock(&mutex);
    return mine.is_shut;
}

void
connection_leave(void)
{
    pthread_mutex_lock(&mutex);
    mine.state = HTTP_LEAVES;
    pthread_mutex_unlock(&mutex);
}

void
connection_end(void)
{
    struct http_connection **link;

    pthread_mutex_lock(&mutex);
    atomic_fetch_sub(&connection_count, 1);
    for (link = bucket_of(mine.port); *link != NULL; link = &(*link)->next)
        if (*link == &mine) {
            *link = mine.next;
            break;
        }
    pthread_mutex_unlock(&mutex);
}

/* ---- All of them ------------------------------------------------------------------------ */

void
connections_lock(void)
{
    pthread_mutex_lock(&mutex);
}

void
connections_unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

int
connections_unknown(void)
{
    return unknown_count;
}

struct http_connection *
connections_find(const char *address, int port)
{
    struct http_connection *connection = *bucket_of(port);

    while (connection != NULL &&
           (connection->port != port || strcmp(connection->address, address) != 0))
        connection = connection->next;
    return connection;
}

int
connections_count(void)
{
    return atomic_load(&connection_count);
}

void
connections_each(void (*function)(struct http_connection *connection, void *context), void *context)
{
    struct http_connection *connection;
    int i;

    for (i = 0; i < BUCKETS; i++)
        for (connection = buckets[i]; connection != NULL; connection = connection->next)
            function(connection, context);
}

static void
prepare(void)
{
    clock_condition(&woken);
}

void
connections_sleep(long long until, int count)
{
    struct timespec next = clock_timespec(until);

    pthread_once(&once, prepare);
    awaited_count = count;
    pthread_cond_timedwait(&woken, &mutex, &next);
    awaited_count = 0;
}

void
connections_wake(void)
{
    pthread_once(&once, prepare);
    pthread_cond_signal(&woken);
}
