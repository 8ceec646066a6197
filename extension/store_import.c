/* SPDX-License-Identifier: MIT
 *
 * store_import.c: the statements of an import of users.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store.h"
#include "store_statement.h"

static char *
RowText(const Datum *values, const bool *nulls, int column)
{
    return nulls[column] ? NULL : TextDatumGetCString(values[column]);
}

static TimestampTz
RowTime(const Datum *values, const bool *nulls, int column, TimestampTz missing)
{
    return nulls[column] ? missing : DatumGetTimestampTz(values[column]);
}

/* An import under way: who takes the rows, and the moment that stands for missing times. */
typedef struct ImportRun {
    StoreImportSink sink;
    void *context;
    TimestampTz now;
    MemoryContext row_memory;
    int64 greatest_id;
} ImportRun;

/* A StoreRowSink. */
static void
GiveRow(void *context, const Datum *values, const bool *nulls, bool is_last)
{
    ImportRun *run = context;
    MemoryContext old = MemoryContextSwitchTo(run->row_memory);
    TimestampTz updated_at = RowTime(values, nulls, 11, run->now);
    ImportRow row = {
        .has_id = !nulls[0],
        .id = nulls[0] ? 0 : DatumGetInt64(values[0]),
        .email = RowText(values, nulls, 1),
        .password_hash = RowText(values, nulls, 2),
        .first_name = RowText(values, nulls, 3),
        .last_name = RowText(values, nulls, 4),
        .is_blocked = !nulls[5] && DatumGetBool(values[5]),
        .blocked_at = RowTime(values, nulls, 6, updated_at),
        .is_deleted = !nulls[7] && DatumGetBool(values[7]),
        .role = RowText(values, nulls, 8),
        .balance = nulls[9] ? 0 : DatumGetInt64(values[9]),
        .created_at = RowTime(values, nulls, 10, run->now),
        .updated_at = updated_at,
        .has_last_activity_at = !nulls[12],
        .last_activity_at = RowTime(values, nulls, 12, 0),
    };

    if (run->sink(run->context, &row) && row.id > run->greatest_id)
        run->greatest_id = row.id;
    MemoryContextSwitchTo(old);
    MemoryContextReset(run->row_memory);
}

/*
 * Read the rows of an array, and give each to the sink.  Nobody else writes accounts until the transaction
 * ends: so "taken" is true at the commit, and the ids of new accounts go on behind the greatest one.
 */
void
StoreImportUsers(text *users, TimestampTz now, StoreImportSink sink, void *context)
{
    static Statement sequence = {
        "SELECT pg_catalog.setval('auth.users_id_seq', $1) FROM auth.users_id_seq s"
        " WHERE $1 OPERATOR(pg_catalog.>) s.last_value",
        1,
        {INT8OID},
        NULL};
    static Statement rows = {
        "SELECT r.id, r.email, r.hashed_password, NULLIF(r.first_name, ''), NULLIF(r.last_name, "
        "''),"
        " r.is_blocked, r.blocked_at, r.is_deleted, r.role, r.balance, r.created_at, r.updated_at,"
        " r.last_activity_at FROM pg_catalog.json_to_recordset($1::pg_catalog.json) AS r"
        " (id pg_catalog.int8, email pg_catalog.text, hashed_password pg_catalog.text,"
        " first_name pg_catalog.text, last_name pg_catalog.text, is_blocked pg_catalog.bool,"
        " blocked_at pg_catalog.timestamptz, is_deleted pg_catalog.bool, role pg_catalog.text,"
        " balance pg_catalog.int8, created_at pg_catalog.timestamptz,"
        " updated_at pg_catalog.timestamptz, last_activity_at pg_catalog.timestamptz)",
        1,
        {TEXTOID},
        NULL};
    Datum values[] = {PointerGetDatum(users)};
    ImportRun run = {.sink = sink, .context = context, .now = now};
    StoreCall call;
    uint64 count;

    StoreCommand("LOCK TABLE auth.users IN SHARE ROW EXCLUSIVE MODE");
    StoreBegin(&call);
    count = StoreRun(&rows, values, NULL);
    run.row_memory =
        AllocSetContextCreate(CurrentMemoryContext, "auth_service import", ALLOCSET_DEFAULT_SIZES);
    RowsToSink(count, count, GiveRow, &run);
    StoreEnd(&call);
    values[0] = Int64GetDatum(run.greatest_id);
    StoreExecute(&sequence, values, NULL);
}

/* Whether the account of this id has this e-mail: it was imported before. */
static ImportOutcome
ConflictOutcome(int64 id, text *email_normalized)
{
    static Statement statement = {"SELECT u.email_normalized" EQ
                                  "$2 FROM auth.users u WHERE u.id" EQ "$1",
                                  2,
                                  {INT8OID, TEXTOID},
                                  NULL};
    Datum values[] = {Int64GetDatum(id), PointerGetDatum(email_normalized)};
    ImportOutcome outcome = IMPORT_EMAIL_TAKEN;
    StoreCall call;

    StoreBegin(&call);
    if (StoreRun(&statement, values, NULL) == 1)
        outcome = DatumGetBool(ColumnNotNull(1)) ? IMPORT_PRESENT : IMPORT_ID_TAKEN;
    StoreEnd(&call);
    return outcome;
}

/* Add an account, with a first entry in the ledger for a balance. */
ImportOutcome
StoreImportInsert(const ImportRow *row, text *email_normalized)
{
    static Statement statement = {
        "INSERT INTO auth.users (id, email, email_normalized, password_hash, first_name, last_name,"
        " role, balance, blocked_at, deleted_at, created_at, updated_at, last_activity_at,"
        " takes_imported_tokens) VALUES ($1, $2, $3, $4, $5, $6,"
        " CASE WHEN $7 THEN 'admin'::auth.user_role ELSE 'user'::auth.user_role END,"
        " $8, $9, $10, $11, $12, $13, $9 IS NULL AND $10 IS NULL) ON CONFLICT DO NOTHING",
        13,
        {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, INT8OID, TIMESTAMPTZOID,
         TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(row->id),
                      CStringGetTextDatum(row->email),
                      PointerGetDatum(email_normalized),
                      CStringGetTextDatum(row->password_hash),
                      row->first_name ? CStringGetTextDatum(row->first_name) : (Datum)0,
                      row->last_name ? CStringGetTextDatum(row->last_name) : (Datum)0,
                      BoolGetDatum(strcmp(row->role, "admin") == 0),
                      Int64GetDatum(row->balance),
                      TimestampTzGetDatum(row->blocked_at),
                      TimestampTzGetDatum(row->updated_at),
                      TimestampTzGetDatum(row->created_at),
                      TimestampTzGetDatum(row->updated_at),
                      TimestampTzGetDatum(row->last_activity_at)};
    char nulls[] = {' ',
                    ' ',
                    ' ',
                    ' ',
                    row->first_name ? ' ' : 'n',
                    row->last_name ? ' ' : 'n',
                    ' ',
                    ' ',
                    row->is_blocked ? ' ' : 'n',
                    row->is_deleted ? ' ' : 'n',
                    ' ',
                    ' ',
                    row->has_last_activity_at ? ' ' : 'n'};

    if (StoreExecute(&statement, values, nulls) == 0)
        return ConflictOutcome(row->id, email_normalized);
    if (row->balance > 0)
        StoreEntryInsert(row->id, row->balance, row->balance, NULL, 0, row->updated_at);
    return IMPORT_DONE;
}
