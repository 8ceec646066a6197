/* SPDX-License-Identifier: MIT
 *
 * key.h: signing keys, as this backend knows them.
 */
#ifndef AUTH_SERVICE_KEY_H
#define AUTH_SERVICE_KEY_H

#include "datatype/timestamp.h"

#define AUTH_KID_BYTES_MAX       64
#define AUTH_ALGORITHM_BYTES_MAX 8

/* An imported key's kid begins so. */
#define AUTH_KID_IMPORTED "imported-"

/* Key lengths for HS256: RFC 7518, 3.2 demands 32 bytes at least. */
#define AUTH_HMAC_KEY_BYTES_MIN 32
#define AUTH_HMAC_KEY_BYTES_MAX 512

/* Mirrors a row of auth.signing_keys. */
typedef struct SigningKey {
    char kid[AUTH_KID_BYTES_MAX + 1];
    TimestampTz imported_until;                   /* 0: our own */
    char algorithm[AUTH_ALGORITHM_BYTES_MAX + 1]; /* as in "alg" (RFC 7518, 3.1) */
    int secret_size;
    unsigned char secret[AUTH_HMAC_KEY_BYTES_MAX];
    struct jwt *handle; /* jwt_library.c's own; NULL at first */
} SigningKey;

extern SigningKey *KeyActive(void);
extern SigningKey *KeyFind(const char *kid);
extern void KeyImport(const char *secret, SigningKey *key);

#endif
