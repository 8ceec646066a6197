/* SPDX-License-Identifier: MIT
 *
 * slow_clients.c: see slow_clients.h.
 *
 * civetweb gives each connection a thread until it is closed, and queues the others in the order they
 * came.  Its own timeout starts anew with each byte, so a client that sends or takes one byte now and
 * then would hold a thread for ever, and as many as there are threads would keep everybody out.
 *
 * So one thread watches.  A wait that has a deadline ends there.  And while a whole request waits in the
 * queue because no thread is free, those who make threads wait for them are shut down after a fraction of
 * a second, the slowest first; also who is in the queue and has sent no whole head: that is no request yet,
 * and would only take its turn.  Nobody is shut down who has sent what is
 * waited for: what is in the socket is read also after its end was shut down.
 *
 * civetweb does not show its sockets, but each is among our descriptors, and is known by its peer.  One
 * whose peer is not known is in the queue, or its thread waits for its first head.  A descriptor is the
 * right one because, while the connections are locked, no thread can begin with a connection from the queue, or
 * leave the wait in which it was found and close its socket.
 */
#define _GNU_SOURCE /* memmem */
#include <arpa/inet.h>
#include <linux/tcp.h> /* glibc's tcp_info ends too early */
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/client.h"
#include "base/clock.h"
#include "http/admission.h"
#include "http/capacity.h"
#include "http/connections.h"
#include "http/slow_clients.h"

/* How often late connections are looked for, and the same while all threads are taken; milliseconds. */
#define CALM_INTERVAL 250
#define FULL_INTERVAL 20

/*
 * How long others are waited for while somebody waits for a thread: to send, or to take anything of an answer; and
 * to take all of one.
 */
#define GRACE 60
#define GRACE_OVERLOADED                                                                           \
    30 /* where more than there are threads wait for one, and to take anything */
#define GRACE_TO_TAKE 500

/* Who has been at work so long is waiting for something itself. */
#define LONG_WORK 500

/* Of a head in the queue, so much is looked at. */
#define PEEK_SIZE 16384

/* What is known of a descriptor: since when this connection is there. */
struct tracked_socket {
    int port;     /* the peer's; 0: it is no connection of a client's */
    bool is_shut; /* it was shut down before its peer was known */
    long long since;
};

/* Who may have to go. */
struct candidate {
    int descriptor;
    struct http_connection *connection; /* NULL: none that is known */
    long long waited;
};

static pthread_t watcher;
static bool stopping; /* under the connections' lock */
static int listening_port;
static int thread_count;
static int queue_length;
static int descriptor_count;
static struct tracked_socket *sockets;
static struct candidate *candidates;
static size_t candidate_count;
static int grace;
static int unassigned; /* connections without a known peer */
static int gone;       /* that were shut down, among them */
static int requests;   /* with an unread head among them: in the queue, that is */

/* ---- Sockets ---------------------------------------------------------------------------- */

/* The peer of a client's connection as text, and its port; 0 where the descriptor is none. */
static int
peer_of(int descriptor, char address[INET6_ADDRSTRLEN])
{
    struct sockaddr_in own = {0};
    socklen_t length = sizeof(own);

    if (getsockname(descriptor, (struct sockaddr *)&own, &length) != 0 ||
        own.sin_family != AF_INET || ntohs(own.sin_port) != listening_port)
        return 0;
    return client_peer(descriptor, address);
}

/* Whether a whole head is in the socket, or so much that it is none. */
static bool
has_head(int descriptor)
{
    static char bytes[PEEK_SIZE];
    ssize_t length = recv(descriptor, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);

    return length == sizeof(bytes) || (length > 0 && memmem(bytes, (size_t)length, "\r\n\r\n", 4));
}

/*
 * Reading only, at first: an answer (408) can still be sent.  Writing at once where that is what is
 * stuck, or where the first did not help.
 */
static void
shut_down(int descriptor, struct http_connection *connection)
{
    shutdown(descriptor,
             connection->is_shut || connection->state == HTTP_SENDS ? SHUT_RDWR : SHUT_RD);
    connection->is_shut = true;
}

/* ---- Looking around --------------------------------------------------------------------- */

static void
check_unassigned(int descriptor, const struct tracked_socket *tracked, long long now)
{
    unassigned++;
    if (tracked->is_shut)
        gone++;
    else if (has_head(descriptor))
        requests++;
    else if (now - tracked->since >= grace)
        candidates[candidate_count++] = (struct candidate){descriptor, NULL, now - tracked->since};
}

/*
 * Whether a client has taken nothing of its answer for a while, or not all of it for long.  One that has shut its
 * window, so that nothing is on its way though there is more to send, is known to take nothing.
 */
static bool
is_slow_to_take(int descriptor, struct http_connection *connection, long long now)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    bool is_deaf;

    getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length);
    is_deaf = info.tcpi_unacked == 0 && info.tcpi_notsent_bytes > 0;
    if (connection->taken_at < connection->since)
        connection->taken_at = is_deaf ? connection->since : now;
    else if (connection->taken != info.tcpi_bytes_acked)
        connection->taken_at = now;
    connection->taken = info.tcpi_bytes_acked;
    return now - connection->taken_at >= (is_deaf ? GRACE_OVERLOADED : grace) ||
           now - connection->since >= GRACE_TO_TAKE;
}

