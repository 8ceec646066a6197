/* SPDX-License-Identifier: MIT
 *
 * session_list.c: the statements on many sessions of an account, and on all that is known of one.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/compat.h"
#include "base/types.h"
#include "store/session.h"
#include "store/statement.h"
#include "store/store.h"

/* Of auth.sessions: it can be refreshed. $3: now; $4: who was not used since is over. */
#define LIVES(s)                                                                                   \
    s ".expires_at OPERATOR(pg_catalog.>) $3 AND " s ".last_used_at OPERATOR(pg_catalog.>) $4"

/* All that is known of an account and a session of it; false where there is no such account. */
bool
StoreSessionDescribe(int64 user_id, const pg_uuid_t *id, SessionDescription *description)
{
    static Statement statement = {
        "SELECT u.role" EQ
        "'admin', u.blocked_at IS NOT NULL, u.email, s.refresh_key, s.created_at,"
        " s.last_used_at, s.expires_at, s.refresh_counter, s.refresh_nonce, s.previous_nonce,"
        " s.older_generations, s.sealed_by FROM auth.users u LEFT JOIN auth.sessions s ON "
        "s.user_id" EQ "u.id AND s.user_id" EQ "$1 AND s.id" EQ "$2 WHERE u.id" EQ
        "$1 AND u.deleted_at IS NULL",
        2,
        {INT8OID, UUIDOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id), UUIDPGetDatum(id)};
    SessionRow *session = &description->session;
    StoreCall call;
    bool found;
    bool is_null;

    memset(description, 0, sizeof(*description));
    StoreBegin(&call);
    found = StoreRead(&statement, values) == 1;
    if (found) {
        Datum key = Column(4, &is_null);

        session->exists = !is_null;
        session->role = ColumnRole(1);
        session->is_blocked = DatumGetBool(ColumnNotNull(2));
        description->email = ColumnText(&call, 3);
        if (session->exists) {
            bytea *bytes = DatumGetByteaPP(key);

            if (VARSIZE_ANY_EXHDR(bytes) != AUTH_REFRESH_KEY_BYTES)
                elog(ERROR, "a session's refresh key has not its length");
            memcpy(description->refresh_key, VARDATA_ANY(bytes), AUTH_REFRESH_KEY_BYTES);
            description->created_at = DatumGetTimestampTz(ColumnNotNull(5));
            session->last_used_at = DatumGetTimestampTz(ColumnNotNull(6));
            session->expires_at = DatumGetTimestampTz(ColumnNotNull(7));
            session->generation.counter = DatumGetInt64(ColumnNotNull(8));
            session->generation.nonce = DatumGetInt64(ColumnNotNull(9));
            session->previous_nonce = DatumGetInt64(ColumnNotNull(10));
            ColumnOlder(11, session);
            description->sealed_by = ColumnKekId(12);
        }
    }
    StoreEnd(&call);
    return found;
}

/* The account's living sessions, the last used first: columns as in auth.session. */
void
StoreListSessions(int64 user_id, const pg_uuid_t *current, TimestampTz now, TimestampTz idle_since,
                  StoreRowSink sink, void *context)
{
    static Statement statement = {
        "SELECT s.id, s.created_at, s.last_used_at, s.user_agent, s.ip, s.id" EQ "$2"
        " FROM auth.sessions s WHERE s.user_id" EQ
        "$1 AND " LIVES("s") " ORDER BY s.last_used_at DESC, s.id",
        4,
        {INT8OID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id), UUIDPGetDatum(current), TimestampTzGetDatum(now),
                      TimestampTzGetDatum(idle_since)};
    StoreCall call;

    StoreBegin(&call);
    RowsToSink(StoreRead(&statement, values), PG_UINT64_MAX, sink, context);
    StoreEnd(&call);
}

/* Run a statement that deletes and answers how many; the count of those that lived. */
static int64
DeleteAndCount(Statement *statement, const Datum *values)
{
    StoreCall call;
    int64 count;

    StoreBegin(&call);
    StoreRun(statement, values, NULL);
    count = DatumGetInt64(ColumnNotNull(1));
    StoreEnd(&call);
    return count;
}

/* Delete the account's sessions but this one; how many of them lived. */
int64
StoreOtherSessionsDelete(int64 user_id, const pg_uuid_t *kept, TimestampTz now,
                         TimestampTz idle_since)
{
    static Statement statement = {
        "WITH ended AS (DELETE FROM auth.sessions s WHERE s.user_id" EQ
        "$1 AND s.id OPERATOR(pg_catalog.<>) $2 RETURNING s.expires_at, s.last_used_at)"
        " SELECT pg_catalog.count(*) FROM ended WHERE " LIVES("ended"),
        4,
        {INT8OID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id), UUIDPGetDatum(kept), TimestampTzGetDatum(now),
                      TimestampTzGetDatum(idle_since)};

    return DeleteAndCount(&statement, values);
}

/* Delete the account's sessions that were used longest ago, beyond so many that live; how many. */
int64
StoreSessionsLimit(int64 user_id, int64 kept, TimestampTz now, TimestampTz idle_since)
{
    /* Whoever is being refreshed at this moment is not the one that was used longest ago. */
    static Statement lock = {"SELECT FROM auth.sessions s WHERE s.user_id" EQ
                             "$1 ORDER BY s.id FOR NO KEY UPDATE",
                             1,
                             {INT8OID},
                             NULL};
    static Statement statement = {
        "WITH ended AS (DELETE FROM auth.sessions s WHERE s.user_id" EQ "$1 AND s.id" EQ
        "ANY (SELECT o.id FROM auth.sessions o WHERE o.user_id" EQ
        "$1 AND " LIVES("o") " ORDER BY o.last_used_at DESC, o.id OFFSET $2) RETURNING s.id)"
                             " SELECT pg_catalog.count(*) FROM ended",
        4,
        {INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id), Int64GetDatum(kept), TimestampTzGetDatum(now),
                      TimestampTzGetDatum(idle_since)};

    StoreExecute(&lock, values, NULL);
    return DeleteAndCount(&statement, values);
}
