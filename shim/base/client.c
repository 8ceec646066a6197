/* SPDX-License-Identifier: MIT
 *
 * client.c: see client.h.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/client.h"

int
client_peer(int socket, char address[INET6_ADDRSTRLEN])
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer = {0};
    socklen_t length = sizeof(peer);

    if (getpeername(socket, &peer.any, &length) != 0)
        return 0;
    if (peer.any.sa_family == AF_INET &&
        inet_ntop(AF_INET, &peer.v4.sin_addr, address, INET6_ADDRSTRLEN))
        return ntohs(peer.v4.sin_port);
    if (peer.any.sa_family == AF_INET6 &&
        inet_ntop(AF_INET6, &peer.v6.sin6_addr, address, INET6_ADDRSTRLEN))
        return ntohs(peer.v6.sin6_port);
    return 0;
}

static bool
is_socket_of(int socket, const struct client *client)
{
    char address[INET6_ADDRSTRLEN] = "";

    return client_peer(socket, address) == client->port && strcmp(address, client->address) == 0;
}

int
client_socket(const struct client *client)
{
    static _Thread_local int last = -1; /* a connection that is kept has the same one again */
    struct rlimit limit;
    int end;

    if (client == NULL || client->address == NULL || client->port == 0)
        return -1;
    if (last >= 0 && is_socket_of(last, client))
        return last;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return -1;
    /* Descriptors are given out from below: without holes for long, the end is near. */
    end = limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
    for (last = 0; last < end; last++)
        if (is_socket_of(last, client))
            return last;
    last = -1;
    return -1;
}

bool
client_is_gone(int socket)
{
    char byte;
    ssize_t got;

    if (socket < 0)
        return false;
    got = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}
