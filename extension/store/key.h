/* SPDX-License-Identifier: MIT
 *
 * key.h: auth.signing_keys.
 */
#ifndef AUTH_SERVICE_STORE_KEY_H
#define AUTH_SERVICE_STORE_KEY_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "base/types.h"

#define AUTH_KID_BYTES_MAX       64
#define AUTH_ALGORITHM_BYTES_MAX 8

/* Mirrors a row of auth.signing_keys. */
typedef struct KeyRow {
    char kid[AUTH_KID_BYTES_MAX + 1];
    char algorithm[AUTH_ALGORITHM_BYTES_MAX + 1]; /* as in "alg" (RFC 7518, 3.1) */
    TimestampTz imported_until;                   /* 0: our own */
    KekId sealed_by;
    bytea *secret;     /* sealed, if it is; NULL: only the public half is here */
    bytea *public_key; /* NULL for HS256 */
} KeyRow;

extern bool StoreKeyFind(const char *kid, KeyRow *key);
extern bool StoreKeySigning(TimestampTz now, char *kid);
extern bool StoreKeyNewest(KeyRow *key);
extern bool StoreKeyInsert(const KeyRow *key, TimestampTz signs_from);
extern List *StoreKeysPublished(TimestampTz now);
extern List *StoreKeysSecret(void);
extern void StoreKeysLock(void);
extern void StoreKeysRetire(const char *signing_kid, TimestampTz now, TimestampTz verify_until);
extern bool StoreKeyDrop(const char *kid, TimestampTz now);
extern void StoreKeyWrap(const KeyRow *key);

extern bool StoreKeyLastImported(KeyRow *key);
extern void StoreKeyImport(const KeyRow *key, TimestampTz until);
extern char *StoreImportedKids(TimestampTz now);

#endif
