/* SPDX-License-Identifier: MIT
 *
 * store_session.c: the statements on auth.sessions.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "store.h"
#include "store_statement.h"

void
StoreSessionInsert(int64 user_id, const pg_uuid_t *id, const unsigned char *refresh_key,
                   TimestampTz now, TimestampTz expires_at, text *user_agent, Datum ip, bool has_ip)
{
    static Statement statement = {
        "INSERT INTO auth.sessions (user_id, id, refresh_key, refresh_counter, created_at,"
        " last_used_at, expires_at, user_agent, ip)"
        " VALUES ($1, $2, $3, 0, $4, $4, $5, pg_catalog.left($6, 512), $7)",
        7,
        {INT8OID, UUIDOID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INETOID},
        NULL};
    bytea *key = palloc(VARHDRSZ + AUTH_REFRESH_KEY_BYTES);
    Datum values[] = {Int64GetDatum(user_id),
                      UUIDPGetDatum(id),
                      PointerGetDatum(key),
                      TimestampTzGetDatum(now),
                      TimestampTzGetDatum(expires_at),
                      PointerGetDatum(user_agent),
                      ip};
    char nulls[] = {' ', ' ', ' ', ' ', ' ', user_agent ? ' ' : 'n', has_ip ? ' ' : 'n'};

    SET_VARSIZE(key, VARHDRSZ + AUTH_REFRESH_KEY_BYTES);
    memcpy(VARDATA(key), refresh_key, AUTH_REFRESH_KEY_BYTES);
    StoreExecute(&statement, values, nulls);
}

/*
 * The account behind an access token, and whether session and key stand; false where there is no
 * such account.  This is the statement that every request runs.
 */
bool
StoreSessionFind(int64 user_id, const pg_uuid_t *id, const char *kid, SessionRow *session)
{
    static Statement statement = {
        "SELECT u.role" EQ "'admin', u.blocked_at IS NOT NULL, s.expires_at, u.last_activity_at,"
        " EXISTS (SELECT FROM auth.signing_keys k WHERE k.kid" EQ "$3 AND k.retired_at IS NULL)"
        " FROM auth.users u LEFT JOIN auth.sessions s ON s.user_id" EQ "u.id AND s.user_id" EQ
        "$1 AND s.id" EQ "$2 WHERE u.id" EQ "$1 AND u.deleted_at IS NULL",
        3,
        {INT8OID, UUIDOID, TEXTOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id), UUIDPGetDatum(id), CStringGetTextDatum(kid)};
    StoreCall call;
    bool found;
    bool is_null;

    StoreBegin(&call);
    found = StoreRun(&statement, values, NULL) == 1;
    if (found) {
        memset(session, 0, sizeof(*session));
        session->role = DatumGetBool(ColumnNotNull(1)) ? USER_ROLE_ADMIN : USER_ROLE_USER;
        session->is_blocked = DatumGetBool(ColumnNotNull(2));
        session->expires_at = DatumGetTimestampTz(Column(3, &is_null));
        session->exists = !is_null;
        session->last_activity_at = DatumGetTimestampTz(Column(4, &is_null));
        if (is_null)
            session->last_activity_at = DT_NOBEGIN;
        session->key_verifies = DatumGetBool(ColumnNotNull(5));
    }
    StoreEnd(&call);
    return found;
}

/* The session for a refresh, its row locked until the transaction ends. */
bool
StoreSessionLock(int64 user_id, const pg_uuid_t *id, SessionRow *session)
{
    static Statement statement = {
        "SELECT u.role" EQ "'admin', u.blocked_at IS NOT NULL, s.expires_at, s.last_used_at,"
        " s.refresh_counter, s.refresh_key FROM auth.sessions s JOIN auth.users u ON u.id" EQ
        "s.user_id WHERE s.user_id" EQ "$1 AND s.id" EQ "$2 AND u.deleted_at IS NULL"
        " FOR NO KEY UPDATE OF s",
        2,
        {INT8OID, UUIDOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id), UUIDPGetDatum(id)};
    StoreCall call;
    bool found;

    StoreBegin(&call);
    found = StoreRun(&statement, values, NULL) == 1;
    if (found) {
        bytea *key = DatumGetByteaPP(ColumnNotNull(6));

        memset(session, 0, sizeof(*session));
        session->exists = true;
        session->role = DatumGetBool(ColumnNotNull(1)) ? USER_ROLE_ADMIN : USER_ROLE_USER;
        session->is_blocked = DatumGetBool(ColumnNotNull(2));
        session->expires_at = DatumGetTimestampTz(ColumnNotNull(3));
        session->last_used_at = DatumGetTimestampTz(ColumnNotNull(4));
        session->refresh_counter = DatumGetInt64(ColumnNotNull(5));
        if (VARSIZE_ANY_EXHDR(key) != AUTH_REFRESH_KEY_BYTES)
            elog(ERROR, "a session's refresh key has not its length");
        memcpy(session->refresh_key, VARDATA_ANY(key), AUTH_REFRESH_KEY_BYTES);
    }
    StoreEnd(&call);
    return found;
}

/* Note a refresh: the counter that is now current, and the time. */
void
StoreSessionStep(int64 user_id, const pg_uuid_t *id, int64 counter, TimestampTz now)
{
    static Statement statement = {
        "UPDATE auth.sessions s SET refresh_counter = $3, last_used_at = $4"
        " WHERE s.user_id" EQ "$1 AND s.id" EQ "$2",
        4,
        {INT8OID, UUIDOID, INT8OID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id), UUIDPGetDatum(id), Int64GetDatum(counter),
                      TimestampTzGetDatum(now)};

    StoreExecute(&statement, values, NULL);
}

void
StoreSessionDelete(int64 user_id, const pg_uuid_t *id)
{
    static Statement statement = {"DELETE FROM auth.sessions s WHERE s.user_id" EQ "$1 AND s.id" EQ
                                  "$2",
                                  2,
                                  {INT8OID, UUIDOID},
                                  NULL};
    Datum values[] = {Int64GetDatum(user_id), UUIDPGetDatum(id)};

    StoreExecute(&statement, values, NULL);
}

/* Delete every session of a user. */
void
StoreSessionsDelete(int64 user_id)
{
    static Statement statement = {
        "DELETE FROM auth.sessions s WHERE s.user_id" EQ "$1", 1, {INT8OID}, NULL};
    Datum values[] = {Int64GetDatum(user_id)};

    StoreExecute(&statement, values, NULL);
}
