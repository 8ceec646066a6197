/* SPDX-License-Identifier: MIT
 *
 * store_throttle.c: the statements on auth.login_throttle.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "store.h"
#include "store_statement.h"

#define PLACES_BYTES "125"

StaticAssertDecl(THROTTLE_PLACES == 125 * 8, "PLACES_BYTES has another number");

static Datum
KeyDatum(const ThrottleKey *key)
{
    bytea *bytes = palloc(VARHDRSZ + sizeof(key->data));

    SET_VARSIZE(bytes, VARHDRSZ + sizeof(key->data));
    memcpy(VARDATA(bytes), key->data, sizeof(key->data));
    return PointerGetDatum(bytes);
}

static void
ColumnNetwork(int number, char *network)
{
    bool is_null;
    Datum value = Column(number, &is_null);

    strlcpy(network, is_null ? "" : TextDatumGetCString(value), THROTTLE_NETWORK_CHARS);
}

/* What is committed at this moment, and what this transaction has counted. */
void
StoreThrottleRead(const ThrottleKey *key, ThrottleRow *row)
{
    static Statement statement = {"SELECT t.failures, t.places, t.since, t.last_at, t.network"
                                  " FROM auth.login_throttle t WHERE t.key" EQ "$1",
                                  1,
                                  {BYTEAOID},
                                  NULL};
    Datum values[] = {KeyDatum(key)};
    StoreCall call;

    *row = (ThrottleRow){0};
    StoreBegin(&call);
    if (StoreRead(&statement, values) > 0) {
        bytea *places = DatumGetByteaPP(ColumnNotNull(2));

        row->failures = DatumGetInt32(ColumnNotNull(1));
        memcpy(row->places, VARDATA_ANY(places),
               Min(VARSIZE_ANY_EXHDR(places), sizeof(row->places)));
        row->since = DatumGetTimestampTz(ColumnNotNull(3));
        row->last_at = DatumGetTimestampTz(ColumnNotNull(4));
        ColumnNetwork(5, row->network);
    }
    StoreEnd(&call);
}

/*
 * Count a failure; how many there are with it.  What is counted anew does not depend on what was read before: a
 * row whose time is over, by the first of its failures without delay or the last of those with, begins again.
 */
int
StoreThrottleFail(const ThrottleFailure *failure, TimestampTz stale_before)
{
    static Statement statement = {
        "WITH given AS MATERIALIZED (SELECT pg_catalog.decode("
        "pg_catalog.repeat('00', " PLACES_BYTES "), 'hex') AS none)"
        " INSERT INTO auth.login_throttle AS t (key, failures, places, since, last_at, network)"
        " SELECT $1, 1, CASE WHEN $2 OPERATOR(pg_catalog.<) 0 THEN g.none"
        " ELSE pg_catalog.set_bit(g.none, $2, 1) END, $3, $3, $6 FROM given g"
        " ON CONFLICT (key) DO UPDATE SET (failures, places, since, last_at, network) ="
        " (SELECT CASE WHEN s.is_stale THEN 1 ELSE t.failures OPERATOR(pg_catalog.+) 1 END,"
        " CASE WHEN s.is_stale THEN excluded.places WHEN $2 OPERATOR(pg_catalog.<) 0 THEN t.places"
        " ELSE pg_catalog.set_bit(t.places, $2, 1) END,"
        " CASE WHEN s.is_stale OR t.failures OPERATOR(pg_catalog.+) 1" EQ
        "$4 THEN $3 ELSE t.since END, $3, $6"
        " FROM (SELECT CASE WHEN t.failures OPERATOR(pg_catalog.<) $4 THEN t.since"
        " ELSE t.last_at END OPERATOR(pg_catalog.<=) $5) s (is_stale))"
        " RETURNING t.failures",
        6,
        {BYTEAOID, INT8OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, TEXTOID},
        NULL};
    Datum values[] = {KeyDatum(&failure->key),           Int64GetDatum(failure->place),
                      TimestampTzGetDatum(failure->at),  Int32GetDatum(failure->free_failures),
                      TimestampTzGetDatum(stale_before), CStringGetTextDatum(failure->network)};
    char nulls[] = {' ', ' ', ' ', ' ', ' ', failure->network[0] != '\0' ? ' ' : 'n'};
    StoreCall call;
    int failures;

    StoreBegin(&call);
    StoreRun(&statement, values, nulls);
    failures = DatumGetInt32(ColumnNotNull(1));
    StoreEnd(&call);
    return failures;
}

void
StoreThrottleForget(const ThrottleKey *key)
{
    static Statement statement = {
        "DELETE FROM auth.login_throttle t WHERE t.key" EQ "$1", 1, {BYTEAOID}, NULL};
    Datum values[] = {KeyDatum(key)};

    StoreExecute(&statement, values, NULL);
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
