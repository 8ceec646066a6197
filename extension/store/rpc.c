/* SPDX-License-Identifier: MIT
 *
 * rpc.c: a call of one of the application's functions.
 *
 * Unlike all other statements this one runs as whoever is the role now, so it can do what that role could
 * do by a SELECT; and its plan is made anew each time.
 *
 * No name stands in the statement: its "$1" is the call itself, a node of the parser's that names the
 * function by its object id.  So what is called is what was chosen, also where PostgreSQL would find two
 * functions of that name alike.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "nodes/params.h"
#include "parser/parse_node.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "store/rpc.h"

/* SELECT lists of rows: the function is a column of a subquery, so that each of its rows is one. */
#define ROWS(expression)                                                                           \
    "SELECT COALESCE(pg_catalog.json_agg(" expression "), '[]') FROM (SELECT $1) AS r (v)"

static const char sql_void[] = "SELECT $1";
static const char sql_value[] = "SELECT pg_catalog.to_json($1)";
static const char sql_values[] = ROWS("r.v");
static const char sql_objects[] = ROWS("pg_catalog.json_build_object($2, r.v)");

static Node *
MakeParameter(int number, Oid type)
{
    Param *parameter = makeNode(Param);

    parameter->paramkind = PARAM_EXTERN;
    parameter->paramid = number;
    parameter->paramtype = type;
    parameter->paramtypmod = -1;
    parameter->paramcollid = get_typcollation(type);
    parameter->location = -1;
    return (Node *)parameter;
}

/* The call, with arguments by name; the planner adds the defaults. */
static Node *
MakeCall(const RpcInvocation *invocation)
{
    const RpcFunction *function = invocation->function;
    List *arguments = NIL;
    FuncExpr *call;
    int i;

    for (i = 0; i < invocation->count; i++) {
        NamedArgExpr *argument = makeNode(NamedArgExpr);

        argument->arg = (Expr *)MakeParameter(i + 1, invocation->types[i]);
        argument->argnumber = invocation->numbers[i];
        argument->name = function->arguments[argument->argnumber].name;
        argument->location = -1;
        arguments = lappend(arguments, argument);
    }
    call = makeFuncExpr(function->id, function->result, arguments, InvalidOid, InvalidOid,
                        COERCE_EXPLICIT_CALL);
    call->funcretset = function->is_set;
    call->funcvariadic = function->is_variadic;
    return (Node *)call;
}

/* A hook of the parser's: what stands for "$1", the call, and "$2", the name of its only column. */
static Node *
ReplaceParameter(ParseState *state, ParamRef *reference)
{
    const RpcInvocation *invocation = state->p_ref_hook_state;
    Node *call;

    if (reference->number != 1)
        return MakeParameter(invocation->count + 1, TEXTOID);
    call = MakeCall(invocation);
    if (invocation->function->is_set) {
        state->p_hasTargetSRFs = true;
        state->p_last_srf = call;
    }
    return call;
}

static void
SetUpParser(ParseState *state, void *invocation)
{
    state->p_ref_hook_state = invocation;
    state->p_paramref_hook = ReplaceParameter;
}

/* The values, not as constants: a plan that is logged does not show them. */
static ParamListInfo
MakeParameters(const RpcInvocation *invocation)
{
    ParamListInfo parameters = makeParamList(invocation->count + 1);
    const char *column = invocation->function->column;
    int i;

    for (i = 0; i < invocation->count; i++)
        parameters->params[i] = (ParamExternData){.value = invocation->values[i],
                                                  .isnull = invocation->nulls[i],
                                                  .ptype = invocation->types[i]};
    parameters->params[i] = (ParamExternData){.value = column ? CStringGetTextDatum(column) : 0,
                                              .isnull = column == NULL,
                                              .ptype = TEXTOID};
    return parameters;
}

/* The result as JSON, in the caller's context; NULL for NULL, and for nothing. */
char *
StoreRpc(RpcInvocation *invocation)
{
    const RpcFunction *function = invocation->function;
    MemoryContext context = CurrentMemoryContext;
    SPIPrepareOptions prepare = {.parserSetup = SetUpParser,
                                 .parserSetupArg = invocation,
                                 .cursorOptions = CURSOR_OPT_CUSTOM_PLAN};
    SPIExecuteOptions execute = {.params = MakeParameters(invocation)};
    char *answer = NULL;
    SPIPlanPtr plan;
    int result;

    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    plan = SPI_prepare_extended(function->result == VOIDOID ? sql_void
                                : !function->is_set         ? sql_value
                                : function->column != NULL  ? sql_objects
                                                            : sql_values,
                                &prepare);
    if (plan == NULL)
        elog(ERROR, "could not prepare a statement: %s", SPI_result_code_string(SPI_result));
    result = SPI_execute_plan_extended(plan, &execute);
    if (result != SPI_OK_SELECT)
        elog(ERROR, "could not run a statement: %s", SPI_result_code_string(result));
    if (SPI_processed == 1 && function->result != VOIDOID)
        answer = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
    if (answer != NULL)
        answer = MemoryContextStrdup(context, answer);
    SPI_finish();
    return answer;
}
