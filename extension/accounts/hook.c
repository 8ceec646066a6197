/* SPDX-License-Identifier: MIT
 *
 * hook.c: see hook.h.
 *
 * A hook runs as the owner of its function, whoever calls and however the function is declared, with the
 * function's own schema as search_path: the caller chose neither.  A function of the extension's owner
 * would run with the rights over our tables, so none is taken.  It is looked up by its name at each
 * call: a hook that is gone fails what it was to watch over, a changed one counts at once, and a dump
 * can be restored before the application is there.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "accounts/hook.h"
#include "audit/audit.h"
#include "base/text.h"
#include "identity/identity.h"
#include "store/hook.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(auth_service_set_hook);

/* ---- Which functions can be one --------------------------------------------------------- */

/* Raise unless the function is one that can be called with an event. */
static void
RequireSignature(const char *name, const FormData_pg_proc *function)
{
    if (function->prokind == PROKIND_FUNCTION && function->pronargs == 1 &&
        function->proargtypes.values[0] == JSONBOID && function->prorettype == VOIDOID &&
        !function->proretset)
        return;
    ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
                    errmsg("function %s cannot be a hook", name),
                    errdetail("A hook takes one argument of type jsonb and returns void.")));
}

/* Raise where the function would run with the rights of the extension's owner. */
static void
RequireOtherOwner(const char *name, Oid owner)
{
    if (!has_privs_of_role(owner, StoreOwner()))
        return;
    ereport(
        ERROR,
        (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
         errmsg("function %s cannot be a hook: its owner has the rights of auth_service's", name),
         errhint("A hook runs as its owner. Use ALTER FUNCTION ... OWNER TO the role that owns "
                 "the application's tables."),
         errhidestmt(true), errhidecontext(true)));
}

/* ---- Calling one ------------------------------------------------------------------------ */

/* Where the request comes from, as JSON. */
static text *
OriginJson(void)
{
    const AuditOrigin *origin = AuditOriginGet();
    StringInfoData json;

    initStringInfo(&json);
    appendStringInfoString(&json, "{\"ip\":");
    if (origin->has_ip)
        escape_json(&json, TextDatumGetCString(DirectFunctionCall1(network_host, origin->ip)));
    else
        appendStringInfoString(&json, "null");
    appendStringInfoString(&json, ",\"user_agent\":");
    if (origin->user_agent != NULL)
        escape_json(&json, text_to_cstring(origin->user_agent));
    else
        appendStringInfoString(&json, "null");
    appendStringInfoChar(&json, '}');
    return cstring_to_text_with_len(json.data, json.len);
}

typedef struct HookFunction {
    Oid id;
    Oid owner;
} HookFunction;

/* The function of this name; 55000 where it is not there. */
static HookFunction
FindFunction(const char *event, const HookRow *hook)
{
    const char *name = quote_qualified_identifier(hook->schema, hook->name);
    Oid argument = JSONBOID;
    HeapTuple tuple = SearchSysCache3(PROCNAMEARGSNSP, CStringGetDatum(hook->name),
                                      PointerGetDatum(buildoidvector(&argument, 1)),
                                      ObjectIdGetDatum(get_namespace_oid(hook->schema, true)));
    HookFunction function;
    Form_pg_proc form;

    if (!HeapTupleIsValid(tuple))
        ereport(
            ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("the hook of \"%s\" is missing: there is no function %s(jsonb)", event, name),
             errhint("Make it again, or take the hook away: SELECT auth.set_hook('%s', NULL).",
                     event),
             errhidestmt(true), errhidecontext(true)));
    form = (Form_pg_proc)GETSTRUCT(tuple);
    RequireSignature(name, form);
    RequireOtherOwner(name, form->proowner);
    function = (HookFunction){.id = form->oid, .owner = form->proowner};
    ReleaseSysCache(tuple);
    return function;
}

/* The server logs an error with the statement that led to it: ours may have a password as a literal. */
static void
HideStatement(void *nothing)
{
    errhidestmt(true);
    errhidecontext(true);
}

/* Like OidFunctionCall1, which takes no NULL for an answer; some languages give that for void. */
static void
Invoke(Oid function, Datum event)
{
    LOCAL_FCINFO(call, 1);
    FmgrInfo info;

    fmgr_info(function, &info);
    InitFunctionCallInfoData(*call, &info, 1, InvalidOid, NULL, NULL);
    call->args[0] = (NullableDatum){.value = event};
    FunctionCallInvoke(call);
}

