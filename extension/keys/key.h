/* SPDX-License-Identifier: MIT
 *
 * key.h: signing keys, as this backend knows them.
 */
#ifndef AUTH_SERVICE_KEYS_KEY_H
#define AUTH_SERVICE_KEYS_KEY_H

#include "datatype/timestamp.h"

#include "base/compat.h"
#include "base/types.h"
#include "keys/libcrypto.h"
#include "store/key.h"

/* An imported key's kid begins so. */
#define AUTH_KID_IMPORTED "imported-"

/* Key lengths for HS256: RFC 7518, 3.2 demands 32 bytes at least. */
#define AUTH_HMAC_KEY_BYTES_MIN 32
#define AUTH_HMAC_KEY_BYTES_MAX 512

/* Longer ones are no key of ours in PEM. */
#define AUTH_PEM_BYTES_MAX 8192

/* The header of our tokens, encoded, has 90 characters. */
#define KEY_HEADER_CHARS_MAX 128

/* A signature in base64url. */
#define KEY_SIGNATURE_CHARS_MAX ((CRYPTO_SIGNATURE_BYTES_MAX * 4 + 2) / 3)

/* A key ready for use.  What is NULL is not needed for its algorithm, or was not needed yet. */
typedef struct SigningKey {
    char kid[AUTH_KID_BYTES_MAX + 1]; /* "": none */
    char algorithm[AUTH_ALGORITHM_BYTES_MAX + 1];
    TimestampTz imported_until;
    int secret_size;
    unsigned char secret[AUTH_HMAC_KEY_BYTES_MAX];
    /* The header, as it came, of a token that the key has verified, and its length; 0: none yet. */
    char header[KEY_HEADER_CHARS_MAX];
    Size header_size;
    struct jwt *handle; /* libjwt.c's own */
    struct evp_pkey_st *public_key;
    struct evp_pkey_st *private_key;
} SigningKey;

extern SigningKey *KeyActive(void);
extern SigningKey *KeyFind(const char *kid);
extern SigningKey *KeyOfHeader(const char *header, Size size);
extern void KeyNoteHeader(SigningKey *key, const char *header, Size size);
extern bool KeySign(SigningKey *key, const char *input, char *signature);
extern bool KeyVerify(SigningKey *key, const char *input, const char *signature,
                      const unsigned char *decoded, Size size);

/* key_row.c: keys as the table has them. */
extern bool KeyIsHmac(const char *algorithm);
pg_noreturn extern void KeyRaiseDamaged(void);
extern void KeyReadSecret(const KeyRow *row, CryptoBytes *plain);
extern char *KeyReadAlgorithm(const text *given);
extern void KeyMake(const char *algorithm, KeyRow *row);
extern bool KeyImport(const char *algorithm, const char *secret, KeyRow *row);
extern bool KeyIsSame(const KeyRow *one, const KeyRow *other);
extern KekId KeyKekId(void);
extern void KeyWrap(KeyRow *row, const KekId *id);

#endif
