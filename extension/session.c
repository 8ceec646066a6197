/* SPDX-License-Identifier: MIT
 *
 * session.c: sessions: refresh, logout, and the identity of a token; login.c starts them.
 *
 * A session is a row while it lives.  To end it is to delete the row: from then on its access
 * tokens, wherever they are, and its refresh token are refused.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "audit.h"
#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "identity.h"
#include "refresh_token.h"
#include "seal.h"
#include "store.h"
#include "token.h"
#include "token_pair.h"

/* How long the refresh token before the current one is forgiven: a lost answer, two tabs. */
#define REFRESH_GRACE_SECONDS 10
/* users.last_activity_at is noted at most so often. */
#define ACTIVITY_SECONDS 60

PG_FUNCTION_INFO_V1(auth_service_refresh);
PG_FUNCTION_INFO_V1(auth_service_logout);
PG_FUNCTION_INFO_V1(auth_service_logout_all);
PG_FUNCTION_INFO_V1(auth_service_authenticate);
PG_FUNCTION_INFO_V1(auth_service_verify_token);

static TimestampTz
AddSeconds(TimestampTz time, int seconds)
{
    return time + (int64)seconds * USECS_PER_SEC;
}

/* ---- Refresh --------------------------------------------------------------------------- */

/*
 * Whether this generation was committed, as far as the row can tell: one that is ahead was not, nor
 * one beside the current or the previous.  Older ones are believed; they soon expire.
 */
static bool
IsCommitted(const Generation *given, const SessionRow *session)
{
    const Generation *current = &session->generation;

    if (given->counter == current->counter)
        return given->nonce == current->nonce;
    if (given->counter == current->counter - 1)
        return given->nonce == session->previous_nonce;
    return given->counter < current->counter;
}

/* What to answer to an authentic refresh token of a living session. */
typedef enum RefreshVerdict {
    REFRESH_STEP,        /* the current one: go on to the next generation */
    REFRESH_SAME,        /* forgiven, or without rotation: the current generation again */
    REFRESH_UNCOMMITTED, /* its transaction rolled back, or was lost in a failover */
    REFRESH_EXPIRED,     /* its session is over */
    REFRESH_REUSED       /* used before: somebody has a copy */
} RefreshVerdict;

static RefreshVerdict
JudgeRefresh(const Generation *given, const SessionRow *session, TimestampTz asked_at)
{
    const Generation *current = &session->generation;

    if (!IsCommitted(given, session))
        return REFRESH_UNCOMMITTED;
    if (given->counter == current->counter)
        return auth_service_refresh_token_rotation ? REFRESH_STEP : REFRESH_SAME;
    if (given->counter == current->counter - 1 &&
        asked_at <= AddSeconds(session->last_used_at, REFRESH_GRACE_SECONDS))
        return REFRESH_SAME;
    return REFRESH_REUSED;
}

/* Whether the session's two limits, from its login and from its last use, are still ahead. */
static bool
IsWithinLimits(const SessionRow *session, TimestampTz now)
{
    return now < session->expires_at &&
           now < AddSeconds(session->last_used_at, auth_service_refresh_token_idle_ttl);
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
    text *argument = PG_GETARG_TEXT_PP(0);
    const char *given = VARDATA_ANY(argument);
    Size size = VARSIZE_ANY_EXHDR(argument);
    unsigned char key[AUTH_REFRESH_KEY_BYTES];
    RefreshToken token;
    SealId sealed_by;
    SessionRow session;
    TimestampTz asked_at; /* before the wait for the lock: who waits there saw nobody else's step */
    TimestampTz now;

    /* Nothing is locked for a token that we did not issue. */
    if (!RefreshTokenDecode(given, size, &token) ||
        !StoreSessionKey(token.user_id, &token.session_id, key, &sealed_by))
        PG_RETURN_NULL();
    SealSessionKey(&sealed_by, &token.session_id, key);
    if (!RefreshTokenIsAuthentic(given, size, &token, key))
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
    switch (IsWithinLimits(&session, now) ? JudgeRefresh(&token.generation, &session, asked_at)
                                          : REFRESH_EXPIRED) {
    case REFRESH_STEP:
        token.generation = (Generation){session.generation.counter + 1, TokenPairNonce()};
        StoreSessionStep(&token, now);
        break;
    case REFRESH_SAME:
        /* Without rotation the use is noted all the same, for the idle limit. */
        if (token.generation.counter == session.generation.counter)
            StoreSessionTouch(token.user_id, &token.session_id, now);
        token.generation = session.generation;
        break;
    case REFRESH_UNCOMMITTED:
        PG_RETURN_NULL();
    case REFRESH_EXPIRED:
        StoreSessionDelete(token.user_id, &token.session_id);
        PG_RETURN_NULL();
    case REFRESH_REUSED:
        StoreSessionDelete(token.user_id, &token.session_id);
        AuditRecord(&(AuditEvent){.action = "refresh_reused", .user_id = token.user_id});
        PG_RETURN_NULL();
    }
    PG_RETURN_DATUM(TokenPair(fcinfo, session.role, &token, key));
}

