/* SPDX-License-Identifier: MIT
 *
 * login.c: a password becomes a session.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "accounts/hook.h"
#include "accounts/password.h"
#include "audit/audit.h"
#include "base/errors.h"
#include "base/random.h"
#include "base/settings.h"
#include "base/types.h"
#include "keys/envelope.h"
#include "keys/key.h"
#include "protection/throttle.h"
#include "store/account.h"
#include "store/session.h"
#include "store/store.h"
#include "tokens/pair.h"

PG_FUNCTION_INFO_V1(auth_service_login);

/* Make room for one more session where there is a limit.  The account is locked: nobody else does. */
static void
KeepToLimit(int64 user_id, TimestampTz now)
{
    int64 ended;

    if (auth_service_max_sessions == 0)
        return;
    ended = StoreSessionsLimit(
        user_id, auth_service_max_sessions - 1, now,
        TimestampTzPlusMilliseconds(now, -(int64)auth_service_refresh_token_idle_ttl * 1000));
    if (ended > 0)
        AuditRecord(&(AuditEvent){.action = "session_limit",
                                  .user_id = user_id,
                                  .is_own = true,
                                  .detail = psprintf("{\"sessions\": " INT64_FORMAT "}", ended)});
}

static Datum
StartSession(FunctionCallInfo fcinfo, const AccountRow *account, TimestampTz now)
{
    RefreshToken token = {.user_id = account->id, .generation = {0, TokenPairNonce()}};
    unsigned char key[AUTH_REFRESH_KEY_BYTES];
    KekId sealed_by = KeyKekId();
    const AuditOrigin *origin = AuditOriginGet();

    token.session_id = *DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum)0));
    RandomBytes(key, sizeof(key));
    KeepToLimit(account->id, now);
    StoreSessionInsert(
        &token, key, &sealed_by, now,
        TimestampTzPlusMilliseconds(now, (int64)auth_service_refresh_token_ttl * 1000),
        origin->user_agent, origin->ip, origin->has_ip);
    EnvelopeSessionKey(&sealed_by, &token.session_id, key);
    return TokenPair(fcinfo, account->role, &token, key);
}

/* What login was told of where it comes from. */
static void
ReadOrigin(FunctionCallInfo fcinfo)
{
    AuditOrigin origin = *AuditOriginGet();

    if (PG_ARGISNULL(2) && PG_ARGISNULL(3))
        return;
    if (!PG_ARGISNULL(2))
        origin.user_agent = PG_GETARG_TEXT_PP(2);
    if (!PG_ARGISNULL(3)) {
        origin.has_ip = true;
        origin.ip = PG_GETARG_DATUM(3);
    }
    AuditOriginSet(&origin);
}

/* Call the hook of login, which may have changed the account that it was told of. */
static void
RunHook(AccountRow *account)
{
    LockedAccount after;

    if (!HookRun(AUTH_HOOK_LOGIN, account->id))
        return;
    if (!StoreAccountLock(account->id, &after) || after.is_blocked)
        ErrorRaise(AUTH_ERROR_BLOCKED);
    account->role = after.role;
}

/* login, with its arguments there and its origin set. */
static Datum
Login(FunctionCallInfo fcinfo)
{
    ThrottleAttempt attempt;
    AccountRow account;
    int tries;

    ThrottleEnter(&attempt, PG_GETARG_TEXT_PP(0));
    /*
     * No lock is held while hashing.  Afterwards the account is looked at again, and locked, where
     * its hash is still the one that was verified; otherwise it was changed meanwhile: once more.
     */
    for (tries = 0; tries < AUTH_PASSWORD_TRIES; tries++) {
        const char *verified;
        const char *renewed = NULL;
        TimestampTz now;

        if (!PasswordVerifyCredentials(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), &account))
            break;
        if (account.is_blocked) {
            ThrottlePass(&attempt);
            ErrorRaise(AUTH_ERROR_BLOCKED);
        }
        verified = account.password_hash;
        if (PasswordNeedsRenewal(verified))
            renewed = PasswordHash(PG_GETARG_TEXT_PP(1));
        now = GetCurrentTimestamp();
        StoreCommitDurably();
        if (!StoreAccountEnter(account.id, verified, renewed, now, &account))
            continue;
        if (account.is_blocked) {
            ThrottlePass(&attempt);
            ErrorRaise(AUTH_ERROR_BLOCKED);
        }
        ThrottlePass(&attempt);
        AuditRecord(&(AuditEvent){.action = "login", .user_id = account.id, .is_own = true});
        RunHook(&account);
        PG_RETURN_DATUM(StartSession(fcinfo, &account, now));
    }
    StoreRequireSeen(tries < AUTH_PASSWORD_TRIES);
    ThrottleFail(&attempt, account.id);
    AuditRecord(&(AuditEvent){.action = "login_failed", .user_id = account.id});
    PG_RETURN_NULL();
}

/*
 * SQL function: login(email text, password text, user_agent text, ip inet) returns auth.token_pair
 *
 * user_agent and ip are noted with the session; where they are NULL, the transaction's origin is.
 * NULL where e-mail and password do not fit.  U403A where they do and the account is blocked.  U429A where
 * that was tried too often, with the seconds to wait as DETAIL.  25006 in a transaction that is read-only.  What
 * the hook of login raises.
 */
Datum
auth_service_login(PG_FUNCTION_ARGS)
{
    const AuditOrigin before = *AuditOriginGet();
    Datum pair = (Datum)0;

    if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
        PG_RETURN_NULL();
    ReadOrigin(fcinfo);
    PG_TRY();
    {
        pair = Login(fcinfo);
    }
    PG_FINALLY();
    {
        AuditOriginRestore(&before);
    }
    PG_END_TRY();
    return pair;
}
