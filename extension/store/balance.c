/* SPDX-License-Identifier: MIT
 *
 * balance.c: the statements on balances: users.balance, and the ledger that it is the sum of.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/balance.h"
#include "store/statement.h"

/* The balance of a user whose session stands; false where it, or the account, does not. */
bool
StoreBalanceFind(int64 user_id, const pg_uuid_t *session_id, TimestampTz now, int64 *balance)
{
    static Statement statement = {"SELECT u.balance FROM auth.users u WHERE " SESSION_STANDS,
                                  3,
                                  {INT8OID, UUIDOID, TIMESTAMPTZOID},
                                  NULL};
    Datum values[] = {Int64GetDatum(user_id), UUIDPGetDatum(session_id), TimestampTzGetDatum(now)};
    StoreCall call;
    bool found;

    StoreBegin(&call);
    found = StoreRead(&statement, values) == 1;
    if (found)
        *balance = DatumGetInt64(ColumnNotNull(1));
    StoreEnd(&call);
    return found;
}

/* The entry that this actor's idempotency key made; false where there is none.  actor_id 0: none. */
bool
StoreEntryFind(int64 user_id, int64 actor_id, text *idempotency_key, int64 *amount, int64 *balance)
{
    static Statement statement = {
        "SELECT e.amount, e.balance FROM auth.balance_entries e WHERE e.user_id" EQ
        "$1 AND COALESCE(e.actor_id, 0)" EQ "$2 AND e.idempotency_key" EQ
        "$3 AND e.idempotency_key IS NOT NULL",
        3,
        {INT8OID, INT8OID, TEXTOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id), Int64GetDatum(actor_id),
                      PointerGetDatum(idempotency_key)};
    StoreCall call;
    bool found;

    StoreBegin(&call);
    found = StoreRun(&statement, values, NULL) == 1;
    if (found) {
        *amount = DatumGetInt64(ColumnNotNull(1));
        *balance = DatumGetInt64(ColumnNotNull(2));
    }
    StoreEnd(&call);
    return found;
}

/* Add an entry; the account's row is locked, or new. */
void
StoreEntryInsert(int64 user_id, int64 amount, int64 balance, text *idempotency_key, int64 actor_id,
                 TimestampTz now)
{
    static Statement statement = {
        "INSERT INTO auth.balance_entries (user_id, number, amount, balance, idempotency_key,"
        " actor_id, created_at) VALUES ($1, 1 OPERATOR(pg_catalog.+) COALESCE((SELECT e.number"
        " FROM auth.balance_entries e WHERE e.user_id" EQ "$1 ORDER BY e.number DESC LIMIT 1), 0),"
        " $2, $3, $4, $5, $6)",
        6,
        {INT8OID, INT8OID, INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id),  Int64GetDatum(amount),
                      Int64GetDatum(balance),  PointerGetDatum(idempotency_key),
                      Int64GetDatum(actor_id), TimestampTzGetDatum(now)};
    char nulls[] = {' ', ' ', ' ', idempotency_key ? ' ' : 'n', actor_id > 0 ? ' ' : 'n', ' '};

    StoreExecute(&statement, values, nulls);
}

/* Make this the balance of an account whose row is locked. */
void
StoreBalanceUpdate(int64 user_id, int64 balance, TimestampTz now)
{
    static Statement statement = {
        "UPDATE auth.users u SET balance = $2, updated_at = $3 WHERE u.id" EQ "$1",
        3,
        {INT8OID, INT8OID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id), Int64GetDatum(balance), TimestampTzGetDatum(now)};

    if (StoreExecute(&statement, values, NULL) != 1)
        elog(ERROR, "a locked account has gone");
}
