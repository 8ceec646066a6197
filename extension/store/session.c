/* SPDX-License-Identifier: MIT
 *
 * session.c: a session of auth.sessions, and what it stands on, its account and a key.
 *
 * It is found, locked and stepped on by its primary key, without a statement (row.h): requests with a token do
 * that all the time.  Sessions are made and ended, and other uses of them noted, by statements.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/compat.h"
#include "base/types.h"
#include "store/row.h"
#include "store/session.h"
#include "store/statement.h"

const pg_uuid_t no_session = {{0}};

/* A new session; the token is its first. */
void
StoreSessionInsert(const RefreshToken *token, const unsigned char *refresh_key,
                   const KekId *sealed_by, TimestampTz now, TimestampTz expires_at,
                   text *user_agent, Datum ip, bool has_ip)
{
    static Statement statement = {
        "INSERT INTO auth.sessions (user_id, id, refresh_key, refresh_counter, refresh_nonce,"
        " previous_nonce, created_at, last_used_at, expires_at, user_agent, ip, sealed_by)"
        " VALUES ($1, $2, $3, 0, $4, $4, $5, $5, $6, pg_catalog.left($7, 512), $8, $9)",
        9,
        {INT8OID, UUIDOID, BYTEAOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INETOID,
         BYTEAOID},
        NULL};
    bytea *key = palloc(VARHDRSZ + AUTH_REFRESH_KEY_BYTES);
    char nulls[] = {' ', ' ', ' ', ' ', ' ', ' ', user_agent ? ' ' : 'n', has_ip ? ' ' : 'n', ' '};
    Datum values[] = {Int64GetDatum(token->user_id),
                      UUIDPGetDatum(&token->session_id),
                      PointerGetDatum(key),
                      Int64GetDatum(token->generation.nonce),
                      TimestampTzGetDatum(now),
                      TimestampTzGetDatum(expires_at),
                      PointerGetDatum(user_agent),
                      ip,
                      KekIdDatum(sealed_by, &nulls[8])};

    SET_VARSIZE(key, VARHDRSZ + AUTH_REFRESH_KEY_BYTES);
    memcpy(VARDATA(key), refresh_key, AUTH_REFRESH_KEY_BYTES);
    StoreExecute(&statement, values, nulls);
}

static int64
ReadInt64(const char *from)
{
    uint64 swapped;

    memcpy(&swapped, from, 8);
    return (int64)pg_ntoh64(swapped);
}

/* sessions.older_generations: 16 bytes each, nonce and time, the last first; NULL: none. */
static void
ReadOlder(Datum value, bool is_null, SessionRow *session)
{
    bytea *older;
    int i;

    if (is_null)
        return;
    older = DatumGetByteaPP(value);
    session->older_count = (int)Min(VARSIZE_ANY_EXHDR(older) / 16, AUTH_OLDER_GENERATIONS);
    for (i = 0; i < session->older_count; i++) {
        const char *entry = VARDATA_ANY(older) + 16 * i;

        session->older[i] = (OlderGeneration){ReadInt64(entry), ReadInt64(entry + 8)};
    }
}

void
ColumnOlder(int number, SessionRow *session)
{
    bool is_null;
    Datum value = Column(number, &is_null);

    ReadOlder(value, is_null, session);
}

/* Whether this key, "" for none, is there and not retired. */
static bool
KeyStands(const char *kid, TimestampTz now)
{
    Row key;
    Datum until;
    bool forever;
    bool stands;

    if (kid[0] == '\0' ||
        !RowFind(&row_signing_keys, &(RowKey){F_TEXTEQ, CStringGetTextDatum(kid)}, 1, &key))
        return false;
    until = RowColumn(&key, SIGNING_KEYS_VERIFIES_UNTIL, &forever);
    stands =
        RowIsNull(&key, SIGNING_KEYS_RETIRED_AT) && (forever || now < DatumGetTimestampTz(until));
    RowEnd(&key);
    return stands;
}

