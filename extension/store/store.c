/* SPDX-License-Identifier: MIT
 *
 * store.c: how statements are run; the only file that knows SPI.  They stand in the files beside this one, one for a table.
 *
 * The callers' roles have no right on the tables, so each statement runs as the extension's owner,
 * with the switch that PostgreSQL's own foreign key triggers use; an error undoes it.  The caller's
 * search_path stays in force: every name, operator and type in a statement is written with its schema, so
 * that no object of a caller's can take part.  Plans are made once a backend and kept.
 *
 * For a distributed future every hot statement says user_id = $1, and takes identity and time as
 * parameters.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/types.h"
#include "store/statement.h"
#include "store/store.h"

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

/*
 * From PostgreSQL 16 on auto_explain prints the parameters of nested statements, hashes and keys among
 * ours, into the log and to whoever asks for that by client_min_messages.  Not of ours.
 */
static int
HideParameters(void)
{
    static const char setting[] = "auto_explain.log_parameter_max_length";
    int level = 0;

    if (GetConfigOption(setting, /* missing_ok */ true, /* restrict_privileged */ false) != NULL) {
        level = NewGUCNestLevel();
        set_config_option(setting, "0", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    }
    return level;
}

void
StoreBegin(StoreCall *call)
{
    call->settings_level = HideParameters();
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
    if (call->settings_level > 0)
        AtEOXact_GUC(true, call->settings_level);
}

static bool is_current = false; /* the schema, as this backend has found */

/*
 * The statements are this version's, so the schema must be.  "ALTER EXTENSION auth_service UPDATE" makes
 * it so after a new library was installed; until then this says what to do.
 */
static void
RequireVersion(void)
{
    int result;
    char *version;

    if (is_current)
        return;
    result = SPI_execute("SELECT e.extversion FROM pg_catalog.pg_extension e"
                         " WHERE e.extname OPERATOR(pg_catalog.=) 'auth_service'",
                         /* read_only */ true, /* rows */ 1);
    version = result == SPI_OK_SELECT && SPI_processed == 1
                  ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1)
                  : NULL;
    is_current = version != NULL && strcmp(version, AUTH_SERVICE_VERSION) == 0;
    if (!is_current)
        ereport(
            ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("extension \"auth_service\" has version %s in this database, its library %s",
                    version ? version : "none", AUTH_SERVICE_VERSION),
             errhint("Run ALTER EXTENSION auth_service UPDATE, or connect again."),
             errhidestmt(true), errhidecontext(true)));
}

/* For those who read without a statement. */
void
StoreRequireVersion(void)
{
    StoreCall call;

    if (is_current)
        return;
    StoreBegin(&call);
    RequireVersion();
    StoreEnd(&call);
}

static SPIPlanPtr
StatementPlan(Statement *statement)
{
    if (statement->plan == NULL) {
        SPIPlanPtr plan;

        RequireVersion();
        plan = SPI_prepare(statement->sql, statement->parameter_count, statement->types);
        if (plan == NULL || SPI_keepplan(plan) != 0)
            elog(ERROR, "could not prepare a statement: %s", SPI_result_code_string(SPI_result));
        statement->plan = plan;
    }
    return statement->plan;
}

/*
 * The values as parameters that are not constants for the planner: it would write constants into
 * the plan, and anybody may set debug_print_plan and read plans, with keys and hashes in them.
 */
static ParamListInfo
StatementParameters(const Statement *statement, const Datum *values, const char *nulls,
                    uint16 flags)
{
    ParamListInfo parameters = makeParamList(statement->parameter_count);
    int i;

    for (i = 0; i < statement->parameter_count; i++) {
        parameters->params[i].value = values[i];
        parameters->params[i].isnull = nulls != NULL && nulls[i] != ' ';
        parameters->params[i].pflags = flags;
        parameters->params[i].ptype = statement->types[i];
    }
    return parameters;
}

static uint64
Run(Statement *statement, const Datum *values, const char *nulls, bool read_only)
{
    MemoryContext context = CurrentMemoryContext;
    SPIExecuteOptions options = {.read_only = read_only};
    SPIPlanPtr volatile plan = StatementPlan(statement);
    volatile int result = 0;

    if (statement->parameter_count > 0)
        options.params = StatementParameters(statement, values, nulls, 0);
    PG_TRY();
    {
        result = SPI_execute_plan_extended(plan, &options);
    }
    PG_CATCH();
    {
        StoreRaiseWithoutRow(context);
    }
    PG_END_TRY();
    if (result < 0)
        elog(ERROR, "could not run a statement: %s", SPI_result_code_string(result));
    return SPI_processed;
}

/* Run a statement; the count of its rows. values stand for its parameters, ' ' in nulls: not NULL. */
uint64
StoreRun(Statement *statement, const Datum *values, const char *nulls)
{
    return Run(statement, values, nulls, /* read_only */ false);
}

/*
 * Run a SELECT on what is committed at this moment, whatever the transaction's snapshot: a session
 * that was ended stays ended for a transaction that began before, at any isolation level.
 */
uint64
StoreRead(Statement *statement, const Datum *values)
{
    uint64 count;

    CommandCounterIncrement();
    PushActiveSnapshot(GetLatestSnapshot());
    count = Run(statement, values, NULL, /* read_only */ true);
    PopActiveSnapshot();
    return count;
}

