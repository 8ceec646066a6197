/* SPDX-License-Identifier: MIT
 *
 * row.c: see row.h.
 *
 * A row is read through the table's primary key and its access method, as PostgreSQL reads its own catalogs.
 * So no role's privileges, no search_path and no operator of a caller's have a part in it.  What is read is
 * what is committed at this moment, whatever the transaction's snapshot, and what the transaction itself has
 * done: a session that was ended stays ended for a transaction that began before, at any isolation level.
 *
 * A refresh also locks and changes its session's row so, by RowLock and RowUpdate.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_enum.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

#include "base/compat.h"
#include "store/row.h"
#include "store/statement.h"
#include "store/store.h"

RowTable row_users = {.name = "users",
                      .columns = {"email", "first_name", "last_name", "role", "balance",
                                  "blocked_at", "deleted_at", "created_at", "updated_at",
                                  "last_activity_at", "takes_imported_tokens"}};
RowTable row_sessions = {.name = "sessions",
                         .columns = {"expires_at", "refresh_counter", "refresh_nonce",
                                     "previous_nonce", "older_generations", "last_used_at",
                                     "refresh_key", "sealed_by"}};
RowTable row_signing_keys = {.name = "signing_keys",
                             .columns = {"retired_at", "verifies_until", "kid", "imported_until",
                                         "signs_from", "is_active"}};

/* ---- Where the tables are --------------------------------------------------------------- */

/* A table has changed, or gone; 0: any may have. */
static void
ForgetTable(Datum argument, Oid id)
{
    RowTable *tables[] = {&row_users, &row_sessions, &row_signing_keys};
    int i;

    for (i = 0; i < lengthof(tables); i++)
        if (!OidIsValid(id) || tables[i]->id == id)
            tables[i]->id = InvalidOid;
}

static void
LookUp(RowTable *table)
{
    static bool watching = false;
    Oid id;
    int i;

    if (!watching)
        CacheRegisterRelcacheCallback(ForgetTable, (Datum)0);
    watching = true;
    StoreRequireVersion();
    id = get_relname_relid(table->name, get_namespace_oid("auth", false));
    if (!OidIsValid(id))
        elog(ERROR, "there is no table auth.%s", table->name);
    for (i = 0; table->columns[i] != NULL; i++) {
        table->numbers[i] = get_attnum(id, table->columns[i]);
        if (table->numbers[i] == InvalidAttrNumber)
            elog(ERROR, "table auth.%s has no column %s", table->name, table->columns[i]);
    }
    table->id = id;
}

/* ---- Rows ------------------------------------------------------------------------------- */

/* The rows that are found until RowsEnd are those of one moment. */
void
RowsBegin(void)
{
    CommandCounterIncrement();
    PushActiveSnapshot(GetLatestSnapshot());
}

void
RowsEnd(void)
{
    PopActiveSnapshot();
}

/*
 * The row with this primary key, or the first of those with a part of it; false where there is none.  To be
 * ended with RowEnd where there is.
 */
bool
RowFind(RowTable *table, const RowKey *keys, int key_count, Row *row)
{
    ScanKeyData scan_keys[ROW_KEYS_MAX];
    int i;

    if (!OidIsValid(table->id))
        LookUp(table);
    row->table = table;
    row->relation = table_open(table->id, AccessShareLock);
    row->index = index_open(CompatPrimaryKeyIndex(row->relation), AccessShareLock);
    for (i = 0; i < key_count; i++)
        ScanKeyInit(&scan_keys[i], (AttrNumber)(i + 1), BTEqualStrategyNumber, keys[i].equals,
                    keys[i].value);
    row->slot = table_slot_create(row->relation, NULL);
    row->scan = CompatIndexBeginScan(row->relation, row->index, GetActiveSnapshot(), key_count);
    index_rescan(row->scan, scan_keys, key_count, NULL, 0);
    return RowNext(row);
}

/* The next of those rows; false, and ended, where there is none. */
bool
RowNext(Row *row)
{
    if (index_getnext_slot(row->scan, ForwardScanDirection, row->slot))
        return true;
    RowEnd(row);
    return false;
}

/*
 * Lock the row as FOR NO KEY UPDATE does, until the transaction ends.  Where others change it meanwhile this waits
 * for them, and the row is then as they leave it; false, and ended, where they delete it.  At the isolation
 * levels that keep a snapshot, what others have changed since it fails, as a statement would.
 */
bool
RowLock(Row *row)
{
    ItemPointerData tid = row->slot->tts_tid;
    bool is_kept = IsolationUsesXactSnapshot();
    TM_FailureData failure;
    TM_Result result;

    PreventCommandIfReadOnly("SELECT FOR NO KEY UPDATE");
    StoreRequireSeen(!is_kept || table_tuple_satisfies_snapshot(row->relation, row->slot,
                                                                GetTransactionSnapshot()));
    LockRelation(row->relation, RowShareLock);
    result = table_tuple_lock(row->relation, &tid, GetActiveSnapshot(), row->slot,
                              GetCurrentCommandId(true), LockTupleNoKeyExclusive, LockWaitBlock,
                              TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS |
                                  (is_kept ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION),
                              &failure);
    if (result == TM_Ok)
        return true;
    if (result != TM_Updated && result != TM_Deleted)
        elog(ERROR, "could not lock a row of auth.%s: %d", row->table->name, (int)result);
    RowEnd(row);
    StoreRequireSeen(!is_kept);
    return false;
}

