/* SPDX-License-Identifier: MIT
 *
 * row.h: a row by its primary key, without a statement; for this room alone.
 *
 * What every request asks for is two or three rows by their keys.  As a statement that took four times as
 * long, most of it to start and end an executor.
 */
#ifndef AUTH_SERVICE_STORE_ROW_H
#define AUTH_SERVICE_STORE_ROW_H

#include "access/genam.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"

#define ROW_COLUMNS_MAX 16
#define ROW_KEYS_MAX    2

/* A table, its columns by their names, and where this database has them; see row.c. */
typedef struct RowTable {
    const char *name;
    const char *columns[ROW_COLUMNS_MAX]; /* up to a NULL */
    Oid id;                               /* 0: not looked up yet, or not any more */
    AttrNumber numbers[ROW_COLUMNS_MAX];
} RowTable;

/* A value of the primary key, and the function that finds its equals. */
typedef struct RowKey {
    Oid equals;
    Datum value;
} RowKey;

/* A row that is being read. */
typedef struct Row {
    RowTable *table;
    Relation relation;
    Relation index;
    IndexScanDesc scan;
    TupleTableSlot *slot;
} Row;

extern RowTable row_users;
extern RowTable row_sessions;
extern RowTable row_signing_keys;

/* The columns of row_users, in its order; so with the others. */
enum {
    USERS_EMAIL,
    USERS_FIRST_NAME,
    USERS_LAST_NAME,
    USERS_ROLE,
    USERS_BALANCE,
    USERS_BLOCKED_AT,
    USERS_DELETED_AT,
    USERS_CREATED_AT,
    USERS_UPDATED_AT,
    USERS_LAST_ACTIVITY_AT,
    USERS_TAKES_IMPORTED_TOKENS
};
enum {
    SESSIONS_EXPIRES_AT,
    SESSIONS_REFRESH_COUNTER,
    SESSIONS_REFRESH_NONCE,
    SESSIONS_PREVIOUS_NONCE,
    SESSIONS_OLDER_GENERATIONS,
    SESSIONS_LAST_USED_AT,
    SESSIONS_REFRESH_KEY,
    SESSIONS_SEALED_BY
};
enum {
    SIGNING_KEYS_RETIRED_AT,
    SIGNING_KEYS_VERIFIES_UNTIL,
    SIGNING_KEYS_KID,
    SIGNING_KEYS_IMPORTED_UNTIL,
    SIGNING_KEYS_SIGNS_FROM,
    SIGNING_KEYS_IS_ACTIVE
};

extern void RowsBegin(void);
extern void RowsEnd(void);
extern bool RowFind(RowTable *table, const RowKey *keys, int key_count, Row *row);
extern bool RowNext(Row *row);
extern bool RowLock(Row *row);
extern bool RowFindUser(int64 id, Row *row);
extern bool RowFindSession(int64 user_id, const pg_uuid_t *id, Row *row);
extern Datum RowColumn(const Row *row, int column, bool *is_null);
extern Datum RowColumnNotNull(const Row *row, int column);
extern bool RowIsNull(const Row *row, int column);
extern bool RowIsPlain(const Row *row);
extern void RowUpdate(const Row *row, const int *columns, const Datum *values, int count);
extern bool RowIsAdmin(const Row *user);
extern void RowEnd(Row *row);

#endif
