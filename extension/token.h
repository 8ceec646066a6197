/* SPDX-License-Identifier: MIT
 *
 * token.h: access tokens, JWTs in the manner of RFC 9068.
 */
#ifndef AUTH_SERVICE_TOKEN_H
#define AUTH_SERVICE_TOKEN_H

#include "user.h"

/* Longer ones are refused unread: libjwt 1.10 copies a token to the stack. */
#define AUTH_ACCESS_TOKEN_BYTES_MAX 4096
#define AUTH_KID_BYTES_MAX          64
#define AUTH_ALGORITHM_BYTES_MAX    8

/* Key lengths for HS256: RFC 7518, 3.2 demands 32 bytes at least. */
#define AUTH_HMAC_KEY_BYTES_MIN 32
#define AUTH_HMAC_KEY_BYTES_MAX 512

/* Mirrors a row of auth.signing_keys. */
typedef struct SigningKey {
    char kid[AUTH_KID_BYTES_MAX + 1];
    char algorithm[AUTH_ALGORITHM_BYTES_MAX + 1]; /* as in "alg" (RFC 7518, 3.1) */
    int secret_size;
    unsigned char secret[AUTH_HMAC_KEY_BYTES_MAX];
    struct jwt *handle; /* token.c's own; NULL at first */
} SigningKey;

/* What a token says, every value checked for its type and form. */
typedef struct TokenClaims {
    char kid[AUTH_KID_BYTES_MAX + 1];
    int64 user_id;        /* sub */
    pg_uuid_t session_id; /* sid */
    int64 expires_at;     /* exp, seconds since the epoch */
    char *json;           /* the whole payload */
} TokenClaims;

extern char *TokenIssue(SigningKey *key, int64 user_id, UserRole role, const pg_uuid_t *session_id);
extern void TokenKeyRelease(SigningKey *key);
extern bool TokenVerify(const char *token, Size size, TokenClaims *claims);

#endif