/* A column, for as long as the row is read. */
Datum
RowColumn(const Row *row, int column, bool *is_null)
{
    return slot_getattr(row->slot, row->table->numbers[column], is_null);
}

Datum
RowColumnNotNull(const Row *row, int column)
{
    bool is_null;
    Datum value = RowColumn(row, column, &is_null);

    if (is_null)
        elog(ERROR, "auth.%s.%s is unexpectedly NULL", row->table->name,
             row->table->columns[column]);
    return value;
}

bool
RowIsNull(const Row *row, int column)
{
    bool is_null;

    (void)RowColumn(row, column, &is_null);
    return is_null;
}

/*
 * Whether RowUpdate does all that a statement would: no trigger, rule or generated column of an operator's.  With the
 * lock that a statement takes, so that none is made until the transaction ends, and those made meanwhile are known.
 */
bool
RowIsPlain(const Row *row)
{
    const TupleConstr *constraints;

    LockRelation(row->relation, RowExclusiveLock);
    constraints = RelationGetDescr(row->relation)->constr;
    return row->relation->trigdesc == NULL && row->relation->rd_rules == NULL &&
           (constraints == NULL || !constraints->has_generated_stored);
}

/* The row with these columns changed, none of them to NULL. */
static TupleTableSlot *
Changed(const Row *row, const int *columns, const Datum *values, int count)
{
    TupleTableSlot *next = table_slot_create(row->relation, NULL);
    int all = row->slot->tts_tupleDescriptor->natts;
    int i;

    slot_getallattrs(row->slot);
    memcpy(next->tts_values, row->slot->tts_values, (Size)all * sizeof(Datum));
    memcpy(next->tts_isnull, row->slot->tts_isnull, (Size)all * sizeof(bool));
    for (i = 0; i < count; i++) {
        int attribute = row->table->numbers[columns[i]] - 1;

        next->tts_values[attribute] = values[i];
        next->tts_isnull[attribute] = false;
    }
    return ExecStoreVirtualTuple(next);
}

/*
 * Change columns of a row that is plain and was locked, none of them to NULL.  It is changed as PostgreSQL's
 * replication changes rows on a subscriber: constraints, indexes and what replicates this table have their part, as
 * the owner.  An error does not show the row.
 */
void
RowUpdate(const Row *row, const int *columns, const Datum *values, int count)
{
    TupleTableSlot *next = Changed(row, columns, values, count);
    MemoryContext context = CurrentMemoryContext;
    EState *state = CreateExecutorState();
    ResultRelInfo *target = makeNode(ResultRelInfo);
    Oid user;
    int security_context;

    GetUserIdAndSecContext(&user, &security_context);
    SetUserIdAndSecContext(row->relation->rd_rel->relowner,
                           security_context | SECURITY_LOCAL_USERID_CHANGE);
    InitResultRelInfo(target, row->relation, 0, NULL, 0);
    ExecOpenIndices(target, false);
    PG_TRY();
    {
        ExecSimpleRelationUpdate(target, state, NULL, row->slot, next);
    }
    PG_CATCH();
    {
        StoreRaiseWithoutRow(context);
    }
    PG_END_TRY();
    ExecCloseIndices(target);
    SetUserIdAndSecContext(user, security_context);
    ExecDropSingleTupleTableSlot(next);
    FreeExecutorState(state);
    CommandCounterIncrement();
}

/* The locks stay until the transaction ends, as a statement's do. */
void
RowEnd(Row *row)
{
    index_endscan(row->scan);
    ExecDropSingleTupleTableSlot(row->slot);
    index_close(row->index, NoLock);
    table_close(row->relation, NoLock);
}

/* ---- Those of our tables ---------------------------------------------------------------- */

/* The account, if it is not deleted. */
bool
RowFindUser(int64 id, Row *row)
{
    if (!RowFind(&row_users, &(RowKey){F_INT8EQ, Int64GetDatum(id)}, 1, row))
        return false;
    if (RowIsNull(row, USERS_DELETED_AT))
        return true;
    RowEnd(row);
    return false;
}

bool
RowFindSession(int64 user_id, const pg_uuid_t *id, Row *row)
{
    RowKey keys[] = {{F_INT8EQ, Int64GetDatum(user_id)}, {F_UUID_EQ, UUIDPGetDatum(id)}};

    return RowFind(&row_sessions, keys, lengthof(keys), row);
}

/* Whether an account's role is admin's. */
bool
RowIsAdmin(const Row *user)
{
    int number = user->table->numbers[USERS_ROLE];
    Oid type = TupleDescAttr(user->slot->tts_tupleDescriptor, number - 1)->atttypid;

    return DatumGetObjectId(RowColumnNotNull(user, USERS_ROLE)) ==
           GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(type),
                           CStringGetDatum("admin"));
}
