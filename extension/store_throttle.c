/* SPDX-License-Identifier: MIT
 *
 * store_throttle.c: the statements on auth.login_throttle.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "store.h"
#include "store_statement.h"

static Datum
KeyDatum(const ThrottleKey *key)
{
    bytea *bytes = palloc(VARHDRSZ + sizeof(key->data));

    SET_VARSIZE(bytes, VARHDRSZ + sizeof(key->data));
    memcpy(VARDATA(bytes), key->data, sizeof(key->data));
    return PointerGetDatum(bytes);
}

/* Take the first of the places that is not taken. */
static void
TakePlace(ThrottleState *state, int free_failures)
{
    int place;

    for (place = 0; place < free_failures; place++)
        if ((state->places[place / 8] >> (place % 8) & 1) == 0) {
            state->places[place / 8] |= (unsigned char)(1 << (place % 8));
            return;
        }
}

typedef struct FailureReader {
    ThrottleState *state;
    int free_failures;
    int others; /* failures without a place of their own */
} FailureReader;

/* A StoreRowSink: one failure, after those before it. */
static void
ReadFailure(void *context, const Datum *values, const bool *nulls, bool is_last)
{
    FailureReader *reader = context;
    ThrottleState *state = reader->state;
    int place = DatumGetInt16(values[1]);

    state->last_at = DatumGetTimestampTz(values[0]);
    if (++state->failures == reader->free_failures)
        state->slow_since = state->last_at;
    if (place >= 0 && place < THROTTLE_PLACES)
        state->places[place / 8] |= (unsigned char)(1 << (place % 8));
    else
        reader->others++;
    if (is_last && !nulls[2])
        strlcpy(state->network, TextDatumGetCString(values[2]), sizeof(state->network));
}

/* The failures of a key after this moment, whoever has counted them, in whatever transaction. */
void
StoreThrottleRead(const ThrottleKey *key, TimestampTz stale_before, int free_failures,
                  ThrottleState *state)
{
    static Statement statement = {
        "SELECT t.failed_at, t.place, t.network FROM auth.login_throttle t WHERE t.key" EQ
        "$1 AND t.failed_at OPERATOR(pg_catalog.>) $2 ORDER BY t.failed_at",
        2,
        {BYTEAOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {KeyDatum(key), TimestampTzGetDatum(stale_before)};
    FailureReader reader = {.state = state, .free_failures = free_failures};
    StoreCall call;
    uint64 count;

    *state = (ThrottleState){0};
    StoreBegin(&call);
    count = StoreRead(&statement, values);
    RowsToSink(count, count, ReadFailure, &reader);
    StoreEnd(&call);
    /* One that came after a delay has no place; while it counts there is one the less. */
    for (; reader.others > 0; reader.others--)
        TakePlace(state, free_failures);
}

/* Put a row into each index of its table. */
static void
InsertIntoIndexes(Relation table, TupleTableSlot *slot)
{
    List *indexes = RelationGetIndexList(table);
    ListCell *cell;

    foreach (cell, indexes) {
        Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
        IndexInfo *info = BuildIndexInfo(index);
        Datum values[INDEX_MAX_KEYS];
        bool nulls[INDEX_MAX_KEYS];

        FormIndexDatum(info, slot, NULL, values, nulls);
        index_insert(index, values, nulls, &slot->tts_tid, table, UNIQUE_CHECK_NO, false, info);
        index_close(index, NoLock);
    }
}

/*
 * Count a failure, for good: whoever rolls back has learned the answer all the same.  The row is written as
 * COPY FREEZE writes one, and PostgreSQL a sequence's: as the deed of no transaction.  So it counts at
 * once, for everybody, before the caller has his answer, and stays whatever becomes of his transaction.  Nobody
 * waits for it, and no snapshot or lock of a caller's can keep it out.  A crash of the server may lose the last
 * ones, and may leave one that no index has, until it is swept.
 */
void
StoreThrottleFail(const ThrottleFailure *failure)
{
    Relation table = table_open(
        get_relname_relid("login_throttle", get_namespace_oid("auth", false)), RowExclusiveLock);
    TupleTableSlot *slot = table_slot_create(table, NULL);

    ExecClearTuple(slot);
    slot->tts_values[0] = KeyDatum(&failure->key);
    slot->tts_values[1] = TimestampTzGetDatum(failure->at);
    slot->tts_values[2] = Int16GetDatum((int16)failure->place);
    slot->tts_isnull[0] = slot->tts_isnull[1] = slot->tts_isnull[2] = false;
    slot->tts_isnull[3] = failure->network == NULL;
    slot->tts_values[3] = failure->network ? CStringGetTextDatum(failure->network) : (Datum)0;
    ExecStoreVirtualTuple(slot);
    HOLD_INTERRUPTS(); /* a row that no index has would not count */
    table_tuple_insert(table, slot, GetCurrentCommandId(true), TABLE_INSERT_FROZEN, NULL);
    InsertIntoIndexes(table, slot);
    RESUME_INTERRUPTS();
    ExecDropSingleTupleTableSlot(slot);
    table_close(table, NoLock);
}

/* Take back what was counted of a key at this moment; DT_NOBEGIN: all of it. */
void
StoreThrottleForget(const ThrottleKey *key, TimestampTz at)
{
    static Statement statement = {
        "DELETE FROM auth.login_throttle t USING (SELECT w.ctid FROM auth.login_throttle w"
        " WHERE w.key" EQ "$1 AND ($2" EQ "'-infinity'::pg_catalog.timestamptz OR w.failed_at" EQ
        "$2) FOR UPDATE SKIP LOCKED) o WHERE t.ctid" EQ "o.ctid",
        2,
        {BYTEAOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {KeyDatum(key), TimestampTzGetDatum(at)};
    StoreCall call;

    StoreBegin(&call);
    StoreRunLatest(&statement, values);
    StoreEnd(&call);
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
