/* SPDX-License-Identifier: MIT
 *
 * refresh_token.h: the opaque refresh token.
 */
#ifndef AUTH_SERVICE_TOKENS_REFRESH_TOKEN_H
#define AUTH_SERVICE_TOKENS_REFRESH_TOKEN_H

#include "base/types.h"

#define AUTH_REFRESH_TOKEN_CHARS 76

extern char *RefreshTokenEncode(const RefreshToken *token, const unsigned char *key);
extern bool RefreshTokenDecode(const char *given, Size size, RefreshToken *token);
extern bool RefreshTokenIsAuthentic(const char *given, Size size, const RefreshToken *token,
                                    const unsigned char *key);

#endif
