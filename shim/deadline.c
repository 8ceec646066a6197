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

void
deadline_begin(struct deadline *deadline, const char *address, int port, long long milliseconds)
{
    *deadline = (struct deadline){
        .is_listed = true, .moment = clock_now() + milliseconds, .address = address, .port = port};
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
    deadline->is_listed = false;
    return deadline->has_passed;
}

static bool
is_peer(int socket, const struct deadline *deadline)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer = {0};
    socklen_t length = sizeof(peer);
    char address[INET6_ADDRSTRLEN] = "";

    if (getpeername(socket, &peer.any, &length) != 0)
        return false;
    if (peer.any.sa_family == AF_INET && ntohs(peer.v4.sin_port) == deadline->port)
        inet_ntop(AF_INET, &peer.v4.sin_addr, address, sizeof(address));
    else if (peer.any.sa_family == AF_INET6 && ntohs(peer.v6.sin6_port) == deadline->port)
        inet_ntop(AF_INET6, &peer.v6.sin6_addr, address, sizeof(address));
    return strcmp(address, deadline->address) == 0;
}

static void
shut_down(const struct deadline *deadline)
{
    DIR *descriptors = opendir("/proc/self/fd");
    struct dirent *entry;

    if (descriptors == NULL)
        return;
    while ((entry = readdir(descriptors)) != NULL) {
        int descriptor = atoi(entry->d_name);

        /* Reading only: an answer (408) can still be sent; a stuck write fails by the second try. */
        if (entry->d_name[0] != '.' && is_peer(descriptor, deadline))
            shutdown(descriptor, deadline->has_passed ? SHUT_RDWR : SHUT_RD);
    }
    closedir(descriptors);
}

static void *
watch(void *nothing)
{
    (void)nothing;
    pthread_mutex_lock(&mutex);
    while (!stopping) {
        struct timespec next = clock_timespec(clock_now() + WATCH_INTERVAL);
        struct deadline *deadline;

        pthread_cond_timedwait(&stopped, &mutex, &next);
        for (deadline = deadlines; deadline != NULL; deadline = deadline->next)
            if (clock_now() >= deadline->moment) {
                shut_down(deadline);
                deadline->has_passed = true;
            }
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
    return pthread_create(&watcher, NULL, watch, NULL) == 0;
}

void
deadline_stop(void)
{
    pthread_mutex_lock(&mutex);
    stopping = true;
    pthread_cond_signal(&stopped);
    pthread_mutex_unlock(&mutex);
    pthread_join(watcher, NULL);
}
