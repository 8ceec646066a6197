/* SPDX-License-Identifier: MIT
 *
 * seal.h: keys in the tables are sealed with a key-encryption key that is not in the database.
 */
#ifndef AUTH_SERVICE_SEAL_H
#define AUTH_SERVICE_SEAL_H

#include "user.h"

/* By these bytes a key-encryption key is told from others; they tell nothing of it. */
#define SEAL_ID_BYTES 8

/* What sealed something; size is 0 where it is not sealed, and SEAL_ID_BYTES where it is. */
typedef struct SealId {
    int size;
    unsigned char data[SEAL_ID_BYTES];
} SealId;

/* What seals new things; size 0 where no key-encryption key is set. */
extern SealId SealCurrent(void);

/* Whether a key-encryption key is here; the second raises where it is not. */
extern bool SealHas(const SealId *id);
extern void SealRequire(const SealId *id);

/*
 * Seal size bytes of this signing key, SEAL_BYTES_MORE more; open them again, to size - SEAL_BYTES_MORE
 * bytes.  Both raise where that cannot be done.
 */
#define SEAL_BYTES_MORE 28
extern void SealSecret(const SealId *id, const char *kid, const char *algorithm,
                       const unsigned char *plain, Size size, unsigned char *sealed);
extern void SealOpen(const SealId *id, const char *kid, const char *algorithm,
                     const unsigned char *sealed, Size sealed_size, unsigned char *plain);

/* Make a session's key, as it lies in the table, the one that its refresh tokens are made with. */
extern void SealSessionKey(const SealId *id, const pg_uuid_t *session_id, unsigned char *key);

/* For guc.c: the command was changed. */
extern void SealForget(void);

#endif
