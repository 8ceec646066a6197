/* SPDX-License-Identifier: MIT
 *
 * import.c: the statements of an import of users.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "store/import.h"
#include "store/statement.h"
#include "store/store.h"

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

#define IMPORT_COLUMNS    13
#define ID_COLUMN         0
#define EMAIL_COLUMN      1
#define NORMALIZED_COLUMN 2

/* An import under way: who judges the rows, and the columns of those that are to become accounts. */
typedef struct ImportRun {
    const ImportJudge *judge;
    TimestampTz now;
    int64 greatest_id;
    int count;
    Datum *values[IMPORT_COLUMNS];
    bool *nulls[IMPORT_COLUMNS];
} ImportRun;

/* The columns of auth.users that an import fills, in this order. */
static const Oid column_types[IMPORT_COLUMNS] = {
    INT8OID, TEXTOID,        TEXTOID,        TEXTOID,        TEXTOID,        TEXTOID,       BOOLOID,
    INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID};

static void
KeepRow(ImportRun *run, const ImportRow *row)
{
    const Datum values[IMPORT_COLUMNS] = {
        Int64GetDatum(row->id),
        CStringGetTextDatum(row->email),
        PointerGetDatum(row->email_normalized),
        CStringGetTextDatum(row->password_hash),
        row->first_name ? CStringGetTextDatum(row->first_name) : (Datum)0,
        row->last_name ? CStringGetTextDatum(row->last_name) : (Datum)0,
        BoolGetDatum(strcmp(row->role, "admin") == 0),
        Int64GetDatum(row->balance),
        TimestampTzGetDatum(row->blocked_at),
        TimestampTzGetDatum(row->updated_at), /* deleted_at: it has none */
        TimestampTzGetDatum(row->created_at),
        TimestampTzGetDatum(row->updated_at),
        TimestampTzGetDatum(row->last_activity_at)};
    const bool nulls[IMPORT_COLUMNS] = {[4] = row->first_name == NULL,
                                        [5] = row->last_name == NULL,
                                        [8] = !row->is_blocked,
                                        [9] = !row->is_deleted,
                                        [12] = !row->has_last_activity_at};
    int i;

    for (i = 0; i < IMPORT_COLUMNS; i++) {
        run->values[i][run->count] = values[i];
        run->nulls[i][run->count] = nulls[i];
    }
    run->count++;
}

/* A StoreRowSink. */
static void
GiveRow(void *context, const Datum *values, const bool *nulls, bool is_last)
{
    ImportRun *run = context;
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

    if (run->judge->accept(run->judge->context, &row))
        KeepRow(run, &row);
}

/* Why the account could not be added. */
static ImportOutcome
ConflictOutcome(Datum id, Datum email_normalized)
{
    static Statement statement = {
        "SELECT COALESCE((SELECT u.email_normalized" EQ "$2 FROM auth.users u WHERE u.id" EQ
        "$1), (SELECT false FROM auth.balance_entries e WHERE e.user_id" EQ "$1 LIMIT 1))",
        2,
        {INT8OID, TEXTOID},
        NULL};
    Datum values[] = {id, email_normalized};
    ImportOutcome outcome;
    StoreCall call;
    Datum is_same;
    bool is_free; /* the id is */

    StoreBegin(&call);
    StoreRun(&statement, values, NULL);
    is_same = Column(1, &is_free);
    outcome = is_free                 ? IMPORT_EMAIL_TAKEN
              : DatumGetBool(is_same) ? IMPORT_PRESENT
                                      : IMPORT_ID_TAKEN;
    StoreEnd(&call);
    return outcome;
}

/* The rows that were kept, on their way to being settled: the first one that is not yet. */
typedef struct Settling {
    ImportRun *run;
    int row;
} Settling;

static void
SettleRow(ImportRun *run, int row, ImportOutcome outcome)
{
    int64 id = DatumGetInt64(run->values[ID_COLUMN][row]);

    run->judge->settle(run->judge->context, id, TextDatumGetCString(run->values[EMAIL_COLUMN][row]),
                       outcome);
    if ((outcome == IMPORT_DONE || outcome == IMPORT_PRESENT) && id > run->greatest_id)
        run->greatest_id = id;
}

/*
 * A StoreRowSink for what was added, in the order of the rows: those before it were not.  Id and e-mail
 * together tell which row it is; each of the two may stand there more than once.
 */
static void
TakeAdded(void *context, const Datum *values, const bool *nulls, bool is_last)
{
    Settling *settling = context;
    ImportRun *run = settling->run;
    const Datum *ids = run->values[ID_COLUMN];
    const Datum *emails = run->values[NORMALIZED_COLUMN];

    while (DatumGetInt64(ids[settling->row]) != DatumGetInt64(values[0]) ||
           !DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, emails[settling->row],
                                                 values[1]))) {
        SettleRow(run, settling->row, ConflictOutcome(ids[settling->row], emails[settling->row]));
        settling->row++;
    }
    SettleRow(run, settling->row++, IMPORT_DONE);
}

