/* SPDX-License-Identifier: MIT
 *
 * throttle.c: the attempts in auth.login_throttle, which are read by statements and written without one.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/statement.h"
#include "store/throttle.h"

static Datum
KeyDatum(const ThrottleKey *key)
{
    bytea *bytes = palloc(VARHDRSZ + sizeof(key->data));

    SET_VARSIZE(bytes, VARHDRSZ + sizeof(key->data));
    memcpy(VARDATA(bytes), key->data, sizeof(key->data));
    return PointerGetDatum(bytes);
}

/* Take the first of the slots that is not taken. */
static void
TakeSlot(ThrottleState *state, int free_failures)
{
    int number;

    for (number = 0; number < free_failures; number++)
        if ((state->slots[number / 8] >> (number % 8) & 1) == 0) {
            state->slots[number / 8] |= (unsigned char)(1 << (number % 8));
            return;
        }
}

typedef struct AttemptReader {
    ThrottleState *state;
    int free_failures;
    bool begins_anew; /* with a success */
    int others;       /* failures without a slot of their own */
} AttemptReader;

/* A StoreRowSink: one attempt, after those before it. */
static void
ReadAttempt(void *context, const Datum *values, const bool *nulls, bool is_last)
{
    AttemptReader *reader = context;
    ThrottleState *state = reader->state;
    int number = DatumGetInt16(values[1]);

    if (DatumGetBool(values[3])) {
        if (reader->begins_anew) {
            *state = (ThrottleState){0};
            reader->others = 0;
        }
        return;
    }
    state->last_at = DatumGetTimestampTz(values[0]);
    if (++state->failures == reader->free_failures)
        state->slow_since = state->last_at;
    if (number >= 0 && number < THROTTLE_SLOTS)
        state->slots[number / 8] |= (unsigned char)(1 << (number % 8));
    else
        reader->others++;
    if (is_last && !nulls[2])
        strlcpy(state->network, TextDatumGetCString(values[2]), sizeof(state->network));
}

/*
 * The attempts for a key after this moment that were not right, or are under way, whoever has made them, in
 * whatever transaction.
 */
