/* SPDX-License-Identifier: MIT
 *
 * admission.c: see admission.h.
 */
#include <stdatomic.h>
#include <time.h>

#include "http/admission.h"
#include "http/connections.h"

/* Of so many threads one is kept for who comes, and from work of one kind; fewer may all do the same. */
#define MANY_THREADS 8

/* How often, and how long each time, is waited for others' work to end before there is too much of it. */
#define WORK_TRIES           40
#define WORK_TRY_NANOSECONDS 5000000

static int thread_count;
static atomic_bool is_stuck;
static atomic_int work;
static atomic_int slow_work;

void
admission_open(int threads)
{
    thread_count = threads;
}

/* So many threads are kept for who comes. */
static int
reserve(void)
{
    return thread_count >= MANY_THREADS ? thread_count / MANY_THREADS : thread_count > 1;
}

bool
admission_is_nearly_full(void)
{
    return connections_count() > thread_count - reserve();
}

/* Count one more where that does not make them more than so many. */
static bool
count_up(atomic_int *count, int limit)
{
    if (atomic_fetch_add(count, 1) < limit)
        return true;
    atomic_fetch_sub(count, 1);
    return false;
}

bool
admission_begin_work(bool is_slow)
{
    bool is_many = thread_count >= MANY_THREADS;
    int limit = is_many ? thread_count - reserve() : thread_count;
    int tries = WORK_TRIES;

    if (is_slow && !count_up(&slow_work, is_many ? thread_count / 2 : thread_count))
        return false;
    while (!atomic_load(&is_stuck) && tries-- > 0) {
        if (count_up(&work, limit))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = WORK_TRY_NANOSECONDS}, NULL);
    }
    if (is_slow)
        atomic_fetch_sub(&slow_work, 1);
    return false;
}

void
admission_end_work(bool is_slow)
{
    atomic_fetch_sub(&work, 1);
    if (is_slow)
        atomic_fetch_sub(&slow_work, 1);
}

void
admission_note_work(int threads)
{
    atomic_store(&is_stuck, thread_count >= MANY_THREADS && threads >= thread_count - reserve());
}
