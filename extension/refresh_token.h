/* SPDX-License-Identifier: MIT
 *
 * refresh_token.h: the opaque refresh token.
 */
#ifndef AUTH_SERVICE_REFRESH_TOKEN_H
#define AUTH_SERVICE_REFRESH_TOKEN_H

#include "user.h"

#define AUTH_REFRESH_KEY_BYTES   32
#define AUTH_REFRESH_TOKEN_CHARS 76

typedef struct RefreshToken {
    int64 user_id;
    pg_uuid_t session_id;
    Generation generation;
} RefreshToken;

extern char *RefreshTokenEncode(const RefreshToken *token, const unsigned char *key);
extern bool RefreshTokenDecode(const char *given, Size size, RefreshToken *token);
extern bool RefreshTokenIsAuthentic(const char *given, Size size, const RefreshToken *token,
                                    const unsigned char *key);

#endif
