/* SPDX-License-Identifier: MIT
 *
 * address.h: where a request comes from, when proxies stand in front.
 */
#ifndef SHIM_BASE_ADDRESS_H
#define SHIM_BASE_ADDRESS_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>

/* Room for an address as text. */
#define CLIENT_ADDRESS_SIZE INET6_ADDRSTRLEN

/* Whether each of these is an address or a network (address/bits), IPv4 or IPv6; *which is the first that is none. */
bool client_address_are_networks(const char *networks, char *which, size_t size);

#define CLIENT_NETWORK_SIZE 16

/*
 * What one client has all of: its IPv4 address, or the 64 bits of an IPv6 network.  NULL and what is no address
 * are of one network.
 */
void client_address_network(const char *address, unsigned char network[CLIENT_NETWORK_SIZE]);

/*
 * The client's address, of what the trusted proxies say (the values of X-Forwarded-For, joined by commas in
 * their order): from the peer on, back to the first that is not trusted.  Where a word is no address,
 * nothing before it is believed.
 */
void client_address_find(const char *networks, const char *peer, const char *forwarded,
                         char address[CLIENT_ADDRESS_SIZE]);

#endif
