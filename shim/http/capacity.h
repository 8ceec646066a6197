/* SPDX-License-Identifier: MIT
 *
 * capacity.h: how many connections there can be.
 */
#ifndef SHIM_HTTP_CAPACITY_H
#define SHIM_HTTP_CAPACITY_H

#include <stdbool.h>

#include "config/config.h"

/* So many descriptors at most does the operator's listener need (monitoring/listener.c). */
#define CAPACITY_LISTENER_DESCRIPTORS 16

struct capacity {
    int threads;     /* connections that are served at the same time */
    int queue;       /* that wait for a thread */
    int descriptors; /* which no descriptor of a connection is above */
};

/*
 * Raise the limit of descriptors as far as that can be done and is needed, and see how much fits under it;
 * false, after a line in the log, where that is nothing.
 */
bool capacity_find(const struct config *config, struct capacity *capacity);

#endif
