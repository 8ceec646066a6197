/* SPDX-License-Identifier: MIT
 *
 * base64url.c: see base64url.h.  PostgreSQL's own decoder knows the other alphabet only, and skips
 * white space; libjwt's stops at the first bad character without an error.
 */
#include "postgres.h"

#include "base/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Write the text of size bytes and a NUL. */
void
Base64UrlEncode(const unsigned char *from, Size size, char *to)
{
    uint32 bits = 0;
    int count = 0;
    Size i;

    for (i = 0; i < size; i++) {
        bits = bits << 8 | from[i];
        for (count += 8; count >= 6; count -= 6)
            *to++ = alphabet[bits >> (count - 6) & 63];
    }
    if (count > 0)
        *to++ = alphabet[bits << (6 - count) & 63];
    *to = '\0';
}

static int
DigitValue(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/*
 * Write what size characters stand for and return its size; -1 for a foreign character, padding,
 * an impossible length, or bits behind the last byte that are not zero.  to: size * 3 / 4 bytes.
 */
int
Base64UrlDecode(const char *from, Size size, unsigned char *to)
{
    unsigned char *start = to;
    uint32 bits = 0;
    int count = 0;
    Size i;

    for (i = 0; i < size; i++) {
        int value = DigitValue(from[i]);

        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *to++ = (unsigned char)(bits >> count);
            bits &= (1U << count) - 1;
        }
    }
    return count >= 6 || bits != 0 ? -1 : (int)(to - start);
}
