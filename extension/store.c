/* SPDX-License-Identifier: MIT
 *
 * store.c: the only file that speaks to the tables, through SPI.
 *
 * The callers' roles have no right on the tables, so each statement runs as the extension's owner,
 * with the switch that PostgreSQL's own foreign key triggers use; an error undoes it.  The caller's
 * search_path stays in force: every name, operator and type below is written with its schema, so
 * that no object of a caller's can take part.  Plans are made once a backend and kept.
 *
 * For a distributed future every hot statement says user_id = $1, and takes identity and time as
 * parameters.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "store.h"
#include "store_statement.h"

/* The extension's owner: whoever owns its tables. */
Oid
StoreOwner(void)
{
    Oid schema = get_namespace_oid("auth", false);
    Oid users = get_relname_relid("users", schema);
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(users));
    Oid owner;

    if (!HeapTupleIsValid(tuple))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("extension \"auth_service\" is not complete in this database"),
                        errdetail("There is no table auth.users.")));
    owner = ((Form_pg_class)GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

void
StoreBegin(StoreCall *call)
{
    call->context = CurrentMemoryContext;
    GetUserIdAndSecContext(&call->user, &call->security_context);
    SetUserIdAndSecContext(StoreOwner(), call->security_context | SECURITY_LOCAL_USERID_CHANGE);
    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
}

void
StoreEnd(const StoreCall *call)
{
    SPI_finish();
    SetUserIdAndSecContext(call->user, call->security_context);
}

/* Run a statement; the count of its rows. values stand for its parameters, ' ' in nulls: not NULL. */
uint64
StoreRun(Statement *statement, const Datum *values, const char *nulls)
{
    int result;

    if (statement->plan == NULL) {
        SPIPlanPtr plan = SPI_prepare(statement->sql, statement->parameter_count, statement->types);

        if (plan == NULL || SPI_keepplan(plan) != 0)
            elog(ERROR, "could not prepare a statement: %s", SPI_result_code_string(SPI_result));
        statement->plan = plan;
    }
    result = SPI_execute_plan(statement->plan, unconstify(Datum *, values), nulls,
                              /* read_only */ false, /* all rows */ 0);
    if (result < 0)
        elog(ERROR, "could not run a statement: %s", SPI_result_code_string(result));
    return SPI_processed;
}

/* Run a statement whose rows nobody reads. */
uint64
StoreExecute(Statement *statement, const Datum *values, const char *nulls)
{
    StoreCall call;
    uint64 count;

    StoreBegin(&call);
    count = StoreRun(statement, values, nulls);
    StoreEnd(&call);
    return count;
}

/* A column of the first row. */
Datum
Column(int number, bool *is_null)
{
    return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, is_null);
}

Datum
ColumnNotNull(int number)
{
    bool is_null;
    Datum value = Column(number, &is_null);

    if (is_null)
        elog(ERROR, "column %d of an auth_service table is unexpectedly NULL", number);
    return value;
}

/* A text column of the first row in the caller's context; NULL for NULL. */
char *
ColumnText(const StoreCall *call, int number)
{
    char *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number);

    return value ? MemoryContextStrdup(call->context, value) : NULL;
}

/* The members of a JSON object in their order, duplicates included: a List of JsonMember *. */
List *
StoreJsonMembers(text *json)
{
    static Statement statement = {
        "SELECT m.key, pg_catalog.json_typeof(m.value), m.value OPERATOR(pg_catalog.#>>) '{}'"
        " FROM pg_catalog.json_each($1::pg_catalog.json) m",
        1,
        {TEXTOID},
        NULL};
    Datum values[] = {PointerGetDatum(json)};
    List *members = NIL;
    StoreCall call;
    MemoryContext old;
    uint64 count;
    uint64 i;

    StoreBegin(&call);
    count = StoreRun(&statement, values, NULL);
    old = MemoryContextSwitchTo(call.context);
    for (i = 0; i < count; i++) {
        HeapTuple row = SPI_tuptable->vals[i];
        JsonMember *member = palloc(sizeof(JsonMember));

        member->name = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
        member->type = SPI_getvalue(row, SPI_tuptable->tupdesc, 2);
        member->value = SPI_getvalue(row, SPI_tuptable->tupdesc, 3);
        members = lappend(members, member);
    }
    MemoryContextSwitchTo(old);
    StoreEnd(&call);
    return members;
}

/* Run a command that cannot be prepared, as the owner. */
void
StoreCommand(const char *sql)
{
    StoreCall call;
    int result;

    StoreBegin(&call);
    result = SPI_execute(sql, /* read_only */ false, /* all rows */ 0);
    if (result < 0)
        elog(ERROR, "could not run a command: %s", SPI_result_code_string(result));
    StoreEnd(&call);
}