/*
 * What a function leaves for the end of the transaction, in deferred triggers and cursors WITH HOLD, runs as
 * whoever is the role then.  Where that could be one with our owner's rights, nothing may be left.
 */
static int
LeavingForbidden(Oid user)
{
    Oid owner = StoreOwner();

    return has_privs_of_role(user, owner) || has_privs_of_role(GetOuterUserId(), owner) ||
                   has_privs_of_role(GetSessionUserId(), owner)
               ? SECURITY_RESTRICTED_OPERATION
               : 0;
}

static void
CallFunction(const HookFunction *function, const HookRow *hook)
{
    ErrorContextCallback callback;
    int settings_level = NewGUCNestLevel();
    int security_context;
    int restricted;
    Oid user;

    GetUserIdAndSecContext(&user, &security_context);
    set_config_option("search_path", psprintf("%s, pg_temp", quote_identifier(hook->schema)),
                      PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    restricted = security_context | SECURITY_LOCAL_USERID_CHANGE | LeavingForbidden(user);
    SetUserIdAndSecContext(function->owner, restricted);
    callback = (ErrorContextCallback){error_context_stack, HideStatement, NULL};
    error_context_stack = &callback;
    Invoke(function->id, hook->event);
    error_context_stack = callback.previous;
    SetUserIdAndSecContext(user, security_context);
    /* What the hook SETs, with or without LOCAL, ends with it: fronts share connections.  With that ends
     * what it has called said of the commit; it is said again. */
    AtEOXact_GUC(/* isCommit */ false, settings_level);
    StoreCommitDurably();
}

bool
HookRun(const char *event, int64 user_id)
{
    HookRow hook;
    HookFunction function;

    if (!StoreHookFind(event, user_id, OriginJson(), &hook))
        return false;
    function = FindFunction(event, &hook);
    CallFunction(&function, &hook);
    return true;
}

/* ---- Setting one ------------------------------------------------------------------------ */

/* The argument, one of our events; else 22023. */
static const char *
RequireEvent(text *argument)
{
    static const char *const events[] = {AUTH_HOOK_REGISTER, AUTH_HOOK_LOGIN, AUTH_HOOK_DELETE};
    const char *event = argument ? text_to_cstring(argument) : "";
    size_t i;

    for (i = 0; i < lengthof(events); i++)
        if (strcmp(event, events[i]) == 0)
            return events[i];
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no such event"),
                    errhint("Events are: register, login, delete.")));
}

static void
SetHook(const char *event, Oid id)
{
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(id));
    Form_pg_proc form;
    const char *schema;
    const char *name;

    if (!HeapTupleIsValid(tuple))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                        errmsg("function with OID %u does not exist", id)));
    form = (Form_pg_proc)GETSTRUCT(tuple);
    schema = get_namespace_name(form->pronamespace);
    name = quote_qualified_identifier(schema, NameStr(form->proname));
    RequireSignature(name, form);
    RequireOtherOwner(name, form->proowner);
    if (isAnyTempNamespace(form->pronamespace))
        ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
                        errmsg("a temporary function cannot be a hook")));
    StoreHookSet(event, schema, NameStr(form->proname));
    AuditRecord(&(AuditEvent){.action = "set_hook", .detail = TextToJson(event, name)});
    ReleaseSysCache(tuple);
}

/*
 * SQL function: set_hook(event text, hook regprocedure) returns void
 *
 * From the commit on the function is called inside register, login or delete_me; NULL: none is.  For
 * operators; 42501 for others, and for a function whose owner has the rights of the extension's; 22023
 * for another event, 42P13 for a function that takes or returns something else.
 */
Datum
auth_service_set_hook(PG_FUNCTION_ARGS)
{
    const char *event;

    RequireOperator();
    event = RequireEvent(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0));
    if (PG_ARGISNULL(1)) {
        StoreHookDelete(event);
        AuditRecord(&(AuditEvent){.action = "set_hook", .detail = TextToJson(event, "")});
    } else
        SetHook(event, PG_GETARG_OID(1));
    PG_RETURN_VOID();
}