static void
ReadSession(const Row *row, SessionRow *session)
{
    Datum older;
    bool is_null;

    session->exists = true;
    session->expires_at = DatumGetTimestampTz(RowColumnNotNull(row, SESSIONS_EXPIRES_AT));
    session->last_used_at = DatumGetTimestampTz(RowColumnNotNull(row, SESSIONS_LAST_USED_AT));
    session->generation.counter = DatumGetInt64(RowColumnNotNull(row, SESSIONS_REFRESH_COUNTER));
    session->generation.nonce = DatumGetInt64(RowColumnNotNull(row, SESSIONS_REFRESH_NONCE));
    session->previous_nonce = DatumGetInt64(RowColumnNotNull(row, SESSIONS_PREVIOUS_NONCE));
    older = RowColumn(row, SESSIONS_OLDER_GENERATIONS, &is_null);
    ReadOlder(older, is_null, session);
}

static void
ReadUser(const Row *row, SessionRow *session)
{
    bool is_null;
    Datum last_activity_at = RowColumn(row, USERS_LAST_ACTIVITY_AT, &is_null);

    session->role = RowIsAdmin(row) ? USER_ROLE_ADMIN : USER_ROLE_USER;
    session->is_blocked = !RowIsNull(row, USERS_BLOCKED_AT);
    session->last_activity_at = is_null ? DT_NOBEGIN : DatumGetTimestampTz(last_activity_at);
}

/*
 * The account behind a session, and whether session and key stand; false where there is no such
 * account.  kid: the key asked for, "" for none.  This is what every request asks.
 */
bool
StoreSessionFind(int64 user_id, const pg_uuid_t *id, const char *kid, SessionRow *session)
{
    Row user;
    Row row;
    bool found;

    memset(session, 0, sizeof(*session));
    RowsBegin();
    found = RowFindUser(user_id, &user);
    if (found) {
        ReadUser(&user, session);
        if (IsNoSession(id)) {
            session->exists = DatumGetBool(RowColumnNotNull(&user, USERS_TAKES_IMPORTED_TOKENS));
            session->expires_at = DT_NOEND;
        } else if (RowFindSession(user_id, id, &row)) {
            ReadSession(&row, session);
            RowEnd(&row);
        }
        RowEnd(&user);
        session->key_verifies = KeyStands(kid, GetCurrentTimestamp());
    }
    RowsEnd();
    return found;
}

/*
 * The session's key as it lies in the table, AUTH_REFRESH_KEY_BYTES long, and what sealed it; false where
 * there is no such session.
 */
bool
StoreSessionKey(int64 user_id, const pg_uuid_t *id, unsigned char *refresh_key, KekId *sealed_by)
{
    Row row;
    bool found;

    RowsBegin();
    found = RowFindSession(user_id, id, &row);
    if (found) {
        bytea *key = DatumGetByteaPP(RowColumnNotNull(&row, SESSIONS_REFRESH_KEY));
        bool is_null;
        Datum seal = RowColumn(&row, SESSIONS_SEALED_BY, &is_null);

        if (VARSIZE_ANY_EXHDR(key) != AUTH_REFRESH_KEY_BYTES)
            elog(ERROR, "a session's refresh key has not its length");
        memcpy(refresh_key, VARDATA_ANY(key), AUTH_REFRESH_KEY_BYTES);
        *sealed_by = KekIdOfDatum(seal, is_null);
        RowEnd(&row);
    }
    RowsEnd();
    return found;
}

/* The session for a refresh, its row locked until the transaction ends. */
bool
StoreSessionLock(int64 user_id, const pg_uuid_t *id, SessionRow *session)
{
    Row row;
    bool found;

    memset(session, 0, sizeof(*session));
    RowsBegin();
    if (RowFindSession(user_id, id, &row) && RowLock(&row)) {
        ReadSession(&row, session);
        RowEnd(&row);
    }
    RowsEnd();
    /* The account as of the moment after the wait for the lock. */
    RowsBegin();
    found = session->exists && RowFindUser(user_id, &row);
    if (found) {
        ReadUser(&row, session);
        RowEnd(&row);
    }
    RowsEnd();
    return found;
}

static char *
WriteInt64(char *to, int64 value)
{
    uint64 swapped = pg_hton64((uint64)value);

    memcpy(to, &swapped, 8);
    return to + 8;
}

