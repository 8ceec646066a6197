/* SPDX-License-Identifier: MIT
 *
 * store_key.c: the statements on auth.signing_keys.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "store.h"
#include "store_statement.h"

static bool
ReadKey(Statement *statement, const Datum *values, SigningKey *key)
{
    StoreCall call;
    bool found;
    bool is_null;

    StoreBegin(&call);
    found = StoreRead(statement, values) == 1;
    if (found) {
        bytea *secret = DatumGetByteaPP(ColumnNotNull(3));

        memset(key, 0, sizeof(*key));
        strlcpy(key->kid, ColumnText(&call, 1), sizeof(key->kid));
        strlcpy(key->algorithm, ColumnText(&call, 2), sizeof(key->algorithm));
        if (VARSIZE_ANY_EXHDR(secret) < AUTH_HMAC_KEY_BYTES_MIN ||
            VARSIZE_ANY_EXHDR(secret) > AUTH_HMAC_KEY_BYTES_MAX)
            elog(ERROR, "a signing key has an impossible length");
        key->secret_size = (int)VARSIZE_ANY_EXHDR(secret);
        memcpy(key->secret, VARDATA_ANY(secret), (Size)key->secret_size);
        key->imported_until = DatumGetTimestampTz(Column(4, &is_null));
        if (is_null)
            key->imported_until = 0;
    }
    StoreEnd(&call);
    return found;
}

bool
StoreKeyFind(const char *kid, SigningKey *key)
{
    static Statement statement = {
        "SELECT k.kid, k.algorithm, k.secret, k.imported_until FROM auth.signing_keys k"
        " WHERE k.kid" EQ "$1 AND k.retired_at IS NULL",
        1,
        {TEXTOID},
        NULL};
    Datum values[] = {CStringGetTextDatum(kid)};

    return ReadKey(&statement, values, key);
}

bool
StoreKeyActive(SigningKey *key)
{
    static Statement statement = {"SELECT k.kid, k.algorithm, k.secret, k.imported_until FROM "
                                  "auth.signing_keys k WHERE k.is_active",
                                  0,
                                  {0},
                                  NULL};

    return ReadKey(&statement, NULL, key);
}

static Datum
SecretDatum(const SigningKey *key)
{
    bytea *secret = palloc(VARHDRSZ + (Size)key->secret_size);

    SET_VARSIZE(secret, VARHDRSZ + key->secret_size);
    memcpy(VARDATA(secret), key->secret, (Size)key->secret_size);
    return PointerGetDatum(secret);
}

/*
 * Make this the active key; false where another one became that first.  Where the other's transaction
 * is not over yet, this waits for it.
 */
bool
StoreKeyInsert(const SigningKey *key)
{
    static Statement statement = {
        "INSERT INTO auth.signing_keys (kid, algorithm, secret, is_active, created_at)"
        " VALUES ($1, $2, $3, true, $4) ON CONFLICT (is_active) WHERE is_active DO NOTHING",
        4,
        {TEXTOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {CStringGetTextDatum(key->kid), CStringGetTextDatum(key->algorithm),
                      SecretDatum(key), TimestampTzGetDatum(GetCurrentTimestamp())};

    return StoreExecute(&statement, values, NULL) == 1;
}

/* Keep a key of another service, for its tokens that expire by then, in place of the one before. */
void
StoreKeyImport(const SigningKey *key, TimestampTz until)
{
    static Statement statement = {
        "WITH retired AS (UPDATE auth.signing_keys k SET retired_at = $4"
        " WHERE k.imported_until IS NOT NULL AND k.retired_at IS NULL)"
        " INSERT INTO auth.signing_keys (kid, algorithm, secret, is_active, created_at,"
        " imported_until) VALUES ($1, $2, $3, false, $4, $5)",
        5,
        {TEXTOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {CStringGetTextDatum(key->kid), CStringGetTextDatum(key->algorithm),
                      SecretDatum(key), TimestampTzGetDatum(GetCurrentTimestamp()),
                      TimestampTzGetDatum(until)};

    StoreExecute(&statement, values, NULL);
}

/* Whether the last key that was imported has another secret: it was another service's. */
bool
StoreKeyIsOther(const SigningKey *key)
{
    static Statement statement = {
        "SELECT k.secret OPERATOR(pg_catalog.<>) $1 FROM auth.signing_keys k"
        " WHERE k.imported_until IS NOT NULL ORDER BY k.created_at DESC LIMIT 1",
        1,
        {BYTEAOID},
        NULL};
    Datum values[] = {SecretDatum(key)};
    StoreCall call;
    bool is_other;

    StoreBegin(&call);
    is_other = StoreRun(&statement, values, NULL) == 1 && DatumGetBool(ColumnNotNull(1));
    StoreEnd(&call);
    return is_other;
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
