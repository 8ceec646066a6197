/* SPDX-License-Identifier: MIT
 *
 * activity.c: the note that a user is active.  Whoever only reads makes it on his way, so he neither waits for
 * it nor fails with it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "store/account.h"
#include "store/row.h"
#include "store/statement.h"

/* Skipped where it was noted since `before`, or the row is locked. */
static void
Note(int64 id, TimestampTz now, TimestampTz before)
{
    static Statement statement = {
        "UPDATE auth.users u SET last_activity_at = $2 WHERE u.id" EQ
        "(SELECT v.id FROM auth.users v WHERE v.id" EQ "$1"
        " AND (v.last_activity_at IS NULL OR v.last_activity_at OPERATOR(pg_catalog.<) $3)"
        " FOR NO KEY UPDATE SKIP LOCKED)",
        3,
        {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(id), TimestampTzGetDatum(now), TimestampTzGetDatum(before)};

    StoreExecute(&statement, values, NULL);
}

/* Undo what the subtransaction has done; raise its error again unless it says that there is no room, as on a full disk. */
static void
GiveUp(MemoryContext context, ResourceOwner owner)
{
    ErrorData *error;

    MemoryContextSwitchTo(context);
    error = CopyErrorData();
    FlushErrorState();
    RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_INSUFFICIENT_RESOURCES)
        ReThrowError(error);
    FreeErrorData(error);
}

/* Note that the user is active, unless that was noted since `before`; or leave it, where it could not be done at once. */
void
StoreActivityUpdate(int64 id, TimestampTz now, TimestampTz before)
{
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    Oid users = row_users.id;

    if (!OidIsValid(users) || !ConditionalLockRelationOid(users, RowExclusiveLock))
        return;
    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        Note(id, now, before);
        ReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
    }
    PG_CATCH();
    {
        GiveUp(context, owner);
    }
    PG_END_TRY();
}
