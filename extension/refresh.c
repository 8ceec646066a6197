/* SPDX-License-Identifier: MIT
 *
 * refresh.c: a refresh token becomes the next pair of its session.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "audit.h"
#include "compat.h"
#include "guc.h"
#include "refresh_token.h"
#include "session.h"
#include "store.h"
#include "text.h"
#include "token_pair.h"

PG_FUNCTION_INFO_V1(auth_service_refresh);
PG_FUNCTION_INFO_V1(auth_service_refresh_cause);

/* Why the transaction's last refresh took a token that was used before; NULL: it did not. */
static const char *forgiven_for = NULL;

static void
ForgetCause(XactEvent event, void *nothing)
{
    forgiven_for = NULL;
}

void
RefreshInit(void)
{
    RegisterXactCallback(ForgetCause, NULL);
}

static TimestampTz
AddSeconds(TimestampTz time, int seconds)
{
    return time + (int64)seconds * USECS_PER_SEC;
}

RefreshVerdict
RefreshJudge(const Generation *given, const SessionRow *session, TimestampTz asked_at,
             TimestampTz now)
{
    /* The session's two limits, from its login and from its last use. */
    if (now >= session->expires_at ||
        now >= AddSeconds(session->last_used_at, auth_service_refresh_token_idle_ttl))
        return REFRESH_EXPIRED;
    switch (SessionPlace(given, session)) {
    case GENERATION_UNCOMMITTED:
        return REFRESH_UNCOMMITTED;
    case GENERATION_CURRENT:
        return auth_service_refresh_token_rotation ? REFRESH_STEP : REFRESH_SAME;
    case GENERATION_PREVIOUS:
        return asked_at <= AddSeconds(session->last_used_at, auth_service_refresh_token_grace)
                   ? REFRESH_FORGIVEN
                   : REFRESH_REUSED;
    case GENERATION_OLDER:
    case GENERATION_FORGOTTEN:
        break;
    }
    return REFRESH_REUSED;
}

/* Do to the session what the verdict says; the token becomes the one to answer.  False: none. */
static bool
CarryOut(RefreshVerdict verdict, RefreshToken *token, const SessionRow *session, TimestampTz now)
{
    switch (verdict) {
    case REFRESH_STEP:
        token->generation = (Generation){session->generation.counter + 1, TokenPairNonce()};
        StoreSessionStep(token, now);
        return true;
    case REFRESH_SAME:
        /* The use is noted all the same, for the idle limit. */
        StoreSessionTouch(token->user_id, &token->session_id, now);
        return true;
    case REFRESH_FORGIVEN:
        forgiven_for = "grace-period";
        token->generation = session->generation;
        return true;
    case REFRESH_UNCOMMITTED:
        return false;
    case REFRESH_REUSED:
        AuditRecord(&(AuditEvent){.action = "refresh_reused", .user_id = token->user_id});
        break;
    case REFRESH_EXPIRED:
        break;
    }
    StoreSessionDelete(token->user_id, &token->session_id);
    return false;
}

/*
 * SQL function: refresh(refresh_token text) returns auth.token_pair
 *
 * NULL where the token is none of ours, or its session has ended, or it was used before; the last
 * ends the session.  That is why it is no error: an error would undo it.  RFC 9700, 4.14.2.
 */
Datum
auth_service_refresh(PG_FUNCTION_ARGS)
{
    text *given = TextUpTo(PG_GETARG_DATUM(0), AUTH_REFRESH_TOKEN_CHARS);
    unsigned char key[AUTH_REFRESH_KEY_BYTES];
    RefreshToken token;
    SessionRow session;
    TimestampTz asked_at;
    TimestampTz now;

    forgiven_for = NULL;
    /* Nothing is locked for a token that we did not issue. */
    if (given == NULL ||
        !RefreshTokenDecode(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), &token) ||
        !StoreSessionKey(token.user_id, &token.session_id, key) ||
        !RefreshTokenIsAuthentic(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), &token, key))
        PG_RETURN_NULL();
    asked_at = GetCurrentTimestamp();
    StoreCommitDurably();
    if (!StoreSessionLock(token.user_id, &token.session_id, &session)) {
        StoreRequireSeen(false);
        PG_RETURN_NULL();
    }
    if (session.is_blocked)
        PG_RETURN_NULL();
    now = GetCurrentTimestamp();
    if (!CarryOut(RefreshJudge(&token.generation, &session, asked_at, now), &token, &session, now))
        PG_RETURN_NULL();
    PG_RETURN_DATUM(TokenPair(fcinfo, session.role, &token, key));
}

/*
 * SQL function: _refresh_cause() returns text
 *
 * "grace-period" where the transaction's last refresh forgave a token that was used before, else
 * NULL; for fronts, which tell their clients.
 */
Datum
auth_service_refresh_cause(PG_FUNCTION_ARGS)
{
    if (forgiven_for == NULL)
        PG_RETURN_NULL();
    PG_RETURN_DATUM(CStringGetTextDatum(forgiven_for));
}
