/* SPDX-License-Identifier: MIT
 *
 * envelope.h: keys in the tables are sealed with a key-encryption key that is not in the database.
 */
#ifndef AUTH_SERVICE_KEYS_ENVELOPE_H
#define AUTH_SERVICE_KEYS_ENVELOPE_H

#include "base/types.h"

/* What seals new things; size 0 where no key-encryption key is set. */
extern KekId KekCurrent(void);

/* Whether a key-encryption key is here; the second raises where it is not. */
extern bool KekLoad(const KekId *id);
extern void KekRequire(const KekId *id);

/*
 * Seal size bytes of this signing key, ENVELOPE_BYTES_MORE more; open them again, to size - ENVELOPE_BYTES_MORE
 * bytes.  Both raise where that cannot be done.
 */
#define ENVELOPE_BYTES_MORE 28
extern void EnvelopeWrap(const KekId *id, const char *kid, const char *algorithm,
                         const unsigned char *plain, Size size, unsigned char *sealed);
extern void EnvelopeUnwrap(const KekId *id, const char *kid, const char *algorithm,
                           const unsigned char *sealed, Size sealed_size, unsigned char *plain);

/* Make a session's key, as it lies in the table, the one that its refresh tokens are made with. */
extern void EnvelopeSessionKey(const KekId *id, const pg_uuid_t *session_id, unsigned char *key);

/* Forget what the command has printed: it is run again when a key is needed. */
extern void KekForget(void);

#endif
