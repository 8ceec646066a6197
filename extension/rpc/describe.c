/* SPDX-License-Identifier: MIT
 *
 * describe.c: what functions of the application's can be called, for fronts that tell of it.
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "base/compat.h"
#include "rpc/function.h"
#include "rpc/type.h"
#include "store/rpc.h"

PG_FUNCTION_INFO_V1(auth_service_rpc_functions);

/* The JSON Schema of the object that its arguments make. */
static char *
ArgumentsSchema(const RpcFunction *function)
{
    StringInfoData json;
    const char *separator = "";
    int i;

    initStringInfo(&json);
    appendStringInfoString(&json, "{\"type\":\"object\",\"properties\":{");
    for (i = 0; i < function->argument_count; i++) {
        appendStringInfoString(&json, i > 0 ? "," : "");
        escape_json(&json, function->arguments[i].name);
        appendStringInfoChar(&json, ':');
        RpcTypeSchema(&json, function->arguments[i].type);
    }
    appendStringInfoString(&json, "},\"required\":[");
    for (i = 0; i < function->argument_count; i++) {
        if (!function->arguments[i].is_required)
            continue;
        appendStringInfoString(&json, separator);
        escape_json(&json, function->arguments[i].name);
        separator = ",";
    }
    appendStringInfoString(&json, "]}");
    return json.data;
}

/* The JSON Schema of what it answers; NULL for nothing. */
static char *
ResultSchema(const RpcFunction *function)
{
    StringInfoData json;

    if (function->result == VOIDOID)
        return NULL;
    initStringInfo(&json);
    if (function->is_set)
        appendStringInfoString(&json, "{\"type\":\"array\",\"items\":");
    if (function->columns != NULL)
        RpcColumnsSchema(&json, function->columns, !function->is_set);
    else if (function->column != NULL)
        RpcColumnSchema(&json, function->column, function->result);
    else
        RpcTypeSchema(&json, function->result);
    if (function->is_set)
        appendStringInfoChar(&json, '}');
    return json.data;
}

/*
 * SQL function: _rpc_functions(schema text, anonymous_role text, OUT name text, OUT arguments json,
 *     OUT result json, OUT reads boolean, OUT is_anonymous boolean, OUT id oid) returns setof record
 *
 * The functions that _rpc can call for the role that asks, or for the anonymous one: JSON Schemas of the
 * object of arguments and of the result (NULL for void); whether by_get can be; whether without an
 * identity, for which alone it may be there.
 */
Datum
auth_service_rpc_functions(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = (ReturnSetInfo *)fcinfo->resultinfo;
    Oid schema_id =
        PG_ARGISNULL(0) ? InvalidOid : RpcSchemaFind(TextDatumGetCString(PG_GETARG_DATUM(0)));
    Oid role = PG_ARGISNULL(1)
                   ? InvalidOid
                   : get_role_oid(TextDatumGetCString(PG_GETARG_DATUM(1)), /* missing_ok */ true);
    bool is_usable = OidIsValid(schema_id) && CompatMayUse(schema_id, GetUserId());
    ListCell *cell;

    if (OidIsValid(role) && (!OidIsValid(schema_id) || !CompatMayUse(schema_id, role)))
        role = InvalidOid;
    InitMaterializedSRF(fcinfo, 0);
    foreach (cell, OidIsValid(schema_id) ? RpcFunctionsFind(schema_id, NULL) : NIL) {
        const RpcFunction *function = lfirst(cell);
        bool is_anonymous = OidIsValid(role) && RpcFunctionIsGranted(function, role);
        char *answer = ResultSchema(function);
        bool nulls[6] = {[2] = answer == NULL};
        Datum values[6] = {CStringGetTextDatum(function->name),
                           CStringGetTextDatum(ArgumentsSchema(function)),
                           answer ? CStringGetTextDatum(answer) : 0,
                           BoolGetDatum(!function->is_volatile),
                           BoolGetDatum(is_anonymous),
                           ObjectIdGetDatum(function->id)};

        if (is_anonymous || (is_usable && RpcFunctionMayCall(function, GetUserId())))
            tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return (Datum)0;
}
