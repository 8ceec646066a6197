/* SPDX-License-Identifier: MIT
 *
 * refresh.c: a refresh token becomes the next pair of its session.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "audit/audit.h"
#include "base/compat.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/types.h"
#include "keys/envelope.h"
#include "protection/throttle.h"
#include "sessions/session.h"
#include "store/session.h"
#include "store/store.h"
#include "tokens/pair.h"
#include "tokens/refresh_token.h"

PG_FUNCTION_INFO_V1(auth_service_refresh);
PG_FUNCTION_INFO_V1(auth_service_refresh_cause);
PG_FUNCTION_INFO_V1(auth_service_asked);

/* A front may say that a request waited so long with it; more it cannot make us forgive. */
#define ASKED_AGO_MAX (10 * USECS_PER_SEC)

/* Why the transaction's last refresh took a token that was used before; NULL: it did not. */
static const char *forgiven_for = NULL;

/* How long before this transaction its request came, in microseconds, as a front said. */
static int64 asked_ago = 0;

static void
Forget(XactEvent event, void *nothing)
{
    forgiven_for = NULL;
    asked_ago = 0;
}

void
RefreshInit(void)
{
    RegisterXactCallback(Forget, NULL);
}

static TimestampTz
AddSeconds(TimestampTz time, int seconds)
{
    return time + (int64)seconds * USECS_PER_SEC;
}

/* Whether a token was presented soon enough after the next one had taken its place. */
static bool
IsForgiven(TimestampTz asked_at, TimestampTz ended_at)
{
    return asked_at <= AddSeconds(ended_at, auth_service_refresh_token_grace);
}

/*
 * Whether a token that is two steps behind or more would have been taken when it was presented: it
 * was one step behind at most then, and was overtaken on its way here.  A client whose connection
 * was cut asks again, and may be two steps further before its first request gets to the database.
 */
static bool
WasForgivable(const Generation *given, const SessionRow *session, TimestampTz asked_at)
{
    int64 steps = session->generation.counter - given->counter - 2;
    TimestampTz second_step_at =
        steps == 0 ? session->last_used_at : session->older[steps - 1].ended_at;

    return asked_at <= second_step_at && IsForgiven(asked_at, session->older[steps].ended_at);
}

RefreshVerdict
RefreshJudge(const Generation *given, const SessionRow *session, TimestampTz asked_at,
             TimestampTz now)
{
    /* The session's two limits, from its login and from its last use. */
    if (now >= session->expires_at ||
        now >= AddSeconds(session->last_used_at, auth_service_refresh_token_idle_ttl))
        return REFRESH_EXPIRED;
    switch (SessionGenerationAge(given, session)) {
    case GENERATION_UNCOMMITTED:
        return REFRESH_UNCOMMITTED;
    case GENERATION_CURRENT:
        return auth_service_refresh_token_rotation ? REFRESH_STEP : REFRESH_SAME;
    case GENERATION_PREVIOUS:
        return IsForgiven(asked_at, session->last_used_at) ? REFRESH_FORGIVEN : REFRESH_REUSED;
    case GENERATION_OLDER:
        return WasForgivable(given, session, asked_at) ? REFRESH_FORGIVEN : REFRESH_REUSED;
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

/* The key of a token's session; false: there is no such session. */
static bool
ReadKey(const RefreshToken *token, unsigned char *key)
{
    KekId sealed_by;

    if (!StoreSessionKey(token->user_id, &token->session_id, key, &sealed_by))
        return false;
    EnvelopeSessionKey(&sealed_by, &token->session_id, key);
    return true;
}

/*
 * SQL function: refresh(refresh_token text) returns auth.token_pair
 *
 * NULL where the token is none of ours, or its session has ended, or it was used before; the last
 * ends the session.  That is why it is no error: an error would undo it.  RFC 9700, 4.14.2.  U429A where
 * too many that are none of ours came from the same address.
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
        !ReadKey(&token, key) ||
        !RefreshTokenIsAuthentic(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), &token, key)) {
        ThrottleCount("refresh", /* asker */ 0);
        PG_RETURN_NULL();
    }
    /* Before the wait for the lock: who waits there saw nobody else's step. */
    asked_at = GetCurrentTimestamp() - asked_ago;
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

/*
 * SQL function: _asked(microseconds_ago integer) returns void
 *
 * How long ago the request of this transaction came to the front, where it waited for a connection:
 * a refresh token is judged as of then.
 */
Datum
auth_service_asked(PG_FUNCTION_ARGS)
{
    asked_ago = Max(0, Min(PG_GETARG_INT32(0), ASKED_AGO_MAX));
    PG_RETURN_VOID();
}
