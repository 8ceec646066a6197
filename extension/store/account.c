/* SPDX-License-Identifier: MIT
 *
 * account.c: the accounts of auth.users.  A profile is read without a statement (row.h); all else are
 * statements.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/errors.h"
#include "base/types.h"
#include "store/account.h"
#include "store/row.h"
#include "store/session.h"
#include "store/statement.h"

#define PROFILE_COLUMNS                                                                            \
    "ROW(u.id, u.email, u.first_name, u.last_name, u.role, u.blocked_at IS NOT NULL, u.balance,"   \
    " u.created_at, u.updated_at, u.last_activity_at)::auth.profile"

bool
StoreAccountByEmail(text *email_normalized, AccountRow *account)
{
    static Statement statement = {
        "SELECT u.id, u.role" EQ "'admin', u.blocked_at IS NOT NULL, u.password_hash"
        " FROM auth.users u WHERE u.email_normalized" EQ "$1 AND u.deleted_at IS NULL",
        1,
        {TEXTOID},
        NULL};
    Datum values[] = {PointerGetDatum(email_normalized)};
    StoreCall call;
    bool found;

    StoreBegin(&call);
    found = StoreRead(&statement, values) == 1;
    if (found) {
        account->id = DatumGetInt64(ColumnNotNull(1));
        account->role = ColumnRole(2);
        account->is_blocked = DatumGetBool(ColumnNotNull(3));
        account->password_hash = ColumnText(&call, 4);
    }
    StoreEnd(&call);
    return found;
}

/* The new account's id, or 0 where a living account has the e-mail. */
int64
StoreAccountInsert(text *email, text *email_normalized, const char *password_hash, text *first_name,
                   text *last_name, TimestampTz now)
{
    static Statement statement = {
        "INSERT INTO auth.users (email, email_normalized, password_hash, first_name, last_name,"
        " created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)"
        " ON CONFLICT (email_normalized) WHERE deleted_at IS NULL DO NOTHING RETURNING id",
        6,
        {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {PointerGetDatum(email),
                      PointerGetDatum(email_normalized),
                      CStringGetTextDatum(password_hash),
                      PointerGetDatum(first_name),
                      PointerGetDatum(last_name),
                      TimestampTzGetDatum(now)};
    char nulls[] = {' ', ' ', ' ', first_name ? ' ' : 'n', last_name ? ' ' : 'n', ' '};
    StoreCall call;
    int64 id = 0;

    StoreBegin(&call);
    if (StoreRun(&statement, values, nulls) == 1)
        id = DatumGetInt64(ColumnNotNull(1));
    StoreEnd(&call);
    return id;
}

/*
 * The account as it is after its password was verified: the row is locked, and found only where
 * the hash is still the one that was verified.  Puts a new hash in its place where one is given.
 * It is an UPDATE and not a row lock, so that a change of the password in a transaction with an
 * older snapshot fails instead of overlooking the session that is made next.
 */
bool
StoreAccountEnter(int64 id, const char *old_hash, const char *new_hash, TimestampTz now,
                  AccountRow *account)
{
    static Statement statement = {
        "UPDATE auth.users u SET last_activity_at = $4, password_hash = $3"
        " WHERE u.id" EQ "$1 AND u.password_hash" EQ "$2 AND u.deleted_at IS NULL"
        " RETURNING u.role" EQ "'admin', u.blocked_at IS NOT NULL",
        4,
        {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(id), CStringGetTextDatum(old_hash),
                      CStringGetTextDatum(new_hash ? new_hash : old_hash),
                      TimestampTzGetDatum(now)};
    StoreCall call;
    bool found;

    StoreBegin(&call);
    found = StoreRun(&statement, values, NULL) == 1;
    if (found) {
        account->id = id;
        account->role = ColumnRole(1);
        account->is_blocked = DatumGetBool(ColumnNotNull(2));
    }
    StoreEnd(&call);
    return found;
}

/* False where the hash is no longer the one that was verified. */
bool
StorePasswordUpdate(int64 id, const char *old_hash, const char *new_hash, TimestampTz now)
{
    static Statement statement = {"UPDATE auth.users u SET password_hash = $3, updated_at = $4,"
                                  " takes_imported_tokens = false"
                                  " WHERE u.id" EQ "$1 AND u.password_hash" EQ
                                  "$2 AND u.deleted_at IS NULL"
                                  " AND u.blocked_at IS NULL",
                                  4,
                                  {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
                                  NULL};
    Datum values[] = {Int64GetDatum(id), CStringGetTextDatum(old_hash),
                      CStringGetTextDatum(new_hash), TimestampTzGetDatum(now)};

    return StoreExecute(&statement, values, NULL) == 1;
}

/* Whether there is such an account. */
bool
StoreRoleUpdate(int64 id, UserRole role, TimestampTz now)
{
    static Statement statement = {
        "UPDATE auth.users u SET updated_at = $3,"
        " role = CASE WHEN $2 THEN 'admin'::auth.user_role ELSE 'user'::auth.user_role END"
        " WHERE u.id" EQ "$1 AND u.deleted_at IS NULL",
        3,
        {INT8OID, BOOLOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(id), BoolGetDatum(role == USER_ROLE_ADMIN),
                      TimestampTzGetDatum(now)};

    return StoreExecute(&statement, values, NULL) == 1;
}

/* Whether there is an account that is not deleted, by what is committed now. */
bool
StoreAccountExists(int64 id)
{
    static Statement statement = {
        "SELECT FROM auth.users u WHERE u.id" EQ "$1 AND u.deleted_at IS NULL", 1, {INT8OID}, NULL};
    Datum values[] = {Int64GetDatum(id)};
    StoreCall call;
    bool found;

    StoreBegin(&call);
    found = StoreRead(&statement, values) == 1;
    StoreEnd(&call);
    return found;
}

/* Block, or lift the block; whether there is such an account.  The first block's time stays. */
bool
StoreBlockUpdate(int64 id, bool block, TimestampTz now)
{
    static Statement statement = {"UPDATE auth.users u SET updated_at = $3,"
                                  " blocked_at = CASE WHEN $2 THEN COALESCE(u.blocked_at, $3) END,"
                                  " takes_imported_tokens = u.takes_imported_tokens AND NOT $2"
                                  " WHERE u.id" EQ "$1 AND u.deleted_at IS NULL",
                                  3,
                                  {INT8OID, BOOLOID, TIMESTAMPTZOID},
                                  NULL};
    Datum values[] = {Int64GetDatum(id), BoolGetDatum(block), TimestampTzGetDatum(now)};

    return StoreExecute(&statement, values, NULL) == 1;
}

/* Delete softly; whether there was such an account. */
bool
StoreAccountDelete(int64 id, TimestampTz now)
{
    static Statement statement = {
        "UPDATE auth.users u SET deleted_at = $2, updated_at = $2, takes_imported_tokens = false"
        " WHERE u.id" EQ "$1 AND u.deleted_at IS NULL",
        2,
        {INT8OID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(id), TimestampTzGetDatum(now)};

    return StoreExecute(&statement, values, NULL) == 1;
}

/* Take a deletion back; false where no such account is deleted.  U400A where its e-mail is taken. */
bool
StoreAccountRestore(int64 id, TimestampTz now)
{
    static Statement statement = {"UPDATE auth.users u SET deleted_at = NULL, updated_at = $2"
                                  " WHERE u.id" EQ "$1 AND u.deleted_at IS NOT NULL",
                                  2,
                                  {INT8OID, TIMESTAMPTZOID},
                                  NULL};
    Datum values[] = {Int64GetDatum(id), TimestampTzGetDatum(now)};
    MemoryContext context = CurrentMemoryContext;
    bool found = false;

    PG_TRY();
    {
        found = StoreExecute(&statement, values, NULL) == 1;
    }
    PG_CATCH();
    {
        /* The unique index is what decides; the transaction fails all the same, with our words. */
        MemoryContextSwitchTo(context);
        if (geterrcode() != ERRCODE_UNIQUE_VIOLATION)
            PG_RE_THROW();
        FlushErrorState();
        ErrorRaise(AUTH_ERROR_EMAIL_TAKEN);
    }
    PG_END_TRY();
    return found;
}

/* From now on the account takes no access token of another service; whether it did so far. */
bool
StoreImportedTokensEnd(int64 id)
{
    static Statement statement = {"UPDATE auth.users u SET takes_imported_tokens = false"
                                  " WHERE u.id" EQ "$1 AND u.takes_imported_tokens",
                                  1,
                                  {INT8OID},
                                  NULL};
    Datum values[] = {Int64GetDatum(id)};

    return StoreExecute(&statement, values, NULL) == 1;
}

/* The same of every account. */
void
StoreAllImportedTokensEnd(void)
{
    static Statement statement = {
        "UPDATE auth.users u SET takes_imported_tokens = false WHERE u.takes_imported_tokens",
        0,
        {0},
        NULL};

    StoreExecute(&statement, NULL, NULL);
}

/*
 * Lock the account until the transaction ends: its logins, and changes of its balance, role or state,
 * come before or after.  In a transaction with an older snapshot this fails where one came since.
 * False where the account is not seen.
 */
bool
StoreAccountLock(int64 id, LockedAccount *account)
{
    static Statement statement = {"SELECT u.balance, u.role" EQ "'admin', u.blocked_at IS NOT NULL"
                                  " FROM auth.users u WHERE u.id" EQ "$1 AND u.deleted_at IS NULL"
                                  " FOR NO KEY UPDATE",
                                  1,
                                  {INT8OID},
                                  NULL};
    Datum values[] = {Int64GetDatum(id)};
    StoreCall call;
    bool found;

    StoreBegin(&call);
    found = StoreRun(&statement, values, NULL) == 1;
    if (found) {
        account->balance = DatumGetInt64(ColumnNotNull(1));
        account->role = ColumnRole(2);
        account->is_blocked = DatumGetBool(ColumnNotNull(3));
    }
    StoreEnd(&call);
    return found;
}

/* Take an auth.profile out of the first column, and end the call. */
static Datum
EndWithProfile(const StoreCall *call, bool found)
{
    Datum profile = 0;

    if (found) {
        MemoryContext old = MemoryContextSwitchTo(call->context);

        profile = datumCopy(ColumnNotNull(1), false, -1);
        MemoryContextSwitchTo(old);
    }
    StoreEnd(call);
    return profile;
}

/* Whether the session of an account that is there, the user's row, stands at this time. */
static bool
SessionStands(const Row *user, int64 id, const pg_uuid_t *session_id, TimestampTz now)
{
    Row session;
    bool is_null;
    bool stands;

    (void)RowColumn(user, USERS_BLOCKED_AT, &is_null);
    if (!is_null)
        return false;
    if (IsNoSession(session_id))
        return DatumGetBool(RowColumnNotNull(user, USERS_TAKES_IMPORTED_TOKENS));
    if (!RowFindSession(id, session_id, &session))
        return false;
    stands = now < DatumGetTimestampTz(RowColumnNotNull(&session, SESSIONS_EXPIRES_AT));
    RowEnd(&session);
    return stands;
}

/* An auth.profile of a user's row. */
static Datum
MakeProfile(const Row *user, int64 id)
{
    /* The columns of auth.profile after its id; is_blocked comes of blocked_at. */
    static const int columns[] = {USERS_EMAIL,      USERS_FIRST_NAME, USERS_LAST_NAME,
                                  USERS_ROLE,       USERS_BLOCKED_AT, USERS_BALANCE,
                                  USERS_CREATED_AT, USERS_UPDATED_AT, USERS_LAST_ACTIVITY_AT};
    Oid type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("profile"),
                               ObjectIdGetDatum(RelationGetNamespace(user->relation)));
    TupleDesc descriptor = lookup_rowtype_tupdesc(type, -1);
    Datum values[lengthof(columns) + 1] = {Int64GetDatum(id)};
    bool nulls[lengthof(columns) + 1] = {false};
    Datum profile;
    int i;

    if (descriptor->natts != lengthof(values))
        elog(ERROR, "type auth.profile has another number of columns");
    for (i = 0; i < lengthof(columns); i++) {
        values[i + 1] = RowColumn(user, columns[i], &nulls[i + 1]);
        if (columns[i] == USERS_BLOCKED_AT) {
            values[i + 1] = BoolGetDatum(!nulls[i + 1]);
            nulls[i + 1] = false;
        }
    }
    profile = HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
    ReleaseTupleDesc(descriptor);
    return profile;
}

/* The profile of a user whose session stands; 0 where it, or the account, does not. */
Datum
StoreProfileFind(int64 id, const pg_uuid_t *session_id, TimestampTz now)
{
    Datum profile = 0;
    Row user;

    RowsBegin();
    if (RowFindUser(id, &user)) {
        if (SessionStands(&user, id, session_id, now))
            profile = MakeProfile(&user, id);
        RowEnd(&user);
    }
    RowsEnd();
    return profile;
}

Datum
StoreProfileUpdate(int64 id, text *first_name, text *last_name, TimestampTz now)
{
    static Statement statement = {
        "UPDATE auth.users u SET first_name = $2, last_name = $3, updated_at = $4"
        " WHERE u.id" EQ "$1 AND u.deleted_at IS NULL RETURNING " PROFILE_COLUMNS,
        4,
        {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(id), PointerGetDatum(first_name), PointerGetDatum(last_name),
                      TimestampTzGetDatum(now)};

    StoreCall call;

    StoreBegin(&call);
    return EndWithProfile(&call, StoreRun(&statement, values, NULL) == 1);
}
