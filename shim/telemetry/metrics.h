/* SPDX-License-Identifier: MIT
 *
 * metrics.h: what has happened since the start, counted.
 *
 * Counting takes no lock and no memory.  What is labelled are the table's routes, methods, statuses and reasons: words
 * of ours, never a client's.
 */
#ifndef SHIM_TELEMETRY_METRICS_H
#define SHIM_TELEMETRY_METRICS_H

#include <stdatomic.h>

#include "base/buffer.h"

/* What is counted without a label; monitoring/prometheus.c names them. */
enum metric {
    METRIC_CONNECTIONS_MADE,
    METRIC_CONNECTIONS_FAILED,
    METRIC_CALLS_TIMED_OUT,
    METRIC_HASHES_REFUSED,
    METRIC_MAINTENANCE_RUNS,
    METRIC_MAINTENANCE_FAILURES,
    METRIC_LOG_LINES_LOST,
    METRIC_RELOADS,
    METRIC_RELOAD_FAILURES,
    METRIC_COUNT
};

extern atomic_ullong metrics[METRIC_COUNT];

static inline void
metrics_add(enum metric which)
{
    atomic_fetch_add_explicit(&metrics[which], 1, memory_order_relaxed);
}

/* Why an answer is a 503. */
enum unavailable_reason {
    REASON_OTHER,      /* out of memory, or coming to the end */
    REASON_THREADS,    /* too many threads are at work */
    REASON_POOL,       /* no connection to the database came free in time */
    REASON_HASHING,    /* no place to hash did */
    REASON_TIMEOUT,    /* the database did not answer in time */
    REASON_CONNECTION, /* there is no connection to it, or it was lost */
    REASON_DATABASE,   /* it answered with an error that will pass */
    REASON_COUNT
};

/* A request whose answer is about to be sent. */
struct metrics_request {
    const char *route;  /* of the table of routes, for good; NULL: none */
    const char *method; /* as it was sent; NULL: there was none */
    int status;
    enum unavailable_reason reason;
    long long began; /* clock_microseconds when its head was here; 0: there was none */
};

/* Count it; how fast the client takes the answer is not measured. */
void metrics_add_request(const struct metrics_request *request);

/* This thread's requests are the operator's, which are not counted. */
void metrics_exempt_thread(void);

/* ---- For those who tell them ---- */

/* Of durations: the upper bounds of the buckets, before the last, which has none. */
#define METRICS_BUCKETS 13

/* So many different statuses of one route and method are told apart; an application's functions may have more. */
#define METRICS_STATUSES 24

/* The requests of one route and method. */
struct metrics_series {
    atomic_ullong key; /* what find_series looks for; 0: nobody's */
    atomic_ullong microseconds;
    atomic_ullong
        buckets[METRICS_BUCKETS + 1]; /* each with those alone that are in none before it */
    struct {
        atomic_int status; /* 0: nobody's */
        atomic_ullong requests;
    } statuses[METRICS_STATUSES];
    atomic_ullong other_statuses;
};

struct metrics_bound {
    long long microseconds;
    const char *seconds;
};

extern const struct metrics_bound metrics_bounds[METRICS_BUCKETS];

/* Answers with 503, by reason. */
extern atomic_ullong metrics_unavailable[REASON_COUNT];

/* Call a function with each series that there is. */
void metrics_each(void (*function)(struct buffer *out, const struct metrics_series *series,
                                   const char *route, const char *method),
                  struct buffer *out);

static inline unsigned long long
metrics_load(const atomic_ullong *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
