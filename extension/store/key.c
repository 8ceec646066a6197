/* SPDX-License-Identifier: MIT
 *
 * key.c: the keys of auth.signing_keys.  Which of them signs, every new token asks: that is read without a
 * statement (row.h).  All else are statements.
 *
 * The key that signs is the one of our own that began to last (signs_from); is_active stands with the
 * newest one, which may be yet to come, and its index lets only one be the newest.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/key.h"
#include "store/row.h"
#include "store/statement.h"
#include "store/store.h"

#define KEY_COLUMNS "k.kid, k.algorithm, k.imported_until, k.sealed_by, k.secret, k.public_key"

#define IS_OUR_OWN "k.imported_until IS NULL AND k.retired_at IS NULL"

static bytea *
CopyBytes(Datum value, bool is_null)
{
    return is_null ? NULL : DatumGetByteaPCopy(value);
}

/* A row of KEY_COLUMNS; the bytes are copied into the current context. */
static void
ReadRow(const Datum *values, const bool *nulls, KeyRow *key)
{
    memset(key, 0, sizeof(*key));
    strlcpy(key->kid, TextDatumGetCString(values[0]), sizeof(key->kid));
    strlcpy(key->algorithm, TextDatumGetCString(values[1]), sizeof(key->algorithm));
    key->imported_until = nulls[2] ? 0 : DatumGetTimestampTz(values[2]);
    key->sealed_by = KekIdOfDatum(values[3], nulls[3]);
    key->secret = CopyBytes(values[4], nulls[4]);
    key->public_key = CopyBytes(values[5], nulls[5]);
}

/* What a sink of rows adds to. */
typedef struct KeyList {
    MemoryContext context;
    List *keys;
} KeyList;

static void
AddKey(void *context, const Datum *values, const bool *nulls, bool is_last)
{
    KeyList *list = context;
    MemoryContext old = MemoryContextSwitchTo(list->context);
    KeyRow *key = palloc(sizeof(KeyRow));

    ReadRow(values, nulls, key);
    list->keys = lappend(list->keys, key);
    MemoryContextSwitchTo(old);
}

/* The keys that a statement answers, as is committed now: a List of KeyRow *. */
static List *
ReadKeys(Statement *statement, const Datum *values)
{
    KeyList list = {.context = CurrentMemoryContext, .keys = NIL};
    StoreCall call;
    uint64 count;

    StoreBegin(&call);
    count = StoreRead(statement, values);
    RowsToSink(count, count, AddKey, &list);
    StoreEnd(&call);
    return list.keys;
}

static bool
ReadKey(Statement *statement, const Datum *values, KeyRow *key)
{
    List *keys = ReadKeys(statement, values);

    if (keys == NIL)
        return false;
    *key = *(KeyRow *)linitial(keys);
    return true;
}

bool
StoreKeyFind(const char *kid, KeyRow *key)
{
    static Statement statement = {"SELECT " KEY_COLUMNS " FROM auth.signing_keys k WHERE k.kid" EQ
                                  "$1 AND k.retired_at IS NULL",
                                  1,
                                  {TEXTOID},
                                  NULL};
    Datum values[] = {CStringGetTextDatum(kid)};

    return ReadKey(&statement, values, key);
}

/* A key that may sign. */
typedef struct Signer {
    TimestampTz from; /* DT_NOEND: never */
    bool is_active;
} Signer;

/* Whether the row is one of our own. */
static bool
ReadSigner(const Row *row, Signer *signer)
{
    signer->from = DatumGetTimestampTz(RowColumnNotNull(row, SIGNING_KEYS_SIGNS_FROM));
    signer->is_active = DatumGetBool(RowColumnNotNull(row, SIGNING_KEYS_IS_ACTIVE));
    return signer->from < DT_NOEND && RowIsNull(row, SIGNING_KEYS_IMPORTED_UNTIL) &&
           RowIsNull(row, SIGNING_KEYS_RETIRED_AT);
}

/* Whether this one rather than that one signs now. */
static bool
SignsRather(const Signer *this, const Signer *that, TimestampTz now)
{
    bool has_begun = this->from <= now;

    if (has_begun != (that->from <= now))
        return has_begun;
    if (this->from == that->from)
        return this->is_active && !that->is_active;
    return has_begun ? this->from > that->from : this->from < that->from;
}

/*
 * Write the kid of the key that signs now; false where there is none yet.  Where the clock was set back, and
 * the keys of before are dropped, all that are left are yet to come: then the first of them signs already,
 * since somebody has to.
 */
