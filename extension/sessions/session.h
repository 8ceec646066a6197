/* SPDX-License-Identifier: MIT
 *
 * session.h: what a session's row tells of its tokens.
 */
#ifndef AUTH_SERVICE_SESSIONS_SESSION_H
#define AUTH_SERVICE_SESSIONS_SESSION_H

#include "base/types.h"
#include "store/session.h"
#include "tokens/access_token.h"

/* Where a pair that we issued stands in its session's history. */
typedef enum GenerationAge {
    GENERATION_UNCOMMITTED, /* its transaction rolled back, or was lost in a failover */
    GENERATION_CURRENT,
    GENERATION_PREVIOUS,
    GENERATION_OLDER,
    GENERATION_FORGOTTEN /* so old that the row cannot tell whether it was committed */
} GenerationAge;

extern GenerationAge SessionGenerationAge(const Generation *given, const SessionRow *session);

/* What to answer to an authentic refresh token of a living session. */
typedef enum RefreshVerdict {
    REFRESH_STEP,        /* the current one: go on to the next generation */
    REFRESH_SAME,        /* without rotation: the current generation again */
    REFRESH_FORGIVEN,    /* used before, and not for long: the current generation again */
    REFRESH_UNCOMMITTED, /* it was never the session's */
    REFRESH_EXPIRED,     /* its session is over */
    REFRESH_REUSED       /* used before: somebody has a copy */
} RefreshVerdict;

/* asked_at: when the token was presented, which may be a while before it comes to the judgement. */
extern RefreshVerdict RefreshJudge(const Generation *given, const SessionRow *session,
                                   TimestampTz asked_at, TimestampTz now);
extern void RefreshInit(void);

/* Whether authenticate would take this access token; sets nothing. */
extern bool SessionVerifyToken(text *token, TokenClaims *claims, SessionRow *session);

#endif
