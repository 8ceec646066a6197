/* SPDX-License-Identifier: MIT
 *
 * access_token.h: access tokens, JWTs in the manner of RFC 9068.
 */
#ifndef AUTH_SERVICE_TOKENS_ACCESS_TOKEN_H
#define AUTH_SERVICE_TOKENS_ACCESS_TOKEN_H

#include "base/types.h"
#include "keys/key.h"
#include "store/key.h"

/* Longer ones are refused unread. */
#define AUTH_ACCESS_TOKEN_BYTES_MAX 4096

/* What a token says, every value checked for its type and form. */
typedef struct TokenClaims {
    char kid[AUTH_KID_BYTES_MAX + 1];
    int64 user_id;         /* sub */
    pg_uuid_t session_id;  /* sid */
    Generation generation; /* gen */
    char *json;            /* the whole payload */
    /* A token of the service before us: it has neither session nor generation, which are 0. */
    bool is_imported;
} TokenClaims;

/* Seconds that a new one is good: its session is over when it was not refreshed for so long. */
extern int TokenLifetime(void);
extern char *TokenIssue(SigningKey *key, UserRole role, const RefreshToken *refresh);
extern bool TokenVerify(const char *token, Size size, TokenClaims *claims);

#endif