/* sessions.older_generations with the previous one before the others; see ReadOlder. */
static Datum
WriteOlder(const Row *row)
{
    bool is_null;
    Datum value = RowColumn(row, SESSIONS_OLDER_GENERATIONS, &is_null);
    bytea *before = is_null ? NULL : DatumGetByteaPP(value);
    Size kept =
        before == NULL ? 0 : Min(VARSIZE_ANY_EXHDR(before), (AUTH_OLDER_GENERATIONS - 1) * 16);
    bytea *older = palloc(VARHDRSZ + 16 + kept);
    char *to = VARDATA(older);

    to = WriteInt64(to, DatumGetInt64(RowColumnNotNull(row, SESSIONS_PREVIOUS_NONCE)));
    to = WriteInt64(to, DatumGetTimestampTz(RowColumnNotNull(row, SESSIONS_LAST_USED_AT)));
    if (kept > 0)
        memcpy(to, VARDATA_ANY(before), kept);
    SET_VARSIZE(older, VARHDRSZ + 16 + kept);
    return PointerGetDatum(older);
}

static void
Step(const Row *row, const RefreshToken *token, TimestampTz now)
{
    static Statement statement = {
        "UPDATE auth.sessions s SET refresh_counter = $3, refresh_nonce = $4, previous_nonce = $5,"
        " older_generations = $6, last_used_at = $7 WHERE s.user_id" EQ "$1 AND s.id" EQ "$2",
        7,
        {INT8OID, UUIDOID, INT8OID, INT8OID, INT8OID, BYTEAOID, TIMESTAMPTZOID},
        NULL};
    /* Those that $3 and on are for. */
    static const int columns[] = {SESSIONS_REFRESH_COUNTER, SESSIONS_REFRESH_NONCE,
                                  SESSIONS_PREVIOUS_NONCE, SESSIONS_OLDER_GENERATIONS,
                                  SESSIONS_LAST_USED_AT};
    Datum values[] = {Int64GetDatum(token->user_id),
                      UUIDPGetDatum(&token->session_id),
                      Int64GetDatum(token->generation.counter),
                      Int64GetDatum(token->generation.nonce),
                      RowColumnNotNull(row, SESSIONS_REFRESH_NONCE),
                      WriteOlder(row),
                      TimestampTzGetDatum(now)};

    if (RowIsPlain(row))
        RowUpdate(row, columns, &values[2], lengthof(columns));
    else if (StoreExecute(&statement, values, NULL) != 1)
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("a trigger or rule on auth.sessions keeps a session from being refreshed"));
}

/*
 * Make this token's generation the session's current one, whose row is locked.  The row remembers so many before
 * it: by their nonces a pair of a refresh that rolled back is told from one of theirs.  A statement takes nearly
 * twice as long for it (95,000 instructions instead of 53,000).
 */
void
StoreSessionStep(const RefreshToken *token, TimestampTz now)
{
    Row row;

    RowsBegin();
    if (!RowFindSession(token->user_id, &token->session_id, &row))
        elog(ERROR, "a session that was locked has gone");
    Step(&row, token, now);
    RowEnd(&row);
    RowsEnd();
}

/* Note a use that was no step. */
void
StoreSessionTouch(int64 user_id, const pg_uuid_t *id, TimestampTz now)
{
    static Statement statement = {"UPDATE auth.sessions s SET last_used_at = $3 WHERE s.user_id" EQ
                                  "$1 AND s.id" EQ "$2",
                                  3,
                                  {INT8OID, UUIDOID, TIMESTAMPTZOID},
                                  NULL};
    Datum values[] = {Int64GetDatum(user_id), UUIDPGetDatum(id), TimestampTzGetDatum(now)};

    StoreExecute(&statement, values, NULL);
}

/* Whether there was such a session. */
bool
StoreSessionDelete(int64 user_id, const pg_uuid_t *id)
{
    static Statement statement = {"DELETE FROM auth.sessions s WHERE s.user_id" EQ "$1 AND s.id" EQ
                                  "$2",
                                  2,
                                  {INT8OID, UUIDOID},
                                  NULL};
    Datum values[] = {Int64GetDatum(user_id), UUIDPGetDatum(id)};

    return StoreExecute(&statement, values, NULL) == 1;
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