void
StoreThrottleRead(const ThrottleKey *key, TimestampTz stale_before, int free_failures,
                  ThrottleState *state)
{
    static Statement statement = {
        "SELECT t.failed_at, t.place, t.network, t.was_right FROM auth.login_throttle t"
        " WHERE t.key" EQ
        "$1 AND t.failed_at OPERATOR(pg_catalog.>) $2 AND (t.was_right OR NOT EXISTS"
        " (SELECT FROM auth.login_throttle r WHERE r.key" EQ "$1 AND r.failed_at" EQ
        "t.failed_at AND r.place" EQ "t.place AND r.was_right)) ORDER BY t.failed_at, t.was_right",
        2,
        {BYTEAOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {KeyDatum(key), TimestampTzGetDatum(stale_before)};
    AttemptReader reader = {
        .state = state, .free_failures = free_failures, .begins_anew = key->begins_anew};
    StoreCall call;
    uint64 count;

    *state = (ThrottleState){0};
    StoreBegin(&call);
    count = StoreRead(&statement, values);
    RowsToSink(count, count, ReadAttempt, &reader);
    StoreEnd(&call);
    /* One that came after a delay has no slot; while it counts there is one the less. */
    for (; reader.others > 0; reader.others--)
        TakeSlot(state, free_failures);
}

static TupleTableSlot *
MakeSlot(Relation table, const ThrottleAttemptRow *attempt)
{
    TupleTableSlot *slot = table_slot_create(table, NULL);

    ExecClearTuple(slot);
    memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
    slot->tts_values[0] = KeyDatum(&attempt->key);
    slot->tts_values[1] = TimestampTzGetDatum(attempt->at);
    slot->tts_values[2] = Int16GetDatum((int16)attempt->slot);
    slot->tts_values[4] = BoolGetDatum(attempt->was_right);
    slot->tts_isnull[0] = slot->tts_isnull[1] = slot->tts_isnull[2] = slot->tts_isnull[4] = false;
    if (attempt->network != NULL) {
        slot->tts_values[3] = CStringGetTextDatum(attempt->network);
        slot->tts_isnull[3] = false;
    }
    return ExecStoreVirtualTuple(slot);
}

/*
 * Wait for whoever is adding to an index that is made concurrently what it lacks.
 *
 * PostgreSQL reads such an index, then the table as of a snapshot from before both, and adds the rows that the index
 * had not.  A row that every snapshot sees must not turn up between the two, or it would be added although its index
 * entry has come meanwhile.  Who begins only after this finds that entry.
 *
 * Who makes an index holds a lock that no two can hold, and at that time a snapshot.  While he waits for others, for
 * us perhaps, he has none, and we do not wait for him.
 */
static void
AwaitIndexer(Relation table)
{
    LOCKTAG tag;
    VirtualTransactionId *holder;
    VirtualTransactionId *running;
    int count;
    int i;

    SET_LOCKTAG_RELATION(tag, MyDatabaseId, RelationGetRelid(table));
    holder = GetLockConflicts(&tag, ShareUpdateExclusiveLock, NULL);
    running =
        GetCurrentVirtualXIDs(InvalidTransactionId, /* excludeXmin0 */ true, /* allDbs */ false,
                              PROC_IS_AUTOVACUUM | PROC_IN_VACUUM, &count);
    for (; VirtualTransactionIdIsValid(*holder); holder++)
        for (i = 0; i < count; i++)
            if (VirtualTransactionIdEquals(*holder, running[i]))
                VirtualXactLock(*holder, /* wait */ true);
}

/*
 * Whether an index takes new rows, and may lack old ones: it is being made, or was left behind like that.  Between
 * letting it take rows and adding to it PostgreSQL waits for all who have had the table locked since before.  So who
 * does not see it here need not wait.
 */
static bool
HasUnfinishedIndex(const ResultRelInfo *target)
{
    int i;

    for (i = 0; i < target->ri_NumIndices; i++)
        if (target->ri_IndexRelationDescs[i]->rd_index->indisready &&
            !target->ri_IndexRelationDescs[i]->rd_index->indisvalid)
            return true;
    return false;
}

/* Make a row of this transaction's that of none: everybody sees it from now on, and it stays. */
static void
Freeze(Relation table, ItemPointer tid)
{
    Buffer buffer;
    GenericXLogState *change;
    Page page;

    if (table->rd_rel->relam != HEAP_TABLE_AM_OID)
        elog(ERROR, "auth.login_throttle has another access method than heap");
    buffer = ReadBuffer(table, ItemPointerGetBlockNumber(tid));
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    change = GenericXLogStart(table);
    page = GenericXLogRegisterBuffer(change, buffer, 0);
    HeapTupleHeaderSetXminFrozen(
        (HeapTupleHeader)PageGetItem(page, PageGetItemId(page, ItemPointerGetOffsetNumber(tid))));
    GenericXLogFinish(change);
    UnlockReleaseBuffer(buffer);
}

/*
 * Write down an attempt, or that it was right, for good: whoever rolls back has learned the answer all the same.  The
 * row becomes the deed of no transaction, as one of COPY FREEZE or of a sequence is.  So it counts at once, for
 * everybody, and stays whatever becomes of the caller's transaction.  Nobody waits for it, and no snapshot of a
 * caller's can keep it out.  The indexes have it before that: until then it is the transaction's, and an error takes it
 * back.  A crash of the server may lose the last ones.
 */
void
StoreThrottleAdd(const ThrottleAttemptRow *attempt)
{
    Relation table = table_open(
        get_relname_relid("login_throttle", get_namespace_oid("auth", false)), RowExclusiveLock);
    EState *state = CreateExecutorState();
    ResultRelInfo *target = makeNode(ResultRelInfo);
    TupleTableSlot *slot = MakeSlot(table, attempt);

    InitResultRelInfo(target, table, 1, NULL, 0);
    ExecOpenIndices(target, false);
    table_tuple_insert(table, slot, GetCurrentCommandId(true), 0, NULL);
    CompatInsertIntoIndexes(target, slot, state);
    if (HasUnfinishedIndex(target))
        AwaitIndexer(table);
    Freeze(table, &slot->tts_tid);
    ExecCloseIndices(target);
    ExecDropSingleTupleTableSlot(slot);
    FreeExecutorState(state);
    table_close(table, NoLock);
}

/* Whether a session of the e-mail's account was begun from this network, and still is there. */
bool
StoreThrottleKnows(text *email_normalized, const char *network)
{
    static Statement statement = {
        "SELECT FROM auth.users u, auth.sessions s WHERE u.email_normalized" EQ
        "$1 AND u.deleted_at IS NULL AND s.user_id" EQ
        "u.id AND s.ip OPERATOR(pg_catalog.<<=) $2::pg_catalog.inet LIMIT 1",
        2,
        {TEXTOID, TEXTOID},
        NULL};
    Datum values[] = {PointerGetDatum(email_normalized), CStringGetTextDatum(network)};
    StoreCall call;
    bool knows;

    StoreBegin(&call);
    knows = StoreRead(&statement, values) > 0;
    StoreEnd(&call);
    return knows;
}
