/* SPDX-License-Identifier: MIT
 *
 * crowd.c: see crowd.h.
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
 * whose peer has no place is in the queue, or its thread waits for its first head.  A descriptor is the
 * right one because, while the places are locked, no thread can begin with a connection from the queue, or
 * leave the wait in which it was found and close its socket.
 */
#define _GNU_SOURCE /* memmem */
#include <arpa/inet.h>
#include <linux/tcp.h> /* glibc's tcp_info ends too early */
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client.h"
#include "clock.h"
#include "crowd.h"
#include "places.h"

/* How often late connections are looked for, and the same while all threads are taken; milliseconds. */
#define CALM_INTERVAL  250
#define CROWD_INTERVAL 20

/*
 * How long others are waited for while somebody waits for a thread: to send, or to take anything of an answer; and
 * to take all of one.
 */
#define GRACE         60
#define GRACE_SIEGE   30 /* where more than there are threads wait for one, and to take anything */
#define GRACE_TO_TAKE 500

/* Who has been at work so long is waiting for something itself. */
#define LONG_WORK 500

/* Of so many threads one is kept for who comes, and from work of one kind; fewer may all do the same. */
#define MANY_THREADS 8

/* How often, and how long each time, is waited for others' work to end before there is too much of it. */
#define WORK_TRIES           40
#define WORK_TRY_NANOSECONDS 5000000

/* Of a head in the queue, so much is looked at. */
#define PEEK_SIZE 16384

/* What is known of a descriptor: since when this connection is there. */
struct guest {
    int port;     /* the peer's; 0: it is no connection of a client's */
    bool is_shut; /* it was shut down before it had a known place */
    long long since;
};

/* Who may have to go. */
struct candidate {
    int descriptor;
    struct place *place; /* NULL: none that is known */
    long long waited;
};

static pthread_t watcher;
static bool stopping; /* under the places' lock */
static int listening_port;
static int thread_count;
static int queue_length;
static int descriptor_count;
static struct guest *guests;
static struct candidate *candidates;
static size_t candidate_count;
static int grace;
static int strangers; /* connections without a known place */
static int gone;      /* that were shut down, among them */
static int requests;  /* with an unread head among them: in the queue, that is */
static atomic_bool is_stuck;
static atomic_int work;
static atomic_int slow_work;

/* So many threads are kept for who comes. */
static int
reserve(void)
{
    return thread_count >= MANY_THREADS ? thread_count / MANY_THREADS : thread_count > 1;
}

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
shut_down(int descriptor, struct place *place)
{
    shutdown(descriptor, place->is_shut || place->state == PLACE_SENDS ? SHUT_RDWR : SHUT_RD);
    place->is_shut = true;
}

/* ---- Looking around --------------------------------------------------------------------- */

static void
look_at_stranger(int descriptor, const struct guest *guest, long long now)
{
    strangers++;
    if (guest->is_shut)
        gone++;
    else if (has_head(descriptor))
        requests++;
    else if (now - guest->since >= grace)
        candidates[candidate_count++] = (struct candidate){descriptor, NULL, now - guest->since};
}

/*
 * Whether a client has taken nothing of its answer for a while, or not all of it for long.  One that has shut its
 * window, so that nothing is on its way though there is more to send, is known to take nothing.
 */
static bool
is_slow_to_take(int descriptor, struct place *place, long long now)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    bool is_deaf;

    getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length);
    is_deaf = info.tcpi_unacked == 0 && info.tcpi_notsent_bytes > 0;
    if (place->taken_at < place->since)
        place->taken_at = is_deaf ? place->since : now;
    else if (place->taken != info.tcpi_bytes_acked)
        place->taken_at = now;
    place->taken = info.tcpi_bytes_acked;
    return now - place->taken_at >= (is_deaf ? GRACE_SIEGE : grace) ||
           now - place->since >= GRACE_TO_TAKE;
}

static void
look_at_place(int descriptor, const struct guest *guest, struct place *place, long long now)
{
    bool counts_from_start = place->is_new && guest->since < place->since;
    long long waited = now - (counts_from_start ? guest->since : place->since);

    if (place->state == PLACE_WORKS || place->state == PLACE_LEAVES)
        return;
    if (place->moment != 0 && now >= place->moment)
        shut_down(descriptor, place);
    else if (!place->is_shut &&
             (place->state == PLACE_SENDS ? is_slow_to_take(descriptor, place, now)
                                          : waited >= grace))
        candidates[candidate_count++] = (struct candidate){descriptor, place, waited};
}

static void
look_around(bool is_crowded, long long now)
{
    int fd;

    grace = strangers > thread_count ? GRACE_SIEGE : GRACE;
    candidate_count = 0;
    strangers = gone = requests = 0;
    for (fd = 0; fd < descriptor_count; fd++) {
        char address[INET6_ADDRSTRLEN] = "";
        int port = peer_of(fd, address);
        struct place *place;

        if (port != guests[fd].port)
            guests[fd] = (struct guest){.port = port, .since = now};
        if (port == 0)
            continue;
        place = places_find(address, port);
        if (place != NULL)
            look_at_place(fd, &guests[fd], place, now);
        else if (is_crowded)
            look_at_stranger(fd, &guests[fd], now);
    }
}

