/* SPDX-License-Identifier: MIT
 *
 * claims.h: an access token's payload: its claims, written and read (RFC 7519, 4).
 */
#ifndef AUTH_SERVICE_TOKENS_CLAIMS_H
#define AUTH_SERVICE_TOKENS_CLAIMS_H

#include "lib/stringinfo.h"

#include "base/types.h"
#include "tokens/access_token.h"

/* Append the claims of a new token of this user, session and generation, good for so many seconds. */
extern void TokenClaimsAppend(StringInfo json, UserRole role, const RefreshToken *refresh,
                              int lifetime);

/* Read what a key of ours has signed, NUL-terminated.  True: it is for us, not expired, and all is there. */
extern bool TokenClaimsRead(const char *json, Size size, TokenClaims *claims);

/*
 * The two halves of that.  Nearly every token comes exactly as TokenClaimsAppend has written it, and that form
 * is told and read in a tenth of the time of a JSON parser's (docs/performance.md).  TOKEN_FORM_OTHER: it may
 * be good in another form, and claims is not to be used.
 */
typedef enum TokenForm { TOKEN_FORM_OURS, TOKEN_FORM_OUR_EXPIRED, TOKEN_FORM_OTHER } TokenForm;
extern TokenForm TokenClaimsReadOurs(const char *json, Size size, TokenClaims *claims);
extern bool TokenClaimsReadAny(const char *json, Size size, TokenClaims *claims);

/*
 * The payload of a token of the service before us, which has "sub" and "exp" and need not have more.
 * One that expires after the key's last day would be a refresh token, which looks the same there.
 */
extern bool TokenClaimsReadImported(const char *json, Size size, TimestampTz until,
                                    TokenClaims *claims);

#endif