/*
 * Run a statement that writes, as StoreRead reads: it meets the rows that are committed at this moment.  Its
 * values are no secrets, and none is NULL.
 */
uint64
StoreRunLatest(Statement *statement, const Datum *values)
{
    int result =
        SPI_execute_snapshot(StatementPlan(statement), (Datum *)values, NULL, GetLatestSnapshot(),
                             InvalidSnapshot, /* read_only */ false, /* fire_triggers */ true, 0);

    if (result < 0)
        elog(ERROR, "could not run a statement: %s", SPI_result_code_string(result));
    return SPI_processed;
}

/*
 * Run a SELECT that is not met again, on the active snapshot, planned for these very values, of which none is
 * a secret and none NULL.
 */
uint64
StoreRunOnce(const Statement *statement, const Datum *values)
{
    SPIExecuteOptions options = {.params =
                                     StatementParameters(statement, values, NULL, PARAM_FLAG_CONST),
                                 .read_only = true};
    SPIPlanPtr plan = SPI_prepare_cursor(statement->sql, statement->parameter_count,
                                         (Oid *)statement->types, CURSOR_OPT_CUSTOM_PLAN);
    int result;

    if (plan == NULL)
        elog(ERROR, "could not prepare a statement: %s", SPI_result_code_string(SPI_result));
    result = SPI_execute_plan_extended(plan, &options);
    if (result < 0)
        elog(ERROR, "could not run a statement: %s", SPI_result_code_string(result));
    return SPI_processed;
}

/* Give the first rows, up to the limit, to a sink. */
void
RowsToSink(uint64 count, uint64 limit, StoreRowSink sink, void *context)
{
    TupleDesc descriptor = SPI_tuptable->tupdesc;
    Datum *values = palloc(sizeof(Datum) * (Size)descriptor->natts);
    bool *nulls = palloc(sizeof(bool) * (Size)descriptor->natts);
    uint64 i;

    for (i = 0; i < count && i < limit; i++) {
        heap_deform_tuple(SPI_tuptable->vals[i], descriptor, values, nulls);
        sink(context, values, nulls, i + 1 == count);
    }
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

/* Statements ask whether the role is admin's: so no enum's value has to be known here. */
UserRole
ColumnRole(int number)
{
    return DatumGetBool(ColumnNotNull(number)) ? USER_ROLE_ADMIN : USER_ROLE_USER;
}

/* What sealed a row: a parameter's value, with the ' ' or 'n' that says whether it is NULL, and back. */
Datum
KekIdDatum(const KekId *id, char *null)
{
    bytea *bytes = palloc(VARHDRSZ + KEK_ID_BYTES);

    *null = id->size > 0 ? ' ' : 'n';
    SET_VARSIZE(bytes, VARHDRSZ + KEK_ID_BYTES);
    memcpy(VARDATA(bytes), id->data, KEK_ID_BYTES);
    return PointerGetDatum(bytes);
}

KekId
KekIdOfDatum(Datum value, bool is_null)
{
    KekId id = {.size = 0};
    bytea *bytes;

    if (is_null)
        return id;
    bytes = DatumGetByteaPP(value);
    if (VARSIZE_ANY_EXHDR(bytes) != KEK_ID_BYTES)
        elog(ERROR, "the id of a key-encryption key has not its length");
    id.size = KEK_ID_BYTES;
    memcpy(id.data, VARDATA_ANY(bytes), KEK_ID_BYTES);
    return id;
}

KekId
ColumnKekId(int number)
{
    bool is_null;
    Datum value = Column(number, &is_null);

    return KekIdOfDatum(value, is_null);
}

/* A text column of the first row in the caller's context; NULL for NULL. */
char *
ColumnText(const StoreCall *call, int number)
{
    char *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number);

    return value ? MemoryContextStrdup(call->context, value) : NULL;
}

/*
 * Make this transaction's commit wait for the disk, where the session would not (synchronous_commit
 * = off): what was answered must be true after a crash.
 */
void
StoreCommitDurably(void)
{
    if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
        set_config_option("synchronous_commit", "local", PGC_USERSET, PGC_S_SESSION,
                          GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * For a write that met no row, though the row is there by what is committed now: in a transaction whose
 * snapshot is older than the row it must fail, or it would report what it has not done.  Elsewhere the
 * row has gone meanwhile, and that is that.
 */
void
StoreRequireSeen(bool seen)
{
    if (!seen && IsolationUsesXactSnapshot())
        ereport(ERROR,
                (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                 errmsg("could not serialize access due to concurrent update"),
                 errdetail("The account or session is newer than the transaction's snapshot.")));
}

/* Run a command that cannot be prepared, as the owner; its names are PostgreSQL's where they have no schema. */
void
StoreCommand(const char *sql)
{
    int settings_level = NewGUCNestLevel();
    StoreCall call;
    int result;

    set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
                      GUC_ACTION_SAVE, true, 0, false);
    StoreBegin(&call);
    result = SPI_execute(sql, /* read_only */ false, /* all rows */ 0);
    if (result < 0)
        elog(ERROR, "could not run a command: %s", SPI_result_code_string(result));
    StoreEnd(&call);
    AtEOXact_GUC(true, settings_level);
}
