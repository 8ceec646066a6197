/* SPDX-License-Identifier: MIT
 *
 * connections.h: the connections that have a thread, and what each thread does.
 *
 * A thread serves one connection until that is closed, so what is known of it is the thread's own, and
 * the functions without an argument are about the connection of the thread that calls them.
 */
#ifndef SHIM_HTTP_CONNECTIONS_H
#define SHIM_HTTP_CONNECTIONS_H

#include <stdbool.h>

enum connection_state {
    HTTP_AWAITS_HEAD, /* of a request, the first or the next */
    HTTP_AWAITS_BODY,
    HTTP_SENDS, /* an answer */
    HTTP_WORKS, /* on one */
    HTTP_LEAVES /* its socket may be closed at any moment */
};

struct http_connection {
    struct http_connection *next; /* with a port of the same remainder */
    const char *address;          /* the peer's, as text; NULL: not known yet */
    int port;
    enum connection_state state;
    bool is_new;        /* no request of it was answered so far */
    bool is_shut;       /* its socket was shut down, for its time had passed */
    long long since;    /* clock_now when the state began */
    long long deadline; /* when its waiting must end; 0: civetweb sees to that */

    /* slow_clients.c's: so many bytes had the client taken when it was last looked at, the last at this moment. */
    unsigned long long taken;
    long long taken_at;
};

/*
 * A connection gets this thread.  civetweb does not tell which until it has sent a head, or is about to be
 * closed: its peer.
 */
void connection_begin(void);
void connection_set_peer(const char *address, int port);

/*
 * From here on the thread waits for its client; after so many milliseconds, or earlier where others need
 * its connection, the connection is shut down, and whoever reads or writes it gets an error.  0: only the latter.
 */
void connection_wait(enum connection_state state, long long milliseconds);

/* The client is not waited for any more.  True: its time had passed, and the connection is shut down. */
bool connection_work(void);

/* The connection is about to be closed; it is. */
void connection_leave(void);
void connection_end(void);

/* ---- For slow_clients.c ---- */

/* While they are locked no thread takes a connection, gives one up or closes its socket. */
void connections_lock(void);
void connections_unlock(void);

/* How many there are; needs no lock. */
int connections_count(void);

/* How many of them have no known peer; the one with this, or NULL; and all that have one. */
int connections_unknown(void);
struct http_connection *connections_find(const char *address, int port);
void connections_each(void (*function)(struct http_connection *connection, void *context),
                      void *context);

/*
 * Wait, locked, until this moment of clock_now, or until there are so many connections or more where there were
 * fewer before, or until connections_wake.
 */
void connections_sleep(long long until, int count);
void connections_wake(void);

#endif
