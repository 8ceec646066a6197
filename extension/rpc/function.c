/* SPDX-License-Identifier: MIT
 *
 * function.c: see function.h.  What the catalog says is read anew for each call, so a change of a
 * function, or of who may call it, is seen by the next one.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "rpc/function.h"
#include "store/rpc.h"

Oid
RpcSchemaFind(const char *name)
{
    if (strcmp(name, "auth") == 0 || strcmp(name, "information_schema") == 0 ||
        strncmp(name, "pg_", 3) == 0 || strlen(name) >= NAMEDATALEN)
        return InvalidOid;
    return get_namespace_oid(name, /* missing_ok */ true);
}

/* Whether a value of JSON can become one of this type. */
static bool
IsArgumentType(Oid type)
{
    return get_typtype(type) != TYPTYPE_PSEUDO;
}

/* Note the modes that what it returns hangs on; how many columns its OUT arguments make. */
static int
ReadModes(RpcFunction *function, int count, char **names, const char *modes)
{
    int columns = 0;
    int i;

    for (i = 0; modes != NULL && i < count; i++) {
        if (modes[i] == PROARGMODE_VARIADIC)
            function->is_variadic = true;
        if (modes[i] == PROARGMODE_TABLE)
            function->column = names[i];
        if (modes[i] == PROARGMODE_OUT || modes[i] == PROARGMODE_INOUT ||
            modes[i] == PROARGMODE_TABLE)
            columns++;
    }
    if (columns > 1)
        function->column = NULL;
    return columns;
}

/* Read what goes in; false where an argument has no name, or a type that JSON does not give. */
static bool
ReadArguments(RpcFunction *function, int count, const Oid *types, char **names, const char *modes,
              int default_count)
{
    int i;

    function->arguments = palloc0(sizeof(RpcArgument) * (Size)(count + 1));
    for (i = 0; i < count; i++) {
        RpcArgument *argument = &function->arguments[function->argument_count];

        if (modes != NULL && (modes[i] == PROARGMODE_OUT || modes[i] == PROARGMODE_TABLE))
            continue;
        if (names == NULL || names[i] == NULL || names[i][0] == '\0' || !IsArgumentType(types[i]))
            return false;
        argument->name = names[i];
        argument->type = types[i];
        function->argument_count++;
    }
    for (i = 0; i < function->argument_count - default_count; i++)
        function->arguments[i].is_required = true;
    return true;
}

/* The function of a row of pg_proc; NULL for what cannot be called so: a procedure, a trigger, ... */
static RpcFunction *
ReadFunction(HeapTuple tuple)
{
    Form_pg_proc row = (Form_pg_proc)GETSTRUCT(tuple);
    RpcFunction *function = palloc0(sizeof(RpcFunction));
    Oid *types;
    char **names;
    char *modes;
    int count = get_func_arg_info(tuple, &types, &names, &modes);
    int columns;

    if (row->prokind != PROKIND_FUNCTION)
        return NULL;
    function->id = row->oid;
    function->name = pstrdup(NameStr(row->proname));
    function->is_volatile = row->provolatile == PROVOLATILE_VOLATILE;
    function->is_set = row->proretset;
    function->result = row->prorettype;
    columns = ReadModes(function, count, names, modes);
    if (!ReadArguments(function, count, types, names, modes, row->pronargdefaults))
        return NULL;
    if (get_typtype(function->result) == TYPTYPE_PSEUDO && function->result != VOIDOID &&
        function->result != RECORDOID)
        return NULL;
    /* The caller of such a one has to say what its columns are. */
    if (function->result == RECORDOID && function->is_set && columns == 0)
        return NULL;
    if (function->result == RECORDOID && columns > 0)
        function->columns = build_function_result_tupdesc_t(tuple);
    return function;
}

static List *
FindAll(Oid schema)
{
    Relation catalog = table_open(ProcedureRelationId, AccessShareLock);
    List *functions = NIL;
    ScanKeyData key;
    SysScanDesc scan;
    HeapTuple tuple;

    ScanKeyInit(&key, Anum_pg_proc_pronamespace, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(schema));
    scan = systable_beginscan(catalog, InvalidOid, /* indexOK */ false, NULL, 1, &key);
    while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
        RpcFunction *function = ReadFunction(tuple);

        if (function != NULL)
            functions = lappend(functions, function);
    }
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
    return functions;
}

List *
RpcFunctionsFind(Oid schema, const char *name)
{
    List *functions = NIL;
    CatCList *found;
    int i;

    if (name == NULL)
        return FindAll(schema);
    if (strlen(name) >= NAMEDATALEN)
        return NIL;
    found = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
    for (i = 0; i < found->n_members; i++) {
        HeapTuple tuple = &found->members[i]->tuple;
        RpcFunction *function = NULL;

        if (((Form_pg_proc)GETSTRUCT(tuple))->pronamespace == schema)
            function = ReadFunction(tuple);
        if (function != NULL)
            functions = lappend(functions, function);
    }
    ReleaseSysCacheList(found);
    return functions;
}

bool
RpcFunctionMayCall(const RpcFunction *function, Oid role)
{
    return CompatMayExecute(function->id, role);
}

bool
RpcFunctionIsGranted(const RpcFunction *function, Oid role)
{
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function->id));
    bool granted = false;
    bool is_null = true;
    Datum value = 0;

    if (HeapTupleIsValid(tuple))
        value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proacl, &is_null);
    if (!is_null) {
        Acl *acl = DatumGetAclPCopy(value);
        int i;

        for (i = 0; i < ACL_NUM(acl); i++)
            granted |= ACL_DAT(acl)[i].ai_grantee == role &&
                       (ACLITEM_GET_PRIVS(ACL_DAT(acl)[i]) & ACL_EXECUTE) != 0;
    }
    if (HeapTupleIsValid(tuple))
        ReleaseSysCache(tuple);
    return granted;
}
