/* SPDX-License-Identifier: MIT
 *
 * client.h: whether the other end of a connection is still there.
 */
#ifndef SHIM_BASE_CLIENT_H
#define SHIM_BASE_CLIENT_H

#include <arpa/inet.h>
#include <stdbool.h>

/* The other end of the connection that this thread serves. */
struct client {
    const char *address; /* as text; NULL: unknown */
    int port;
    const char *origin; /* whom it asks for: itself, or past the proxies that are trusted */
};

/* The other end of a socket as text, and its port; 0 where there is none. */
int client_peer(int socket, char address[INET6_ADDRSTRLEN]);

/*
 * The socket to this client, which civetweb does not show; -1: not found.  It is good as long as the thread that
 * serves the client does not go back to civetweb.  client may be NULL.
 */
int client_socket(const struct client *client);

/* Whether nobody is there to take an answer: the client has closed its end.  A socket of -1 is not known to be. */
bool client_is_gone(int socket);

#endif
