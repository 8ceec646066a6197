/* SPDX-License-Identifier: MIT
 *
 * rpc.c: calls of the application's functions, for fronts: a name and a JSON object of named arguments
 * come in, JSON goes out.
 *
 * The call runs as the caller's role, never as the extension's owner: EXECUTE on the function, USAGE on
 * its schema and row level security decide, and nothing can be done here that the caller could not do by
 * a SELECT.  Without an identity a second, anonymous role takes the caller's place, and a function has to
 * be granted to that very role: what PUBLIC may call, as new functions are, is not what strangers may.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/json_members.h"
#include "identity/identity.h"
#include "rpc/argument.h"
#include "rpc/function.h"
#include "rpc/value.h"
#include "store/rpc.h"

PG_FUNCTION_INFO_V1(auth_service_rpc);

/* A call on its way. */
typedef struct RpcCall {
    char *schema;
    Oid schema_id;
    List *members; /* JsonMember *: the arguments given */
    Oid role;      /* as which it runs */
    bool is_anonymous;
    bool by_get; /* the values are text; nothing is written */
    const RpcFunction *function;
} RpcCall;

/* ---- Which function ---------------------------------------------------------------------- */

/* Whether all that is given is an argument of its, and all that it requires is given. */
static bool
FitsMembers(const RpcFunction *function, List *members)
{
    int used = 0;
    int i;

    for (i = 0; i < function->argument_count; i++) {
        const RpcArgument *argument = &function->arguments[i];
        int count = 0;

        if (ArgumentFind(members, argument->name, &count) != NULL)
            used++;
        else if (argument->is_required)
            return false;
    }
    return used == list_length(members);
}

/*
 * The function for these arguments among those that the role may call: of several the one that needs the
 * fewest defaults.  NULL where there is none; 42725 where two are alike.
 */
static const RpcFunction *
Choose(const RpcCall *call, List *functions, Oid role, bool is_anonymous)
{
    const RpcFunction *chosen = NULL;
    bool is_tie = false;
    ListCell *cell;

    if (!OidIsValid(role) || !CompatMayUse(call->schema_id, role))
        return NULL;
    foreach (cell, functions) {
        const RpcFunction *function = lfirst(cell);

        if (!FitsMembers(function, call->members) ||
            !(is_anonymous ? RpcFunctionIsGranted(function, role)
                           : RpcFunctionMayCall(function, role)))
            continue;
        if (chosen == NULL || function->argument_count < chosen->argument_count) {
            chosen = function;
            is_tie = false;
        } else if (function->argument_count == chosen->argument_count)
            is_tie = true;
    }
    if (is_tie)
        ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_FUNCTION),
                        errmsg("two functions of the same name fit these arguments")));
    return chosen;
}

/* U422A where a member is there more than once. */
static void
RequireOnce(List *members)
{
    FieldProblems problems = {0};
    ListCell *cell;

    foreach (cell, members) {
        JsonMember *member = lfirst(cell);
        int count = 0;

        if (ArgumentFind(members, member->name, &count) == member && count > 1)
            ArgumentTwice(&problems, member->name);
    }
    ProblemsRaise(&problems);
}

/* Find the function and the role of the call; else U404C, U401A or U405A. */
static void
Resolve(RpcCall *call, const char *name, const char *anonymous_role)
{
    List *functions = NIL;

    call->is_anonymous = IdentityUserId() == 0;
    call->schema_id = RpcSchemaFind(call->schema);
    if (OidIsValid(call->schema_id))
        functions = RpcFunctionsFind(call->schema_id, name);
    call->role = !call->is_anonymous ? GetUserId()
                 : anonymous_role    ? get_role_oid(anonymous_role, /* missing_ok */ true)
                                     : InvalidOid;
    if (OidIsValid(call->schema_id))
        call->function = Choose(call, functions, call->role, call->is_anonymous);
    if (call->function == NULL && call->is_anonymous && OidIsValid(call->schema_id) &&
        Choose(call, functions, GetUserId(), false) != NULL)
        ErrorRaise(AUTH_ERROR_NOT_AUTHENTICATED);
    if (call->function == NULL)
        ErrorRaise(AUTH_ERROR_FUNCTION_NOT_FOUND);
    if (call->by_get && call->function->is_volatile)
        ErrorRaise(AUTH_ERROR_FUNCTION_VOLATILE);
}

/* ---- The call ---------------------------------------------------------------------------- */

