/* SPDX-License-Identifier: MIT
 *
 * deadline.c: see deadline.h.
 *
 * civetweb's own timeout starts anew with each byte, so a client that sends or takes one byte now
 * and then holds a thread for ever.  civetweb does not show its sockets; but a thread that waits on
 * one is known by its peer, and the socket with that peer is among our descriptors.  Looking for it
 * is slow and happens only for connections that are late.
 *
 * A waiting thread cannot leave deadline_end, and so cannot close its socket, while the watcher
 * holds the mutex: the descriptor that is shut down is the right one.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "deadline.h"

/* How often late connections are looked for, in milliseconds. */
#define WATCH_INTERVAL 250

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stopped;
static bool stopping;
static pthread_t watcher;
static struct deadline *deadlines;
static DIR *descriptors; /* /proc/self/fd, open from the start: later none may be left to open it */

void
deadline_begin(struct deadline *deadline, const char *address, int port, long long milliseconds)
{
    *deadline =
        (struct deadline){.moment = clock_now() + milliseconds, .address = address, .port = port};
    pthread_mutex_lock(&mutex);
    deadline->next = deadlines;
    deadlines = deadline;
    pthread_mutex_unlock(&mutex);
}

bool
deadline_end(struct deadline *deadline)
{
    struct deadline **link;

    pthread_mutex_lock(&mutex);
    for (link = &deadlines; *link != NULL; link = &(*link)->next)
        if (*link == deadline) {
            *link = deadline->next;
            break;
        }
    pthread_mutex_unlock(&mutex);
    return deadline->has_passed;
}

/* The peer of a socket as text, and its port; 0 where there is none. */
static int
peer_of(int descriptor, char *address, socklen_t size)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer = {0};
    socklen_t length = sizeof(peer);

    if (getpeername(descriptor, &peer.any, &length) != 0)
        return 0;
    if (peer.any.sa_family == AF_INET && inet_ntop(AF_INET, &peer.v4.sin_addr, address, size))
        return ntohs(peer.v4.sin_port);
    if (peer.any.sa_family == AF_INET6 && inet_ntop(AF_INET6, &peer.v6.sin6_addr, address, size))
        return ntohs(peer.v6.sin6_port);
    return 0;
}

/* Shut this socket down where somebody waits for its peer too long. */
static void
shut_down_late(int descriptor, long long now)
{
    char address[INET6_ADDRSTRLEN] = "";
    int port = peer_of(descriptor, address, sizeof(address));
    struct deadline *deadline;

    for (deadline = deadlines; port != 0 && deadline != NULL; deadline = deadline->next)
        if (now >= deadline->moment && deadline->port == port &&
            strcmp(deadline->address, address) == 0) {
            /* Reading only, at first: an answer (408) can still be sent.  A write that is stuck
             * ends at the second try. */
            shutdown(descriptor, deadline->has_passed ? SHUT_RDWR : SHUT_RD);
            deadline->has_passed = true;
        }
}

static bool
is_any_late(long long now)
{
    const struct deadline *deadline;

    for (deadline = deadlines; deadline != NULL; deadline = deadline->next)
        if (now >= deadline->moment)
            return true;
    return false;
}

static void
shut_down_all_late(long long now)
{
    struct dirent *entry;

    rewinddir(descriptors);
    while ((entry = readdir(descriptors)) != NULL)
        if (entry->d_name[0] != '.')
            shut_down_late(atoi(entry->d_name), now);
}

static void *
watch(void *nothing)
{
    (void)nothing;
    pthread_mutex_lock(&mutex);
    while (!stopping) {
        struct timespec next = clock_timespec(clock_now() + WATCH_INTERVAL);

        pthread_cond_timedwait(&stopped, &mutex, &next);
        if (is_any_late(clock_now()))
            shut_down_all_late(clock_now());
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

bool
deadline_start(void)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
    descriptors = opendir("/proc/self/fd");
    return descriptors != NULL && pthread_create(&watcher, NULL, watch, NULL) == 0;
}

void
deadline_stop(void)
{
    pthread_mutex_lock(&mutex);
    stopping = true;
    pthread_cond_signal(&stopped);
    pthread_mutex_unlock(&mutex);
    pthread_join(watcher, NULL);
    closedir(descriptors);
}