/* ---- Logout ----------------------------------------------------------------------------- */

/* SQL function: logout() returns void: ends the identity's session, and the identity. */
Datum
auth_service_logout(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireIdentity();

    StoreCommitDurably();
    StoreRequireSeen(IsNoSession(&identity->session_id)
                         ? StoreImportedTokensEnd(identity->user_id)
                         : StoreSessionDelete(identity->user_id, &identity->session_id));
    AuditRecord(&(AuditEvent){.action = "logout", .user_id = identity->user_id});
    IdentityClear();
    PG_RETURN_VOID();
}

/* SQL function: logout_all() returns void: ends every session of the user, and the identity. */
Datum
auth_service_logout_all(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireLiveIdentity();
    LockedAccount account;

    StoreCommitDurably();
    /* No login slips in between: it locks the account too. */
    StoreRequireSeen(StoreAccountLock(identity->user_id, &account));
    StoreSessionsDelete(identity->user_id);
    StoreImportedTokensEnd(identity->user_id);
    AuditRecord(&(AuditEvent){.action = "logout_all", .user_id = identity->user_id});
    IdentityClear();
    PG_RETURN_VOID();
}

/* ---- The identity of a token ------------------------------------------------------------ */

typedef enum TokenVerdict { TOKEN_GOOD, TOKEN_BAD, TOKEN_BLOCKED } TokenVerdict;

/*
 * Judge an access token: its own text first, then the database's word on account, session and key.
 * The role that counts is the database's.
 */
static TokenVerdict
JudgeToken(text *token, TokenClaims *claims, SessionRow *session)
{
    if (!TokenVerify(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), claims) ||
        !StoreSessionFind(claims->user_id, &claims->session_id, claims->kid, session) ||
        !session->key_verifies)
        return TOKEN_BAD;
    if (session->is_blocked)
        return TOKEN_BLOCKED;
    return IsSessionAlive(session, GetCurrentTimestamp()) &&
                   (claims->is_imported || IsCommitted(&claims->generation, session))
               ? TOKEN_GOOD
               : TOKEN_BAD;
}

/*
 * Note the user's activity, now and then.  Not in a transaction block: the row would stay locked
 * until its end, and a DBA who blocks the user would wait for it.
 */
static void
NoteActivity(int64 user_id, TimestampTz last_activity_at)
{
    TimestampTz now = GetCurrentTimestamp();
    TimestampTz before = AddSeconds(now, -ACTIVITY_SECONDS);

    if (last_activity_at < before && !IsTransactionBlock() && !XactReadOnly &&
        !RecoveryInProgress())
        StoreActivityUpdate(user_id, now, before);
}

/*
 * SQL function: authenticate(access_token text) returns bigint
 *
 * The user's id; and the user is the identity until the transaction ends.  U401B for a token that
 * is not good, U403A for a blocked account.
 */
Datum
auth_service_authenticate(PG_FUNCTION_ARGS)
{
    TokenClaims claims;
    SessionRow session;

    if (PG_ARGISNULL(0))
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    switch (JudgeToken(PG_GETARG_TEXT_PP(0), &claims, &session)) {
    case TOKEN_GOOD:
        break;
    case TOKEN_BAD:
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    case TOKEN_BLOCKED:
        ErrorRaise(AUTH_ERROR_BLOCKED);
    }
    NoteActivity(claims.user_id, session.last_activity_at);
    IdentitySet(claims.user_id, session.role, &claims.session_id, claims.json);
    PG_RETURN_INT64(claims.user_id);
}

/*
 * SQL function: verify_token(access_token text) returns jsonb
 *
 * The token's claims where authenticate would take it, its role the database's; else NULL.  Sets
 * nothing.
 */
Datum
auth_service_verify_token(PG_FUNCTION_ARGS)
{
    TokenClaims claims;
    SessionRow session;

    if (JudgeToken(PG_GETARG_TEXT_PP(0), &claims, &session) != TOKEN_GOOD)
        PG_RETURN_NULL();
    PG_RETURN_JSONB_P(IdentityClaims(claims.json, session.role));
}