/* Set a setting for the rest of the transaction: deferred triggers see it as well. */
static void
SetLocal(const char *name, const char *value)
{
    set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* The role, the search_path and whether there is writing, of the function and what it calls. */
static void
Enter(const RpcCall *call)
{
    const char *schema = quote_identifier(call->schema);

    SetLocal("search_path", strcmp(call->schema, "public") == 0
                                ? "public, pg_temp"
                                : psprintf("%s, public, pg_temp", schema));
    if (call->is_anonymous)
        SetLocal("role", GetUserNameFromId(call->role, /* noerr */ false));
    if (call->by_get)
        SetLocal("transaction_read_only", "on");
}

/* auto_explain would print the arguments of this call, and of what it calls. */
static void
HideParameters(void)
{
    static const char setting[] = "auto_explain.log_parameter_max_length";

    if (GetConfigOption(setting, /* missing_ok */ true, /* restrict_privileged */ false) != NULL)
        set_config_option(setting, "0", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Convert the arguments and call; the answer's JSON, NULL for nothing. */
static char *
Perform(const RpcCall *call)
{
    const RpcFunction *function = call->function;
    Size size = (Size)list_length(call->members) + 1;
    RpcInvocation invocation = {.function = function,
                                .numbers = palloc(sizeof(int) * size),
                                .types = palloc(sizeof(Oid) * size),
                                .values = palloc(sizeof(Datum) * size),
                                .nulls = palloc(sizeof(bool) * size)};
    char *answer;
    int i;

    for (i = 0; i < function->argument_count; i++) {
        const RpcArgument *argument = &function->arguments[i];
        int found = 0;
        JsonMember *member = ArgumentFind(call->members, argument->name, &found);
        int number = invocation.count;

        if (member == NULL)
            continue;
        invocation.numbers[number] = i;
        invocation.types[number] = argument->type;
        invocation.values[number] =
            RpcValueRead(argument, member, call->by_get, &invocation.nulls[number]);
        invocation.count++;
    }
    answer = StoreRpc(&invocation);
    return answer == NULL && function->result != VOIDOID ? pstrdup("null") : answer;
}

/*
 * The same.  A write of a function that says of itself that it does not write is the developer's mistake,
 * and is not to be taken for that of a server that cannot write, where trying again may help.
 */
static char *
PerformReading(const RpcCall *call)
{
    MemoryContext context = CurrentMemoryContext;
    char *volatile answer = NULL;

    PG_TRY();
    {
        answer = Perform(call);
    }
    PG_CATCH();
    {
        ErrorData *error;

        MemoryContextSwitchTo(context);
        error = CopyErrorData();
        FlushErrorState();
        if (error->sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION)
            error->sqlerrcode = ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED;
        ReThrowError(error);
    }
    PG_END_TRY();
    return answer;
}

/*
 * Run the deferred triggers now, as SET CONSTRAINTS ALL IMMEDIATE does: at the commit no statement_timeout
 * would hold for them, and what they SET would be the next caller's.
 */
static void
RunDeferred(void)
{
    ConstraintsSetStmt *all = makeNode(ConstraintsSetStmt);

    AfterTriggerSetState(all);
}

/*
 * End what was SET since.  But for what was said of the commit, which is still to come (see
 * StoreCommitDurably); and an identity that has ended, by a logout, stays so.
 */
static void
EndSettings(int level)
{
    char *commit = pstrdup(GetConfigOption("synchronous_commit", false, false));
    bool had_identity = IdentityUserId() != 0;

    AtEOXact_GUC(/* isCommit */ false, level);
    SetLocal("synchronous_commit", commit);
    if (!had_identity && IdentityUserId() != 0)
        IdentityClear();
}

static char *
TextOrNull(FunctionCallInfo fcinfo, int number)
{
    return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/*
 * SQL function: _rpc(schema text, function text, arguments text, anonymous_role text, by_get boolean)
 *               returns text
 *
 * Calls a function of that schema with the members of a JSON object as its named arguments; its result as
 * JSON, or NULL where it returns void.  With an identity the role calls it that calls this; without one
 * anonymous_role, to which EXECUTE must have been granted by name.  by_get: the values are text, the
 * function is not VOLATILE and nothing is written.  Role, search_path (that schema, public) and read-only
 * stay so until the end of the transaction; what the function SETs ends with it, whatever it says.
 *
 * U404C where there is no such function for these arguments, or not for this caller; U401A where there
 * would be with an identity; U405A by_get for a VOLATILE one; U422A where the text is no JSON object.
 */
Datum
auth_service_rpc(PG_FUNCTION_ARGS)
{
    RpcCall call = {.schema = TextOrNull(fcinfo, 0)};
    char *name = TextOrNull(fcinfo, 1);
    bool was_read_only = XactReadOnly;
    int settings;
    char *answer;

    if (call.schema == NULL || name == NULL || PG_ARGISNULL(2))
        ErrorRaise(AUTH_ERROR_FUNCTION_NOT_FOUND);
    call.by_get = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
    call.members = ArgumentMembers(PG_GETARG_TEXT_PP(2));
    /* No function takes more; and each is compared with each. */
    if (list_length(call.members) > FUNC_MAX_ARGS)
        ErrorRaise(AUTH_ERROR_FUNCTION_NOT_FOUND);
    RequireOnce(call.members);
    Resolve(&call, name, TextOrNull(fcinfo, 3));
    Enter(&call);
    settings = NewGUCNestLevel();
    HideParameters();
    answer = call.by_get && !was_read_only ? PerformReading(&call) : Perform(&call);
    EndSettings(settings);
    settings = NewGUCNestLevel();
    RunDeferred();
    EndSettings(settings);
    if (answer == NULL)
        PG_RETURN_NULL();
    PG_RETURN_TEXT_P(cstring_to_text(answer));
}