/*
 * Add the accounts, with a first entry in the ledger for a balance.  One statement for all of them: that
 * is twice as fast as one for each.  An operator may have deleted an account of this id: a ledger that it
 * left keeps the id taken, and sessions that it left are not the new account's.  (unnest of several arrays is syntax, not a function that the caller's
 * search_path could replace; with a schema it is not known.)
 */
static void
AddAccounts(ImportRun *run)
{
    static Statement statement = {
        "WITH account AS (INSERT INTO auth.users (id, email, email_normalized, password_hash,"
        " first_name, last_name, role, balance, blocked_at, deleted_at, created_at, updated_at,"
        " last_activity_at, takes_imported_tokens)"
        " SELECT r.id, r.email, r.email_normalized, r.password_hash, r.first_name, r.last_name,"
        " CASE WHEN r.is_admin THEN 'admin'::auth.user_role ELSE 'user'::auth.user_role END,"
        " r.balance, r.blocked_at, r.deleted_at, r.created_at, r.updated_at, r.last_activity_at,"
        " r.blocked_at IS NULL AND r.deleted_at IS NULL"
        " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        " AS r (id, email, email_normalized, password_hash, first_name, last_name, is_admin, "
        "balance,"
        " blocked_at, deleted_at, created_at, updated_at, last_activity_at)"
        " WHERE NOT EXISTS (SELECT FROM auth.balance_entries o WHERE o.user_id" EQ "r.id)"
        " ON CONFLICT DO NOTHING RETURNING id, email_normalized, balance, updated_at),"
        " session AS (DELETE FROM auth.sessions s USING account a WHERE s.user_id" EQ "a.id),"
        " entry AS ("
        " INSERT INTO auth.balance_entries (user_id, number, amount, balance, created_at)"
        " SELECT a.id, 1, a.balance, a.balance, a.updated_at FROM account a"
        " WHERE a.balance OPERATOR(pg_catalog.>) 0) SELECT a.id, a.email_normalized FROM account a",
        IMPORT_COLUMNS,
        {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
         BOOLARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID,
         TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID},
        NULL};
    Settling settling = {.run = run};
    Datum values[IMPORT_COLUMNS];
    int count = run->count;
    int lower = 1;
    uint64 added_count;
    int i;

    if (count == 0)
        return;

    for (i = 0; i < IMPORT_COLUMNS; i++) {
        int16 length;
        bool by_value;
        char alignment;

        get_typlenbyvalalign(column_types[i], &length, &by_value, &alignment);
        values[i] =
            PointerGetDatum(construct_md_array(run->values[i], run->nulls[i], 1, &count, &lower,
                                               column_types[i], length, by_value, alignment));
    }
    added_count = StoreRun(&statement, values, NULL);
    RowsToSink(added_count, added_count, TakeAdded, &settling);
    for (; settling.row < count; settling.row++)
        SettleRow(run, settling.row,
                  ConflictOutcome(run->values[ID_COLUMN][settling.row],
                                  run->values[NORMALIZED_COLUMN][settling.row]));
}

static void
MoveSequence(int64 greatest_id)
{
    static Statement statement = {
        "SELECT pg_catalog.setval('auth.users_id_seq', $1) FROM auth.users_id_seq s"
        " WHERE $1 OPERATOR(pg_catalog.>) s.last_value"
        " OR ($1 OPERATOR(pg_catalog.=) s.last_value AND NOT s.is_called)",
        1,
        {INT8OID},
        NULL};
    Datum values[] = {Int64GetDatum(greatest_id)};

    StoreRun(&statement, values, NULL);
}

/*
 * Read the rows of an array, let each be judged, add those that are accepted, and tell what became of
 * each of these.  Nobody else writes accounts until the transaction ends: so that is true at the commit,
 * and the ids of new accounts go on behind the greatest one.
 */
void
StoreImportUsers(text *users, TimestampTz now, const ImportJudge *judge)
{
    static Statement rows = {
        "SELECT r.id, r.email, r.hashed_password,"
        " CASE WHEN r.first_name OPERATOR(pg_catalog.<>) '' THEN r.first_name END,"
        " CASE WHEN r.last_name OPERATOR(pg_catalog.<>) '' THEN r.last_name END,"
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
    ImportRun run = {.judge = judge, .now = now};
    StoreCall call;
    uint64 count;
    int i;

    StoreCommand("LOCK TABLE auth.users IN SHARE ROW EXCLUSIVE MODE");
    StoreBegin(&call);
    count = StoreRun(&rows, values, NULL);
    for (i = 0; i < IMPORT_COLUMNS; i++) {
        run.values[i] = palloc(sizeof(Datum) * (Size)(count + 1));
        run.nulls[i] = palloc(sizeof(bool) * (Size)(count + 1));
    }
    RowsToSink(count, count, GiveRow, &run);
    AddAccounts(&run);
    MoveSequence(run.greatest_id);
    StoreEnd(&call);
}
