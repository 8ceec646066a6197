/* SPDX-License-Identifier: MIT
 *
 * statement.h: how the files of this room run a statement; nobody else includes this.
 */
#ifndef AUTH_SERVICE_STORE_STATEMENT_H
#define AUTH_SERVICE_STORE_STATEMENT_H

/* "=" that no operator of a caller's search_path can replace. */
#define EQ " OPERATOR(pg_catalog.=) "

/*
 * Of auth.users u: account $1 is there, not blocked, and its session $2 is alive at $3.  A token that
 * was imported has no session; the account says whether it still takes such.
 */
#define SESSION_STANDS                                                                             \
    "u.id" EQ "$1 AND u.deleted_at IS NULL AND u.blocked_at IS NULL"                               \
    " AND (EXISTS (SELECT FROM auth.sessions s WHERE s.user_id" EQ "$1 AND s.id" EQ                \
    "$2 AND s.expires_at OPERATOR(pg_catalog.>) $3)"                                               \
    " OR (u.takes_imported_tokens AND $2" EQ NO_SESSION "))"

#define NO_SESSION "'00000000-0000-0000-0000-000000000000'::pg_catalog.uuid"

#define STATEMENT_PARAMETERS_MAX 16

#include "base/compat.h"
#include "base/types.h"
#include "store/session.h"
#include "store/store.h"

struct _SPI_plan;

/* A statement; its plan is made at the first run and kept for the backend's life. */
typedef struct Statement {
    const char *sql;
    int parameter_count;
    Oid types[STATEMENT_PARAMETERS_MAX];
    struct _SPI_plan *plan;
} Statement;

/* Who the user was before StoreBegin, and where results go. */
typedef struct StoreCall {
    Oid user;
    int security_context;
    MemoryContext context;
    int settings_level; /* of settings that are changed until StoreEnd; 0: none */
} StoreCall;

pg_noreturn extern void StoreRaiseWithoutRow(MemoryContext context); /* error.c */

extern void StoreRequireVersion(void);
extern void StoreBegin(StoreCall *call);
extern uint64 StoreRun(Statement *statement, const Datum *values, const char *nulls);
extern uint64 StoreRead(Statement *statement, const Datum *values);
extern uint64 StoreRunLatest(Statement *statement, const Datum *values);
extern void StoreEnd(const StoreCall *call);
extern uint64 StoreRunOnce(const Statement *statement, const Datum *values);
extern uint64 StoreExecute(Statement *statement, const Datum *values, const char *nulls);

extern void RowsToSink(uint64 count, uint64 limit, StoreRowSink sink, void *context);

extern Datum KekIdDatum(const KekId *id, char *null);
extern KekId KekIdOfDatum(Datum value, bool is_null);

/* Columns of the first row, counted from 1, between StoreRun or StoreRead and StoreEnd. */
extern Datum Column(int number, bool *is_null);
extern Datum ColumnNotNull(int number);
extern UserRole ColumnRole(int number); /* of a boolean: whether it is an admin */
extern KekId ColumnKekId(int number);
extern char *ColumnText(const StoreCall *call, int number);
extern void ColumnOlder(int number, SessionRow *session); /* session.c */

#endif