bool
StoreKeySigning(TimestampTz now, char *kid)
{
    Signer best = {.from = DT_NOEND};
    Row row;
    bool found;

    RowsBegin();
    for (found = RowFind(&row_signing_keys, NULL, 0, &row); found; found = RowNext(&row)) {
        Signer signer;

        if (!ReadSigner(&row, &signer) || !SignsRather(&signer, &best, now))
            continue;
        best = signer;
        strlcpy(kid, TextDatumGetCString(RowColumnNotNull(&row, SIGNING_KEYS_KID)),
                AUTH_KID_BYTES_MAX + 1);
    }
    RowsEnd();
    return best.from < DT_NOEND;
}

/* The newest key of our own, which signs or is yet to; false where there is none. */
bool
StoreKeyNewest(KeyRow *key)
{
    static Statement statement = {
        "SELECT " KEY_COLUMNS " FROM auth.signing_keys k WHERE k.is_active", 0, {0}, NULL};

    return ReadKey(&statement, NULL, key);
}

/* Our own keys that others may verify with now or soon, the newest first. */
List *
StoreKeysPublished(TimestampTz now)
{
    static Statement statement = {
        "SELECT " KEY_COLUMNS " FROM auth.signing_keys k WHERE " IS_OUR_OWN
        " AND k.public_key IS NOT NULL"
        " AND (k.verifies_until IS NULL OR k.verifies_until OPERATOR(pg_catalog.>) $1)"
        " ORDER BY k.created_at DESC",
        1,
        {TIMESTAMPTZOID},
        NULL};
    Datum values[] = {TimestampTzGetDatum(now)};

    return ReadKeys(&statement, values);
}

/* Every key that has a secret. */
List *
StoreKeysSecret(void)
{
    static Statement statement = {"SELECT " KEY_COLUMNS
                                  " FROM auth.signing_keys k WHERE k.secret IS NOT NULL AND"
                                  " (k.retired_at IS NULL OR k.sealed_by IS NULL)",
                                  0,
                                  {0},
                                  NULL};

    return ReadKeys(&statement, NULL);
}

/* A bytea parameter that may be NULL, and the ' ' or 'n' that says so. */
static Datum
BytesDatum(const bytea *bytes, char *null)
{
    *null = bytes ? ' ' : 'n';
    return PointerGetDatum(bytes);
}

/*
 * Make this the newest key, which signs from then on; false where another one became that first.  Where the
 * other's transaction is not over yet, this waits for it.
 */
bool
StoreKeyInsert(const KeyRow *key, TimestampTz signs_from)
{
    static Statement statement = {
        "INSERT INTO auth.signing_keys (kid, algorithm, secret, public_key, sealed_by, is_active,"
        " created_at, signs_from) VALUES ($1, $2, $3, $4, $5, true, $6, $7)"
        " ON CONFLICT (is_active) WHERE is_active DO NOTHING",
        7,
        {TEXTOID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
        NULL};
    char nulls[] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};
    Datum values[] = {
        CStringGetTextDatum(key->kid),          CStringGetTextDatum(key->algorithm),
        BytesDatum(key->secret, &nulls[2]),     BytesDatum(key->public_key, &nulls[3]),
        KekIdDatum(&key->sealed_by, &nulls[4]), TimestampTzGetDatum(GetCurrentTimestamp()),
        TimestampTzGetDatum(signs_from)};

    return StoreExecute(&statement, values, nulls) == 1;
}

/* From here to the end of the transaction nobody else changes the keys; reading goes on. */
void
StoreKeysLock(void)
{
    StoreCommand("LOCK TABLE auth.signing_keys IN SHARE ROW EXCLUSIVE MODE");
}

/*
 * Make room for a newest key: the key that signs, and those that were yet to, verify until then.  Those
 * never sign.  What verifies no longer is deleted.
 */
