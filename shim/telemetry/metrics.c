/* SPDX-License-Identifier: MIT
 *
 * metrics.c: see metrics.h.  The counters; monitoring/prometheus.c writes them.
 *
 * A series begins with the first request of its route and method, and stays: so it is found, or made, without a lock.
 * There are as many as the table of routes and the page /docs have of both, whatever clients send.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "telemetry/metrics.h"

/* More than there can be; a power of two. */
#define SERIES_BITS 8
#define SERIES_MAX  (1 << SERIES_BITS)

/* Spreads keys over the table: 2^64 divided by the golden ratio. */
#define SPREAD UINT64_C(0x9E3779B97F4A7C15)

atomic_ullong metrics[METRIC_COUNT];
atomic_ullong metrics_unavailable[REASON_COUNT];

const struct metrics_bound metrics_bounds[METRICS_BUCKETS] = {
    {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},
    {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},
};

/* A client may send any word for a method: what is none of these is "other", the last. */
static const char *const methods[] = {"none", "GET",    "HEAD",    "POST",
                                      "PUT",  "DELETE", "OPTIONS", "other"};

#define METHOD_COUNT (sizeof(methods) / sizeof(methods[0]))

static struct metrics_series all[SERIES_MAX];
static _Thread_local bool is_exempt;

void
metrics_exempt_thread(void)
{
    is_exempt = true;
}

/* The number of a method; 0: there was none. */
static unsigned int
method_number(const char *method)
{
    unsigned int i = 1;

    if (method == NULL)
        return 0;
    while (i < METHOD_COUNT - 1 && strcmp(methods[i], method) != 0)
        i++;
    return i;
}

/* A route's text is for good, and has one address; no address of a program's has more than 56 bits. */
static unsigned long long
make_key(const char *route, const char *method)
{
    return (unsigned long long)(uintptr_t)route << 8 | (method_number(method) + 1);
}

/* NULL: there are more than there can be. */
static struct metrics_series *
find_series(unsigned long long key)
{
    size_t i = (size_t)(key * SPREAD >> (64 - SERIES_BITS));
    int tries;

    for (tries = 0; tries < SERIES_MAX; tries++, i = (i + 1) % SERIES_MAX) {
        unsigned long long there = metrics_load(&all[i].key);

        if (there == 0 && atomic_compare_exchange_strong(&all[i].key, &there, key))
            return &all[i];
        if (there == key) /* as it was, or as a faster thread has just put it there */
            return &all[i];
    }
    return NULL;
}

static void
add(atomic_ullong *counter, unsigned long long number)
{
    atomic_fetch_add_explicit(counter, number, memory_order_relaxed);
}

static void
add_status(struct metrics_series *series, int status)
{
    int i;

    for (i = 0; i < METRICS_STATUSES; i++) {
        int there = atomic_load_explicit(&series->statuses[i].status, memory_order_relaxed);

        if (there == 0 &&
            atomic_compare_exchange_strong(&series->statuses[i].status, &there, status))
            there = status;
        if (there == status) {
            add(&series->statuses[i].requests, 1);
            return;
        }
    }
    add(&series->other_statuses, 1);
}

static void
add_duration(struct metrics_series *series, long long microseconds)
{
    int i = 0;

    while (i < METRICS_BUCKETS && microseconds > metrics_bounds[i].microseconds)
        i++;
    add(&series->buckets[i], 1);
    add(&series->microseconds, (unsigned long long)microseconds);
}

void
metrics_add_request(const struct metrics_request *request)
{
    struct metrics_series *series;

    if (is_exempt)
        return;
    if (request->status == 503)
        add(&metrics_unavailable[request->reason], 1);
    series = find_series(make_key(request->route, request->method));
    if (series == NULL)
        return;
    add_status(series, request->status);
    if (request->began != 0)
        add_duration(series, clock_microseconds() - request->began);
}

void
metrics_each(void (*function)(struct buffer *out, const struct metrics_series *series,
                              const char *route, const char *method),
             struct buffer *out)
{
    int i;

    for (i = 0; i < SERIES_MAX; i++) {
        unsigned long long key = metrics_load(&all[i].key);
        const char *route = (const char *)(uintptr_t)(key >> 8);

        if (key != 0)
            function(out, &all[i], route ? route : "none", methods[(key & 0xFF) - 1]);
    }
}
