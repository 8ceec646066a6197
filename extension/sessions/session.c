/* SPDX-License-Identifier: MIT
 *
 * session.c: sessions: logout, and the identity of a token; login.c starts them, refresh.c goes on.
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

#include "audit/audit.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/text.h"
#include "base/types.h"
#include "identity/identity.h"
#include "sessions/session.h"
#include "store/account.h"
#include "store/session.h"
#include "store/store.h"
#include "tokens/access_token.h"

/* users.last_activity_at is noted at most so often. */
#define ACTIVITY_SECONDS 60

PG_FUNCTION_INFO_V1(auth_service_logout);
PG_FUNCTION_INFO_V1(auth_service_logout_all);
PG_FUNCTION_INFO_V1(auth_service_authenticate);
PG_FUNCTION_INFO_V1(auth_service_verify_token);

/* ---- Generations ------------------------------------------------------------------------ */

/*
 * One that is ahead of the row was not committed, nor one beside those that the row remembers.  What
 * is older than those is not known; so many steps make it an old story.
 */
GenerationAge
SessionGenerationAge(const Generation *given, const SessionRow *session)
{
    const Generation *current = &session->generation;
    int64 behind = current->counter - given->counter;

    if (behind < 0)
        return GENERATION_UNCOMMITTED;
    if (behind == 0)
        return given->nonce == current->nonce ? GENERATION_CURRENT : GENERATION_UNCOMMITTED;
    if (behind == 1)
        return given->nonce == session->previous_nonce ? GENERATION_PREVIOUS
                                                       : GENERATION_UNCOMMITTED;
    if (behind - 2 >= session->older_count)
        return GENERATION_FORGOTTEN;
    return given->nonce == session->older[behind - 2].nonce ? GENERATION_OLDER
                                                            : GENERATION_UNCOMMITTED;
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
    /* Nor does who was ended while it waited go on. */
    RequireLiveIdentity();
    StoreSessionsDelete(identity->user_id);
    StoreImportedTokensEnd(identity->user_id);
    AuditRecord(&(AuditEvent){.action = "logout_all", .user_id = identity->user_id});
    IdentityClear();
    PG_RETURN_VOID();
}

/* ---- The identity of a token ------------------------------------------------------------ */

/* Whether the session has given out this generation, and remembers it. */
static bool
IsKnownGeneration(const Generation *given, const SessionRow *session)
{
    GenerationAge age = SessionGenerationAge(given, session);

    return age != GENERATION_UNCOMMITTED && age != GENERATION_FORGOTTEN;
}

typedef enum TokenVerdict { TOKEN_GOOD, TOKEN_BAD, TOKEN_BLOCKED } TokenVerdict;

/*
 * Judge an access token (NULL: one too long to look at): its own text first, then the database's word on
 * account, session and key.
 * The role that counts is the database's.
 */
static TokenVerdict
JudgeToken(text *token, TokenClaims *claims, SessionRow *session)
{
    if (token == NULL || !TokenVerify(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), claims) ||
        !StoreSessionFind(claims->user_id, &claims->session_id, claims->kid, session) ||
        !session->key_verifies)
        return TOKEN_BAD;
    if (session->is_blocked)
        return TOKEN_BLOCKED;
    return IsSessionAlive(session, GetCurrentTimestamp()) &&
                   (claims->is_imported || IsKnownGeneration(&claims->generation, session))
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
    TimestampTz before = now - ACTIVITY_SECONDS * USECS_PER_SEC;

    if (last_activity_at < before && !IsTransactionBlock() && !XactReadOnly &&
        !RecoveryInProgress())
        StoreActivityUpdate(user_id, now, before);
}

/*
 * Record that the transaction, which has an identity, gets another user's: whoever reads the log of
 * what the two did sees that it was one caller.  Where nothing can be written, nothing can be done
 * that is in the log either.
 */
static void
NoteSwitch(int64 user_id)
{
    int64 before = IdentityUserId();

    if (before != 0 && before != user_id && !XactReadOnly && !RecoveryInProgress())
        AuditRecord(&(AuditEvent){.action = "switch_identity", .user_id = user_id});
}

/*
 * SQL function: authenticate(access_token text) returns bigint
 *
 * The user's id; and the user is the identity until the transaction ends, or another is: the last one
 * counts.  U401B for a token that
 * is not good, U403A for a blocked account.
 */
Datum
auth_service_authenticate(PG_FUNCTION_ARGS)
{
    TokenClaims claims;
    SessionRow session;

    if (PG_ARGISNULL(0))
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    switch (
        JudgeToken(TextUpTo(PG_GETARG_DATUM(0), AUTH_ACCESS_TOKEN_BYTES_MAX), &claims, &session)) {
    case TOKEN_GOOD:
        break;
    case TOKEN_BAD:
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    case TOKEN_BLOCKED:
        ErrorRaise(AUTH_ERROR_BLOCKED);
    }
    NoteActivity(claims.user_id, session.last_activity_at);
    NoteSwitch(claims.user_id);
    IdentitySet(claims.user_id, session.role, &claims.session_id, claims.json);
    PG_RETURN_INT64(claims.user_id);
}

bool
SessionVerifyToken(text *token, TokenClaims *claims, SessionRow *session)
{
    return JudgeToken(token, claims, session) == TOKEN_GOOD;
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

    if (!SessionVerifyToken(TextUpTo(PG_GETARG_DATUM(0), AUTH_ACCESS_TOKEN_BYTES_MAX), &claims,
                            &session))
        PG_RETURN_NULL();
    PG_RETURN_JSONB_P(IdentityClaims(claims.json, session.role));
}
