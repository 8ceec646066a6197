/* SPDX-License-Identifier: MIT
 *
 * crowd.h: who must give up a thread, and when: clients that are slow or idle.
 */
#ifndef SHIM_CROWD_H
#define SHIM_CROWD_H

#include <stdbool.h>

#include "capacity.h"

/* Start to watch the connections to this port; false where that cannot be done. */
bool crowd_start(int port, const struct capacity *capacity);
void crowd_stop(void);

/*
 * Whether nearly every thread has a connection.  Then a connection is given up after its answer, or
 * clients that keep theirs idle would keep all others waiting.
 */
bool crowd_is_nearly_full(void);

/* Whether who was waited for so long may have been shut down for others. */
bool crowd_has_no_patience(long long milliseconds);

/*
 * Begin with what needs the database; false: it is better refused, so that threads remain for the rest.
 * That is where nearly every thread has been at it for long, as with a database that does not answer; and,
 * of what is slow by its nature, where half the threads are at that.  What has begun must be ended.
 */
bool crowd_begin_work(bool is_slow);
void crowd_end_work(bool is_slow);

#endif
