/* SPDX-License-Identifier: MIT
 *
 * introspection.c: what a token is good for (RFC 7662), and its end by whoever holds it (RFC 7009).
 *
 * Both take access and refresh tokens, and tell them apart by their form.  No text is an error.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "audit/audit.h"
#include "base/compat.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/types.h"
#include "identity/identity.h"
#include "keys/envelope.h"
#include "protection/throttle.h"
#include "sessions/session.h"
#include "store/account.h"
#include "store/session.h"
#include "store/store.h"
#include "tokens/access_token.h"
#include "tokens/refresh_token.h"

/* More than the server has in store: it is the system's memory that is asked for. */
#define PROBE_BYTES 65536

PG_FUNCTION_INFO_V1(auth_service_introspect);
PG_FUNCTION_INFO_V1(auth_service_revoke_token);

/* Read a refresh token that we have issued, and what is known of its session; false: it is none. */
static bool
FindRefreshToken(text *given, RefreshToken *token, SessionDescription *description)
{
    const char *chars = VARDATA_ANY(given);
    Size size = VARSIZE_ANY_EXHDR(given);

    if (!RefreshTokenDecode(chars, size, token) ||
        !StoreSessionDescribe(token->user_id, &token->session_id, description) ||
        !description->session.exists)
        return false;
    EnvelopeSessionKey(&description->sealed_by, &token->session_id, description->refresh_key);
    return RefreshTokenIsAuthentic(chars, size, token, description->refresh_key);
}

/* ---- Introspection ---------------------------------------------------------------------- */

static void
AppendMember(StringInfo json, const char *name, const char *value)
{
    appendStringInfo(json, ",\"%s\":", name);
    escape_json(json, value);
}

/* What of a token is not in its claims.  The object is not closed. */
static void
AppendAccount(StringInfo json, const char *token_type, const SessionDescription *description)
{
    appendStringInfoString(json, "{\"active\":true");
    AppendMember(json, "token_type", token_type);
    AppendMember(json, "username", description->email);
    AppendMember(json, "role", UserRoleName(description->session.role));
}

static Datum
JsonbOf(const char *json)
{
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}

/* The answer for an access token that authenticate would take; 0 for any other text. */
static Datum
DescribeAccessToken(text *given, int64 *user_id)
{
    TokenClaims claims;
    SessionRow session;
    SessionDescription description;
    StringInfoData more;
    Datum known;

    if (!SessionVerifyToken(given, &claims, &session) ||
        !StoreSessionDescribe(claims.user_id, &claims.session_id, &description))
        return (Datum)0;
    *user_id = claims.user_id;
    initStringInfo(&more);
    AppendAccount(&more, "bearer", &description);
    appendStringInfoChar(&more, '}');
    /* "gen" means something to us only. */
    known = DirectFunctionCall2(jsonb_delete, JsonbOf(claims.json), CStringGetTextDatum("gen"));
    return DirectFunctionCall2(jsonb_concat, known, JsonbOf(more.data));
}

/* The answer for a refresh token that refresh would take; 0 for any other text. */
static Datum
DescribeRefreshToken(text *given, int64 *user_id)
{
    RefreshToken token;
    SessionDescription description;
    const SessionRow *session = &description.session;
    TimestampTz now = GetCurrentTimestamp();
    TimestampTz until;
    RefreshVerdict verdict;
    StringInfoData json;

    if (!FindRefreshToken(given, &token, &description) || session->is_blocked)
        return (Datum)0;
    verdict = RefreshJudge(&token.generation, session, now, now);
    if (verdict != REFRESH_STEP && verdict != REFRESH_SAME && verdict != REFRESH_FORGIVEN)
        return (Datum)0;
    *user_id = token.user_id;
    until = session->last_used_at + (int64)auth_service_refresh_token_idle_ttl * USECS_PER_SEC;
    initStringInfo(&json);
    AppendAccount(&json, "refresh_token", &description);
    AppendMember(&json, "iss", auth_service_issuer);
    AppendMember(&json, "sid",
                 DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&token.session_id))));
    appendStringInfo(&json, ",\"sub\":\"" INT64_FORMAT "\",\"exp\":" INT64_FORMAT, token.user_id,
                     (int64)timestamptz_to_time_t(Min(until, session->expires_at)));
    /* When one in between was given out nobody knows any more. */
    if (token.generation.counter == 0 || verdict != REFRESH_FORGIVEN)
        appendStringInfo(&json, ",\"iat\":" INT64_FORMAT,
                         (int64)timestamptz_to_time_t(token.generation.counter == 0
                                                          ? description.created_at
                                                          : session->last_used_at));
    appendStringInfoChar(&json, '}');
    return JsonbOf(json.data);
}