static void
check_connection(int descriptor, const struct tracked_socket *tracked,
                 struct http_connection *connection, long long now)
{
    bool counts_from_start = connection->is_new && tracked->since < connection->since;
    long long waited = now - (counts_from_start ? tracked->since : connection->since);

    if (connection->state == HTTP_WORKS || connection->state == HTTP_LEAVES)
        return;
    if (connection->deadline != 0 && now >= connection->deadline)
        shut_down(descriptor, connection);
    else if (!connection->is_shut &&
             (connection->state == HTTP_SENDS ? is_slow_to_take(descriptor, connection, now)
                                              : waited >= grace))
        candidates[candidate_count++] = (struct candidate){descriptor, connection, waited};
}

static void
scan_sockets(bool is_full, long long now)
{
    int fd;

    grace = unassigned > thread_count ? GRACE_OVERLOADED : GRACE;
    candidate_count = 0;
    unassigned = gone = requests = 0;
    for (fd = 0; fd < descriptor_count; fd++) {
        char address[INET6_ADDRSTRLEN] = "";
        int port = peer_of(fd, address);
        struct http_connection *connection;

        if (port != sockets[fd].port)
            sockets[fd] = (struct tracked_socket){.port = port, .since = now};
        if (port == 0)
            continue;
        connection = connections_find(address, port);
        if (connection != NULL)
            check_connection(fd, &sockets[fd], connection, now);
        else if (is_full)
            check_unassigned(fd, &sockets[fd], now);
    }
}

static int
by_wait(const void *a, const void *b)
{
    long long x = ((const struct candidate *)a)->waited;
    long long y = ((const struct candidate *)b)->waited;

    return (x < y) - (x > y);
}

/* One without a thread of its own that is known, and without a head for too long; if it is in the queue, it then passes through it. */
static void
close_unassigned(int descriptor)
{
    shutdown(descriptor, SHUT_RD);
    sockets[descriptor].is_shut = true;
}

/*
 * Somebody waits for a thread: everybody before him needs one, and a few more may be coming.  Of the connections whose
 * peer is not known the oldest have a thread, since the queue keeps its order; those in the queue without a head
 * are closed at once, of the others only as many as are needed: they would be back at once.
 */
static void
close_idle(int more)
{
    int with_thread = connections_unknown() > gone ? connections_unknown() - gone : 0;
    int wanted = unassigned - gone - with_thread + more;
    int unassigned_seen = 0;
    size_t i;

    qsort(candidates, candidate_count, sizeof(candidates[0]), by_wait);
    for (i = 0; i < candidate_count; i++)
        if (candidates[i].connection == NULL && ++unassigned_seen > with_thread) {
            close_unassigned(candidates[i].descriptor);
            wanted--;
        }
    unassigned_seen = 0;
    for (i = 0; i < candidate_count && wanted > 0; i++)
        if (candidates[i].connection != NULL) {
            shut_down(candidates[i].descriptor, candidates[i].connection);
            wanted--;
        } else if (++unassigned_seen <= with_thread) {
            close_unassigned(candidates[i].descriptor);
            wanted--;
        }
}

bool
slow_clients_has_no_patience(long long milliseconds)
{
    return milliseconds >= GRACE_OVERLOADED && connections_count() >= thread_count;
}

/* ---- The thread ------------------------------------------------------------------------- */

struct census {
    long long now;
    bool is_any_late;
    int at_work_long;
};

static void
count_connection(struct http_connection *connection, void *context)
{
    struct census *census = context;

    if (connection->state == HTTP_WORKS && census->now - connection->since >= LONG_WORK)
        census->at_work_long++;
    if (connection->state != HTTP_WORKS && connection->state != HTTP_LEAVES &&
        connection->deadline != 0 && census->now >= connection->deadline)
        census->is_any_late = true;
}

static void
watch_once(void)
{
    struct census census = {.now = clock_now()};
    bool is_queue_full;
    bool is_full = connections_count() >= thread_count;

    connections_each(count_connection, &census);
    admission_note_work(census.at_work_long);
    if (is_full || census.is_any_late) {
        scan_sockets(is_full, census.now);
        /* Who waits behind a full queue is not seen. */
        is_queue_full = unassigned - connections_unknown() >= queue_length;
        if (requests > 0 || is_queue_full)
            close_idle(is_queue_full ? thread_count / 2 + 1 : 1 + thread_count / 32);
    }
}

static void *
watch(void *nothing)
{
    (void)nothing;
    connections_lock();
    while (!stopping) {
        connections_sleep(clock_now() +
                              (connections_count() >= thread_count ? FULL_INTERVAL : CALM_INTERVAL),
                          thread_count);
        watch_once();
    }
    connections_unlock();
    return NULL;
}

bool
slow_clients_start(int port, const struct capacity *capacity)
{
    listening_port = port;
    thread_count = capacity->threads;
    queue_length = capacity->queue;
    descriptor_count = capacity->descriptors;
    sockets = calloc((size_t)descriptor_count, sizeof(sockets[0]));
    candidates = calloc((size_t)descriptor_count, sizeof(candidates[0]));
    return sockets != NULL && candidates != NULL &&
           pthread_create(&watcher, NULL, watch, NULL) == 0;
}

void
slow_clients_stop(void)
{
    connections_lock();
    stopping = true;
    connections_wake();
    connections_unlock();
    pthread_join(watcher, NULL);
    free(sockets);
    free(candidates);
}
