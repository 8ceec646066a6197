/* SPDX-License-Identifier: MIT
 *
 * deadline.h: an end to waiting for slow clients.
 */
#ifndef SHIM_DEADLINE_H
#define SHIM_DEADLINE_H

#include <stdbool.h>

/* One for each thread that waits for a client. */
struct deadline {
    struct deadline *next;
    bool has_passed;
    long long moment;
    const char *address; /* the peer's, as text */
    int port;
};

/* Start the thread that watches; false where it cannot be started. */
bool deadline_start(void);
void deadline_stop(void);

/*
 * From begin to end, the connection to this peer is shut down once so many milliseconds have
 * passed; whoever reads or writes it gets an error then.  end tells whether that happened.
 */
void deadline_begin(struct deadline *deadline, const char *address, int port,
                    long long milliseconds);
bool deadline_end(struct deadline *deadline);

#endif
