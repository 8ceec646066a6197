/* SPDX-License-Identifier: MIT
 *
 * balance.c: balances, in minor units (cents), with a ledger.
 *
 * A change locks the account's row first: then nobody else changes this balance, nor uses this
 * idempotency key, until the transaction ends.
 */
#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "audit/audit.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/text.h"
#include "base/types.h"
#include "identity/identity.h"
#include "store/account.h"
#include "store/balance.h"
#include "store/store.h"

#define IDEMPOTENCY_KEY_CHARS_MAX 255

PG_FUNCTION_INFO_V1(auth_service_balance);
PG_FUNCTION_INFO_V1(auth_service_change_balance);
PG_FUNCTION_INFO_V1(auth_service_admin_change_balance);

/* SQL function: balance() returns bigint: the identity's, in minor units. */
Datum
auth_service_balance(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireIdentity();
    int64 balance = 0;

    if (!StoreBalanceFind(identity->user_id, &identity->session_id, GetCurrentTimestamp(),
                          &balance)) {
        RequireLiveIdentity(); /* tells why */
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    }
    PG_RETURN_INT64(balance);
}

/* A change that is asked for. */
typedef struct BalanceChange {
    int64 user_id;
    int64 actor_id; /* 0: an operator */
    int64 amount;
    text *idempotency_key; /* NULL: none */
} BalanceChange;

/* Read the arguments amount and idempotency_key, the first of which has this number. */
static void
ReadChange(FunctionCallInfo fcinfo, int number, BalanceChange *change, FieldProblems *problems)
{
    text *key = PG_ARGISNULL(number + 1) ? NULL : PG_GETARG_TEXT_PP(number + 1);

    if (PG_ARGISNULL(number))
        ProblemAdd(problems, "amount", AUTH_ERROR_ARGUMENT, "Field required", "missing");
    else
        change->amount = PG_GETARG_INT64(number);
    if (key != NULL && !TextIsPrintable(key, IDEMPOTENCY_KEY_CHARS_MAX))
        ProblemAdd(problems, "idempotency_key", AUTH_ERROR_IDEMPOTENCY_KEY_INVALID, NULL,
                   "value_error");
    change->idempotency_key = key;
    ProblemsRaise(problems);
}

/*
 * Apply a change to the balance that is locked, or find that its key has done so before, which
 * *is_replay tells; the balance after it.  U409A for a key that came with another amount, U403B for an admin's balance,
 * U400C for one that would go below zero or overflow.
 */
static int64
ApplyChange(const BalanceChange *change, const LockedAccount *account, bool *is_replay)
{
    TimestampTz now;
    int64 amount;
    int64 balance;

    *is_replay = change->idempotency_key != NULL &&
                 StoreEntryFind(change->user_id, change->actor_id, change->idempotency_key, &amount,
                                &balance);
    if (*is_replay) {
        if (amount != change->amount)
            ErrorRaise(AUTH_ERROR_IDEMPOTENCY_KEY_REUSED);
        return balance;
    }
    if (account->role == USER_ROLE_ADMIN)
        ErrorRaise(AUTH_ERROR_ADMIN_BALANCE);
    if (pg_add_s64_overflow(account->balance, change->amount, &balance) || balance < 0)
        ErrorRaise(AUTH_ERROR_BALANCE_NOT_UPDATED);
    now = GetCurrentTimestamp();
    StoreEntryInsert(change->user_id, change->amount, balance, change->idempotency_key,
                     change->actor_id, now);
    StoreBalanceUpdate(change->user_id, balance, now);
    return balance;
}

/*
 * SQL function: change_balance(amount bigint, idempotency_key text) returns bigint
 *
 * The identity's new balance.  With a key the change is applied once; the key's second use answers
 * what the first did.  Errors: as ApplyChange, and U422J for a key that is none.
 */
Datum
auth_service_change_balance(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireLiveIdentity();
    BalanceChange change = {.user_id = identity->user_id, .actor_id = identity->user_id};
    FieldProblems problems = {0};
    LockedAccount account;
    bool is_replay;

    ReadChange(fcinfo, 0, &change, &problems);
    StoreCommitDurably();
    if (!StoreAccountLock(change.user_id, &account)) {
        StoreRequireSeen(false);
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    }
    if (account.is_blocked)
        ErrorRaise(AUTH_ERROR_BLOCKED);
    PG_RETURN_INT64(ApplyChange(&change, &account, &is_replay));
}

/*
 * SQL function: admin_change_balance(user_id bigint, amount bigint, idempotency_key text) returns bigint
 *
 * The same for any user, by an admin or an operator.  U404B where there is no such user.
 */
Datum
auth_service_admin_change_balance(PG_FUNCTION_ARGS)
{
    BalanceChange change = {.user_id = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0)};
    FieldProblems problems = {0};
    LockedAccount account;
    bool is_replay;
    int64 balance;

    RequireAdmin();
    change.actor_id = IdentityUserId();
    if (PG_ARGISNULL(0))
        ProblemAdd(&problems, "user_id", AUTH_ERROR_ARGUMENT, "Field required", "missing");
    ReadChange(fcinfo, 1, &change, &problems);
    StoreCommitDurably();
    if (!StoreAccountLock(change.user_id, &account)) {
        StoreRequireSeen(!StoreAccountExists(change.user_id));
        ErrorRaise(AUTH_ERROR_USER_NOT_FOUND);
    }
    balance = ApplyChange(&change, &account, &is_replay);
    if (!is_replay)
        AuditRecord(&(AuditEvent){.action = "admin_change_balance",
                                  .user_id = change.user_id,
                                  .detail = psprintf("{\"amount\":" INT64_FORMAT
                                                     ",\"balance\":" INT64_FORMAT "}",
                                                     change.amount, balance)});
    PG_RETURN_INT64(balance);
}
