/* SPDX-License-Identifier: MIT
 *
 * places.h: the connections that have a thread, and what each thread does.
 *
 * A thread serves one connection until that is closed, so a connection's place is the thread's own, and
 * the functions without an argument are about the place of the thread that calls them.
 */
#ifndef SHIM_PLACES_H
#define SHIM_PLACES_H

#include <stdbool.h>

enum place_state {
    PLACE_AWAITS_HEAD, /* of a request, the first or the next */
    PLACE_AWAITS_BODY,
    PLACE_SENDS, /* an answer */
    PLACE_WORKS, /* on one */
    PLACE_LEAVES /* its socket may be closed at any moment */
};

struct place {
    struct place *next;  /* with a port of the same remainder */
    const char *address; /* the peer's, as text; NULL: not known yet */
    int port;
    enum place_state state;
    bool is_new;      /* no request of it was answered so far */
    bool is_shut;     /* its socket was shut down, for its time had passed */
    long long since;  /* clock_now when the state began */
    long long moment; /* when its waiting must end; 0: civetweb sees to that */

    /* crowd.c's: so many bytes had the client taken when it was last looked at, the last at this moment. */
    unsigned long long taken;
    long long taken_at;
};

/*
 * A connection gets this thread.  civetweb does not tell which until it has sent a head, or is about to be
 * closed: its peer.
 */
void place_take(void);
void place_introduce(const char *address, int port);

/*
 * From here on the thread waits for its client; after so many milliseconds, or earlier where others need
 * its place, the connection is shut down, and whoever reads or writes it gets an error.  0: only the latter.
 */
void place_wait(enum place_state state, long long milliseconds);

/* The client is not waited for any more.  True: its time had passed, and the connection is shut down. */
bool place_work(void);

/* The connection is about to be closed; it is. */
void place_leave(void);
void place_left(void);

/* ---- For crowd.c ---- */

/* While they are locked no thread takes a place, gives one up or closes its socket. */
void places_lock(void);
void places_unlock(void);

/* How many there are; needs no lock. */
int places_count(void);

/* How many of them have no known peer; the one with this, or NULL; and all that have one. */
int places_unknown(void);
struct place *places_find(const char *address, int port);
void places_each(void (*function)(struct place *place, void *context), void *context);

/*
 * Wait, locked, until this moment of clock_now, or until there are so many places or more where there were
 * fewer before, or until places_wake.
 */
void places_sleep(long long until, int count);
void places_wake(void);

#endif
