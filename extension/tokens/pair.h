/* SPDX-License-Identifier: MIT
 *
 * pair.h: what login and refresh answer.
 */
#ifndef AUTH_SERVICE_TOKENS_PAIR_H
#define AUTH_SERVICE_TOKENS_PAIR_H

#include "fmgr.h"

#include "base/types.h"

/* An auth.token_pair: this refresh token, and a new access token of its generation. */
extern Datum TokenPair(FunctionCallInfo fcinfo, UserRole role, const RefreshToken *refresh,
                       const unsigned char *refresh_key);

/* For a new generation: a number from 0 to 2^63 - 1 that nobody can guess. */
extern int64 TokenPairNonce(void);

#endif