/*
 * SQL function: introspect(token text) returns jsonb
 *
 * What RFC 7662 answers: {"active": false} for whatever authenticate or refresh would not take, and
 * for another's token where it is no admin, or operator, who asks.  U401A without an identity.  U429A where
 * that was answered to somebody who is no admin too often.
 */
Datum
auth_service_introspect(PG_FUNCTION_ARGS)
{
    bool is_admin = IsAdminAsking();
    text *given =
        PG_ARGISNULL(0) ? NULL : TextUpTo(PG_GETARG_DATUM(0), AUTH_ACCESS_TOKEN_BYTES_MAX);
    int64 user_id = 0;
    Datum answer = (Datum)0;

    if (given != NULL && VARSIZE_ANY_EXHDR(given) == AUTH_REFRESH_TOKEN_CHARS)
        answer = DescribeRefreshToken(given, &user_id);
    if (given != NULL && answer == (Datum)0)
        answer = DescribeAccessToken(given, &user_id);
    if (answer == (Datum)0 || (!is_admin && user_id != IdentityUserId())) {
        /* An admin asks for others, who show him anything. */
        if (!is_admin)
            ThrottleCount("introspect", IdentityUserId());
        return JsonbOf("{\"active\":false}");
    }
    return answer;
}

/* ---- Revocation ------------------------------------------------------------------------- */

/* Whose session a token is of, which may be the no_session of imported ones; false: of none. */
static bool
FindSession(text *given, int64 *user_id, pg_uuid_t *session_id)
{
    RefreshToken token;
    SessionDescription description;
    TokenClaims claims;
    SessionRow session;

    if (FindRefreshToken(given, &token, &description)) {
        *user_id = token.user_id;
        *session_id = token.session_id;
        return SessionGenerationAge(&token.generation, &description.session) !=
               GENERATION_UNCOMMITTED;
    }
    if (!SessionVerifyToken(given, &claims, &session))
        return false;
    *user_id = claims.user_id;
    *session_id = claims.session_id;
    return true;
}

/*
 * The same, for one to whom "none" is good news.  The libraries that read tokens also refuse what they have
 * no memory for, and do not tell: so a refusal is believed when it is said again while there is memory, of
 * which palloc asks the system for so much, and raises where there is none.
 */
static bool
FindSessionSurely(text *given, int64 *user_id, pg_uuid_t *session_id)
{
    if (FindSession(given, user_id, session_id))
        return true;
    pfree(palloc(PROBE_BYTES));
    return FindSession(given, user_id, session_id);
}

/*
 * SQL function: revoke_token(token text) returns void
 *
 * Ends the session of an access token that authenticate would take, or of a refresh token, used or
 * not; and the identity, if it is of that session.  An imported access token ends as logout ends it.
 */
Datum
auth_service_revoke_token(PG_FUNCTION_ARGS)
{
    text *given = TextUpTo(PG_GETARG_DATUM(0), AUTH_ACCESS_TOKEN_BYTES_MAX);
    int64 user_id;
    pg_uuid_t session_id;
    bool ended;

    if (given == NULL || !FindSessionSurely(given, &user_id, &session_id))
        PG_RETURN_VOID();
    StoreCommitDurably();
    ended = IsNoSession(&session_id) ? StoreImportedTokensEnd(user_id)
                                     : StoreSessionDelete(user_id, &session_id);
    StoreRequireSeen(ended);
    if (ended)
        AuditRecord(&(AuditEvent){.action = "revoke_token", .user_id = user_id});
    if (IdentityUserId() == user_id &&
        memcmp(&session_id, &RequireIdentity()->session_id, sizeof(session_id)) == 0)
        IdentityClear();
    PG_RETURN_VOID();
}
