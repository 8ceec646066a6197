/* SPDX-License-Identifier: MIT
 *
 * account.c: accounts, as their owners use them: registration, profile, deletion.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "accounts/hook.h"
#include "accounts/password.h"
#include "audit/audit.h"
#include "base/compat.h"
#include "base/email.h"
#include "base/errors.h"
#include "base/text.h"
#include "base/types.h"
#include "identity/identity.h"
#include "protection/throttle.h"
#include "store/account.h"
#include "store/session.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(auth_service_register);
PG_FUNCTION_INFO_V1(auth_service_me);
PG_FUNCTION_INFO_V1(auth_service_update_profile);
PG_FUNCTION_INFO_V1(auth_service_delete_me);

static void
CheckName(text *name, const char *field, FieldProblems *problems)
{
    if (name != NULL && !TextIsPrintable(name, AUTH_NAME_CHARS_MAX))
        ProblemAdd(problems, field, AUTH_ERROR_NAME_INVALID, NULL, "value_error");
}

static text *
TextArgument(FunctionCallInfo fcinfo, int number)
{
    return PG_ARGISNULL(number) ? NULL : PG_GETARG_TEXT_PP(number);
}

/* The e-mail's normal form; NULL, and a problem, where it is none. */
static text *
CheckEmail(text *email, FieldProblems *problems)
{
    if (email == NULL)
        ProblemAdd(problems, "email", AUTH_ERROR_ARGUMENT, "Field required", "missing");
    else if (VARSIZE_ANY_EXHDR(email) > AUTH_EMAIL_BYTES_MAX ||
             !EmailIsValid(text_to_cstring(email)))
        ProblemAdd(problems, "email", AUTH_ERROR_EMAIL_INVALID, NULL, "value_error");
    else
        return EmailNormalize(email);
    return NULL;
}

/* Who finds out so which e-mails have accounts has to be slow about it. */
pg_noreturn static void
RefuseTaken(void)
{
    ThrottleCount("register", /* asker */ 0);
    ErrorRaise(AUTH_ERROR_EMAIL_TAKEN);
}

/*
 * SQL function: register(email text, password text, first_name text, last_name text) returns bigint
 *
 * The new account's id.  U400A where a living account has the e-mail; a deleted one does not count.  U429A where
 * that was answered too often to the same address.
 * What the hook of register raises.
 */
Datum
auth_service_register(PG_FUNCTION_ARGS)
{
    text *email = TextArgument(fcinfo, 0);
    text *password = TextArgument(fcinfo, 1);
    text *first_name = TextArgument(fcinfo, 2);
    text *last_name = TextArgument(fcinfo, 3);
    FieldProblems problems = {0};
    text *email_normalized = CheckEmail(email, &problems);
    AccountRow account;
    int64 id;

    if (password == NULL)
        ProblemAdd(&problems, "password", AUTH_ERROR_ARGUMENT, "Field required", "missing");
    else
        PasswordCheckRules(password, "password", &problems);
    CheckName(first_name, "first_name", &problems);
    CheckName(last_name, "last_name", &problems);
    ProblemsRaise(&problems);

    /* Where nothing can be written, nothing would be counted of what is answered. */
    PreventCommandIfReadOnly("register");
    /* Looked up first to spare the hash; the unique index is what decides. */
    if (StoreAccountByEmail(email_normalized, &account))
        RefuseTaken();
    StoreCommitDurably();
    id = StoreAccountInsert(email, email_normalized, PasswordHash(password), first_name, last_name,
                            GetCurrentTimestamp());
    if (id == 0)
        RefuseTaken();
    AuditRecord(&(AuditEvent){.action = "register", .user_id = id, .is_own = true});
    HookRun(AUTH_HOOK_REGISTER, id);
    PG_RETURN_INT64(id);
}

/* SQL function: me() returns auth.profile: the identity's own. */
Datum
auth_service_me(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireIdentity();
    Datum profile =
        StoreProfileFind(identity->user_id, &identity->session_id, GetCurrentTimestamp());

    if (profile == 0) {
        RequireLiveIdentity(); /* tells why */
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    }
    return profile;
}

/*
 * SQL function: update_profile(first_name text, last_name text) returns auth.profile
 *
 * U400B where one of the names is missing or empty.
 */
Datum
auth_service_update_profile(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireLiveIdentity();
    text *first_name = TextArgument(fcinfo, 0);
    text *last_name = TextArgument(fcinfo, 1);
    FieldProblems problems = {0};
    Datum profile;

    if (first_name == NULL || last_name == NULL || VARSIZE_ANY_EXHDR(first_name) == 0 ||
        VARSIZE_ANY_EXHDR(last_name) == 0)
        ErrorRaise(AUTH_ERROR_PROFILE_NOT_UPDATED);
    CheckName(first_name, "first_name", &problems);
    CheckName(last_name, "last_name", &problems);
    ProblemsRaise(&problems);
    StoreCommitDurably();
    profile = StoreProfileUpdate(identity->user_id, first_name, last_name, GetCurrentTimestamp());
    StoreRequireSeen(profile != 0);
    if (profile == 0)
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    return profile;
}

/*
 * SQL function: delete_me() returns void
 *
 * The account is deleted softly: its row stays, its sessions end, its e-mail is free for a new
 * account.  U403C for an admin.  What the hook of delete raises.
 */
Datum
auth_service_delete_me(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireLiveIdentity();
    int64 user_id = identity->user_id;
    LockedAccount account;

    StoreCommitDurably();
    /* The lock, so that nobody promotes or blocks the account meanwhile. */
    if (!StoreAccountLock(user_id, &account)) {
        StoreRequireSeen(false);
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    }
    if (account.is_blocked)
        ErrorRaise(AUTH_ERROR_BLOCKED);
    /* The session may have been ended while it waited for the lock. */
    RequireLiveIdentity();
    if (account.role == USER_ROLE_ADMIN)
        ErrorRaise(AUTH_ERROR_ADMIN_DELETE);
    HookRun(AUTH_HOOK_DELETE, user_id);
    if (!StoreAccountDelete(user_id, GetCurrentTimestamp()))
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    StoreSessionsDelete(user_id);
    AuditRecord(&(AuditEvent){.action = "delete_me", .user_id = user_id, .is_own = true});
    IdentityClear();
    PG_RETURN_VOID();
}