static int
by_wait(const void *a, const void *b)
{
    long long x = ((const struct candidate *)a)->waited;
    long long y = ((const struct candidate *)b)->waited;

    return (x < y) - (x > y);
}

/* A stranger who has sent no head for too long; if he is in the queue, he then passes through it. */
static void
send_away(int descriptor)
{
    shutdown(descriptor, SHUT_RD);
    guests[descriptor].is_shut = true;
}

/*
 * Somebody waits for a thread: everybody before him needs one, and a few more may be coming.  Of the
 * strangers the oldest have a thread, since the queue keeps its order; who is in the queue without a head
 * goes at once, of the others only as many as are needed: they would be back at once.
 */
static void
make_room(int more)
{
    int seated = places_unknown() > gone ? places_unknown() - gone : 0;
    int wanted = strangers - gone - seated + more;
    int strangers_seen = 0;
    size_t i;

    qsort(candidates, candidate_count, sizeof(candidates[0]), by_wait);
    for (i = 0; i < candidate_count; i++)
        if (candidates[i].place == NULL && ++strangers_seen > seated) {
            send_away(candidates[i].descriptor);
            wanted--;
        }
    strangers_seen = 0;
    for (i = 0; i < candidate_count && wanted > 0; i++)
        if (candidates[i].place != NULL) {
            shut_down(candidates[i].descriptor, candidates[i].place);
            wanted--;
        } else if (++strangers_seen <= seated) {
            send_away(candidates[i].descriptor);
            wanted--;
        }
}

bool
crowd_is_nearly_full(void)
{
    return places_count() > thread_count - reserve();
}

bool
crowd_has_no_patience(long long milliseconds)
{
    return milliseconds >= GRACE_SIEGE && places_count() >= thread_count;
}

/* Count one more where that does not make them more than so many. */
static bool
count_up(atomic_int *count, int limit)
{
    if (atomic_fetch_add(count, 1) < limit)
        return true;
    atomic_fetch_sub(count, 1);
    return false;
}

bool
crowd_begin_work(bool is_slow)
{
    bool is_many = thread_count >= MANY_THREADS;
    int limit = is_many ? thread_count - reserve() : thread_count;
    int tries = WORK_TRIES;

    if (is_slow && !count_up(&slow_work, is_many ? thread_count / 2 : thread_count))
        return false;
    while (!atomic_load(&is_stuck) && tries-- > 0) {
        if (count_up(&work, limit))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = WORK_TRY_NANOSECONDS}, NULL);
    }
    if (is_slow)
        atomic_fetch_sub(&slow_work, 1);
    return false;
}

void
crowd_end_work(bool is_slow)
{
    atomic_fetch_sub(&work, 1);
    if (is_slow)
        atomic_fetch_sub(&slow_work, 1);
}

/* ---- The thread ------------------------------------------------------------------------- */

struct census {
    long long now;
    bool is_any_late;
    int at_work_long;
};

static void
count_place(struct place *place, void *context)
{
    struct census *census = context;

    if (place->state == PLACE_WORKS && census->now - place->since >= LONG_WORK)
        census->at_work_long++;
    if (place->state != PLACE_WORKS && place->state != PLACE_LEAVES && place->moment != 0 &&
        census->now >= place->moment)
        census->is_any_late = true;
}

static void
watch_once(void)
{
    struct census census = {.now = clock_now()};
    bool is_full;
    bool is_crowded = places_count() >= thread_count;

    places_each(count_place, &census);
    atomic_store(&is_stuck,
                 thread_count >= MANY_THREADS && census.at_work_long >= thread_count - reserve());
    if (is_crowded || census.is_any_late) {
        look_around(is_crowded, census.now);
        /* Who waits behind a full queue is not seen. */
        is_full = strangers - places_unknown() >= queue_length;
        if (requests > 0 || is_full)
            make_room(is_full ? thread_count / 2 + 1 : 1 + thread_count / 32);
    }
}

static void *
watch(void *nothing)
{
    (void)nothing;
    places_lock();
    while (!stopping) {
        places_sleep(clock_now() +
                         (places_count() >= thread_count ? CROWD_INTERVAL : CALM_INTERVAL),
                     thread_count);
        watch_once();
    }
    places_unlock();
    return NULL;
}

bool
crowd_start(int port, const struct capacity *capacity)
{
    listening_port = port;
    thread_count = capacity->threads;
    queue_length = capacity->queue;
    descriptor_count = capacity->descriptors;
    guests = calloc((size_t)descriptor_count, sizeof(guests[0]));
    candidates = calloc((size_t)descriptor_count, sizeof(candidates[0]));
    return guests != NULL && candidates != NULL && pthread_create(&watcher, NULL, watch, NULL) == 0;
}

void
crowd_stop(void)
{
    places_lock();
    stopping = true;
    places_wake();
    places_unlock();
    pthread_join(watcher, NULL);
    free(guests);
    free(candidates);
}
