/* SPDX-License-Identifier: MIT
 *
 * crowd.h: who must give up a thread, and when: clients that are slow or idle.
 */
#ifndef SHIM_CROWD_H
#define SHIM_CROWD_H

#include <stdbool.h>

/*
 * Start to watch the connections to this port, for so many threads and at most about so many descriptors;
 * false where that cannot be done.
 */
bool crowd_start(int port, int threads, int descriptors);
void crowd_stop(void);

/*
 * Whether nearly every thread has a connection.  Then a connection is given up after its answer, or
 * clients that keep theirs idle would keep all others waiting.
 */
bool crowd_is_near(void);

/* Whether who was waited for so long may have been shut down for others. */
bool crowd_has_no_patience(long long milliseconds);

/*
 * Whether nearly every thread has been at work for long, as with a database that does not answer: who
 * would join them is better refused, so that threads remain for what needs no database.
 */
bool crowd_is_stuck(void);

#endif
