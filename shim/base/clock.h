/* SPDX-License-Identifier: MIT
 *
 * clock.h: deadlines, on the clock that nobody sets back.
 */
#ifndef SHIM_BASE_CLOCK_H
#define SHIM_BASE_CLOCK_H

#include <pthread.h>
#include <time.h>

/* Milliseconds on CLOCK_MONOTONIC. */
static inline long long
clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Microseconds on it. */
static inline long long
clock_microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The moment so many milliseconds from now, or the deadline where that is earlier. */
static inline long long
clock_earlier(long long deadline, long long milliseconds)
{
    long long moment = clock_now() + milliseconds;

    return moment < deadline ? moment : deadline;
}

/* A condition of that clock. */
static inline void
clock_condition(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* A moment of clock_now for pthread_cond_timedwait on such a one. */
static inline struct timespec
clock_timespec(long long milliseconds)
{
    return (struct timespec){.tv_sec = (time_t)(milliseconds / 1000),
                             .tv_nsec = (long)(milliseconds % 1000) * 1000000};
}

#endif
