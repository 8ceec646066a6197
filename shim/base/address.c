/* SPDX-License-Identifier: MIT
 *
 * address.c: see address.h.
 *
 * Each proxy writes behind what it got whom it got it from; so what a trusted one wrote last is true, and
 * what stands before that only where the one whom it names is trusted as well.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

/* IPv4 addresses are those of IPv6 that are mapped so (RFC 4291, 2.5.5.2). */
static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* Read an address; false where it is none.  *bits tells how many it has as it was written. */
static bool
read_address(const char *text, unsigned char address[16], int *bits)
{
    *bits = 128;
    if (inet_pton(AF_INET6, text, address) == 1)
        return true;
    *bits = 32;
    memcpy(address, mapped, sizeof(mapped));
    return inet_pton(AF_INET, text, address + sizeof(mapped)) == 1;
}

static void
write_address(const unsigned char address[16], char text[CLIENT_ADDRESS_SIZE])
{
    if (memcmp(address, mapped, sizeof(mapped)) == 0)
        inet_ntop(AF_INET, address + sizeof(mapped), text, CLIENT_ADDRESS_SIZE);
    else
        inet_ntop(AF_INET6, address, text, CLIENT_ADDRESS_SIZE);
}

/* ---- Networks --------------------------------------------------------------------------- */

/* Read "address" or "address/bits". */
static bool
read_network(const char *text, unsigned char address[16], int *bits)
{
    char word[CLIENT_ADDRESS_SIZE];
    size_t length = strcspn(text, "/");
    int width;

    if (length >= sizeof(word))
        return false;
    memcpy(word, text, length);
    word[length] = '\0';
    if (!read_address(word, address, &width))
        return false;
    *bits = 128;
    if (text[length] == '/') {
        const char *number = text + length + 1;

        if (number[0] == '\0' || strlen(number) > 3 || number[strspn(number, "0123456789")] != '\0')
            return false;
        *bits = atoi(number);
        if (*bits > width)
            return false;
        *bits += 128 - width;
    }
    return true;
}

/* Take the next word of a list; false: there is none. */
static bool
next_word(const char **list, char *word, size_t size)
{
    size_t length;

    *list += strspn(*list, ", \t");
    length = strcspn(*list, ", \t");
    snprintf(word, size, "%.*s", (int)length, *list);
    *list += length;
    return length > 0;
}

bool
client_address_are_networks(const char *networks, char *which, size_t size)
{
    unsigned char address[16];
    int bits;

    while (next_word(&networks, which, size))
        if (!read_network(which, address, &bits))
            return false;
    return true;
}

static bool
is_in_network(const unsigned char address[16], const unsigned char network[16], int bits)
{
    int whole = bits / 8;
    int rest = bits % 8;

    return memcmp(address, network, (size_t)whole) == 0 &&
           (rest == 0 || (address[whole] ^ network[whole]) >> (8 - rest) == 0);
}

static bool
is_trusted(const char *networks, const unsigned char address[16])
{
    unsigned char network[16];
    char word[64];
    int bits;

    while (next_word(&networks, word, sizeof(word)))
        if (read_network(word, network, &bits) && is_in_network(address, network, bits))
            return true;
    return false;
}

void
client_address_network(const char *address, unsigned char network[CLIENT_NETWORK_SIZE])
{
    int bits;

    if (address == NULL || !read_address(address, network, &bits))
        memset(network, 0, CLIENT_NETWORK_SIZE);
    else if (memcmp(network, mapped, sizeof(mapped)) != 0)
        memset(network + 8, 0, 8);
}

/* ---- X-Forwarded-For -------------------------------------------------------------------- */

static bool
is_port(const char *text)
{
    return text[0] != '\0' && strlen(text) <= 5 && text[strspn(text, "0123456789")] == '\0';
}

/* Read a proxy's word for an address: also "[v6]", "[v6]:port" and "v4:port". */
static bool
read_word(char *word, unsigned char address[16])
{
    char *colon = strchr(word, ':');
    char *port = NULL;
    int bits;

    if (word[0] == '[') {
        char *closing = strchr(word, ']');

        if (closing == NULL || colon == NULL || (closing[1] != '\0' && closing[1] != ':'))
            return false;
        if (closing[1] == ':')
            port = closing + 2;
        *closing = '\0';
        word++;
    } else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        port = colon + 1;
        *colon = '\0';
    }
    return (port == NULL || is_port(port)) && read_address(word, address, &bits);
}

/* The same of a part of the header. */
static bool
read_forwarded(const char *start, const char *end, unsigned char address[16])
{
    char word[CLIENT_ADDRESS_SIZE + sizeof("[]:65535")];

    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (start < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if ((size_t)(end - start) >= sizeof(word))
        return false;
    memcpy(word, start, (size_t)(end - start));
    word[end - start] = '\0';
    return read_word(word, address);
}

void
client_address_find(const char *networks, const char *peer, const char *forwarded,
                    char address[CLIENT_ADDRESS_SIZE])
{
    const char *end = forwarded + strlen(forwarded);
    unsigned char found[16];
    unsigned char next[16];
    int bits;

    if (!read_address(peer, found, &bits)) {
        snprintf(address, CLIENT_ADDRESS_SIZE, "%s", peer);
        return;
    }
    while (is_trusted(networks, found) && end > forwarded) {
        const char *start = end;

        while (start > forwarded && start[-1] != ',')
            start--;
        if (!read_forwarded(start, end, next))
            break;
        memcpy(found, next, sizeof(found));
        end = start > forwarded ? start - 1 : start;
    }
    write_address(found, address);
}
