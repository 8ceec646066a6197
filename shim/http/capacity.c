/* SPDX-License-Identifier: MIT
 *
 * capacity.c: see capacity.h.
 *
 * civetweb does not look at what accept() says: out of descriptors, it would ask again without end, with
 * all of a core.  While its queue is full it accepts none; so threads and queue together stay below the
 * limit, with descriptors to spare for the database and for what is opened for a moment.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "config/config.h"
#include "http/capacity.h"
#include "telemetry/log.h"

#define QUEUE_MAX 1024

/* For the standard streams, the listening socket, a key file, ...; inherited ones among them. */
#define OTHER_DESCRIPTORS 24

/* A parent may leave some open that lie below ours. */
#define INHERITED_MAX 256

static int
smaller(int a, int b)
{
    return a < b ? a : b;
}

bool
capacity_find(const struct config *config, struct capacity *capacity)
{
    /* Beyond the queue, one more is accepted and waits for a place in it. */
    int wanted = config->threads + QUEUE_MAX + 1;
    int others = config->pool_size + OTHER_DESCRIPTORS +
                 (config->admin_port != 0 ? CAPACITY_LISTENER_DESCRIPTORS : 0);
    struct rlimit limit;
    int room = wanted;
    struct log_line line;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)(wanted + others)) {
        limit.rlim_cur =
            limit.rlim_max < (rlim_t)(wanted + others) ? limit.rlim_max : (rlim_t)(wanted + others);
        setrlimit(RLIMIT_NOFILE, &limit);
        room = smaller(wanted, (int)limit.rlim_cur - others);
    }
    capacity->threads = smaller(config->threads, room * 3 / 4);
    capacity->queue = smaller(QUEUE_MAX, room - capacity->threads - 1);
    capacity->descriptors = room + others + INHERITED_MAX;
    if (capacity->threads < 1 || capacity->queue < 1) {
        log_event(LEVEL_ERROR, "cannot start: too few descriptors (ulimit -n)", NULL, NULL);
        return false;
    }
    if (capacity->threads < config->threads) {
        log_begin(&line, LEVEL_WARNING, "fewer threads than asked for: too few descriptors");
        log_number(&line, "threads", capacity->threads);
        log_end(&line);
    }
    return true;
}
