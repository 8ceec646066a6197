/* SPDX-License-Identifier: MIT
 *
 * value.c: see value.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "base/json_members.h"
#include "rpc/value.h"
#include "store/rpc.h"

/* A member's value as JSON text. */
static char *
MemberJson(const JsonMember *member)
{
    StringInfoData json;

    if (member->value == NULL)
        return pstrdup("null");
    if (strcmp(member->type, "string") != 0)
        return member->value;
    initStringInfo(&json);
    escape_json(&json, member->value);
    return json.data;
}

/* A value of this type from JSON, as json_to_record makes it: by that very function. */
static Datum
ValueFromJson(const JsonMember *member, Oid type, bool *is_null)
{
    char *json = psprintf("{\"v\":%s}", MemberJson(member));
    TupleDesc descriptor = CreateTemplateTupleDesc(1);
    ReturnSetInfo result = {.type = T_ReturnSetInfo};
    FmgrInfo function;
    HeapTupleHeader row;

    LOCAL_FCINFO(fcinfo, 1);

    TupleDescInitEntry(descriptor, 1, "v", type, -1, 0);
    result.expectedDesc = BlessTupleDesc(descriptor);
    fmgr_info(F_JSON_TO_RECORD, &function);
    InitFunctionCallInfoData(*fcinfo, &function, 1, InvalidOid, NULL, (Node *)&result);
    fcinfo->args[0].value = CStringGetTextDatum(json);
    fcinfo->args[0].isnull = false;
    row = DatumGetHeapTupleHeader(FunctionCallInvoke(fcinfo));
    return GetAttributeByNum(row, 1, is_null);
}

/* The same from a query's text, by the type's input function. */
static Datum
ValueFromText(const JsonMember *member, Oid type, bool *is_null)
{
    Oid input;
    Oid parameter;

    *is_null = member->value == NULL;
    getTypeInputInfo(type, &input, &parameter);
    return OidInputFunctionCall(input, member->value, parameter, -1);
}

/*
 * See value.h.  What is wrong with it is the client's fault and is of class 22, a domain's
 * rule too; PostgreSQL's words would quote the value.
 */
Datum
RpcValueRead(const RpcArgument *argument, const JsonMember *member, bool is_text, bool *is_null)
{
    MemoryContext context = CurrentMemoryContext;
    volatile Datum value = 0;

    PG_TRY();
    {
        value = is_text ? ValueFromText(member, argument->type, is_null)
                        : ValueFromJson(member, argument->type, is_null);
    }
    PG_CATCH();
    {
        ErrorData *error;
        int category;

        MemoryContextSwitchTo(context);
        error = CopyErrorData();
        category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
        FlushErrorState();
        if (category != ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) &&
            category != ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION))
            ReThrowError(error);
        ereport(ERROR, (errcode(category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION)
                                    ? error->sqlerrcode
                                    : ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("the value of argument \"%s\" is no %s", argument->name,
                               format_type_be(argument->type)),
                        errhidestmt(true), errhidecontext(true)));
    }
    PG_END_TRY();
    return value;
}