void
StoreKeysRetire(const char *signing_kid, TimestampTz now, TimestampTz verify_until)
{
    static Statement retire = {
        "UPDATE auth.signing_keys k SET is_active = false, verifies_until = $3, signs_from ="
        " CASE WHEN k.kid" EQ "$1 THEN LEAST(k.signs_from, $2) ELSE 'infinity' END"
        " WHERE " IS_OUR_OWN " AND (k.kid" EQ "$1 OR k.signs_from OPERATOR(pg_catalog.>) $2 OR"
        " k.is_active) AND k.signs_from OPERATOR(pg_catalog.<) 'infinity'",
        3,
        {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
        NULL};
    static Statement clean = {"DELETE FROM auth.signing_keys k WHERE k.imported_until IS NULL"
                              " AND k.verifies_until OPERATOR(pg_catalog.<=) $1",
                              1,
                              {TIMESTAMPTZOID},
                              NULL};
    Datum values[] = {CStringGetTextDatum(signing_kid), TimestampTzGetDatum(now),
                      TimestampTzGetDatum(verify_until)};

    StoreExecute(&retire, values, NULL);
    StoreExecute(&clean, &values[1], NULL);
}

/*
 * Delete a key; false where there is none that verifies.  Of an imported one the row stays, retired: it tells
 * the next import whether that is another service's.
 */
bool
StoreKeyDrop(const char *kid, TimestampTz now)
{
    static Statement retire = {"UPDATE auth.signing_keys k SET retired_at = $2 WHERE k.kid" EQ
                               "$1 AND k.imported_until IS NOT NULL AND k.retired_at IS NULL",
                               2,
                               {TEXTOID, TIMESTAMPTZOID},
                               NULL};
    static Statement delete = {"DELETE FROM auth.signing_keys k WHERE k.kid" EQ
                               "$1 AND k.imported_until IS NULL",
                               1,
                               {TEXTOID},
                               NULL};
    Datum values[] = {CStringGetTextDatum(kid), TimestampTzGetDatum(now)};

    return StoreExecute(&retire, values, NULL) == 1 || StoreExecute(&delete, values, NULL) == 1;
}

/* Write the key's secret, which was sealed anew. */
void
StoreKeyWrap(const KeyRow *key)
{
    static Statement statement = {
        "UPDATE auth.signing_keys k SET secret = $2, sealed_by = $3 WHERE k.kid" EQ "$1",
        3,
        {TEXTOID, BYTEAOID, BYTEAOID},
        NULL};
    char nulls[] = {' ', ' ', ' '};
    Datum values[] = {CStringGetTextDatum(key->kid), BytesDatum(key->secret, &nulls[1]),
                      KekIdDatum(&key->sealed_by, &nulls[2])};

    StoreRequireSeen(StoreExecute(&statement, values, nulls) == 1);
}

/* Keep a key of another service, for its tokens that expire by then, in place of the one before. */
void
StoreKeyImport(const KeyRow *key, TimestampTz until)
{
    static Statement statement = {
        "WITH retired AS (UPDATE auth.signing_keys k SET retired_at = $6"
        " WHERE k.imported_until IS NOT NULL AND k.retired_at IS NULL)"
        " INSERT INTO auth.signing_keys (kid, algorithm, secret, public_key, sealed_by, is_active,"
        " created_at, imported_until) VALUES ($1, $2, $3, $4, $5, false, $6, $7)",
        7,
        {TEXTOID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
        NULL};
    char nulls[] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};
    Datum values[] = {CStringGetTextDatum(key->kid),
                      CStringGetTextDatum(key->algorithm),
                      BytesDatum(key->secret, &nulls[2]),
                      BytesDatum(key->public_key, &nulls[3]),
                      KekIdDatum(&key->sealed_by, &nulls[4]),
                      TimestampTzGetDatum(GetCurrentTimestamp()),
                      TimestampTzGetDatum(until)};

    StoreExecute(&statement, values, nulls);
}

/* The last key that was imported, retired or not; false where there is none. */
bool
StoreKeyLastImported(KeyRow *key)
{
    static Statement statement = {"SELECT " KEY_COLUMNS
                                  " FROM auth.signing_keys k WHERE k.imported_until IS NOT NULL"
                                  " ORDER BY k.created_at DESC LIMIT 1",
                                  0,
                                  {0},
                                  NULL};

    return ReadKey(&statement, NULL, key);
}

/* The kids of the imported keys that may still verify, with blanks between; "" where there is none. */
char *
StoreImportedKids(TimestampTz now)
{
    static Statement statement = {
        "SELECT COALESCE(pg_catalog.string_agg(k.kid, ' '), '') FROM auth.signing_keys k"
        " WHERE k.imported_until OPERATOR(pg_catalog.>) $1 AND k.retired_at IS NULL",
        1,
        {TIMESTAMPTZOID},
        NULL};
    Datum values[] = {TimestampTzGetDatum(now)};
    StoreCall call;
    char *kids;

    StoreBegin(&call);
    StoreRead(&statement, values);
    kids = ColumnText(&call, 1);
    StoreEnd(&call);
    return kids;
}
