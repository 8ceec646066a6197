/* SPDX-License-Identifier: MIT
 *
 * rpc_function.h: the application's functions that can be called by name with named arguments.
 */
#ifndef AUTH_SERVICE_RPC_FUNCTION_H
#define AUTH_SERVICE_RPC_FUNCTION_H

#include "access/tupdesc.h"
#include "nodes/pg_list.h"

typedef struct RpcArgument {
    char *name;
    Oid type;
    bool is_required; /* it has no default */
} RpcArgument;

/* Mirrors a part of pg_proc. */
typedef struct RpcFunction {
    Oid id;
    char *name;
    int argument_count; /* what goes in */
    RpcArgument *arguments;
    bool is_variadic; /* the last argument is VARIADIC; it is given as an array */
    bool is_volatile;
    bool is_set;       /* it returns any number of rows */
    Oid result;        /* the type it returns; void for nothing */
    TupleDesc columns; /* its OUT arguments, where they are more than one; else NULL */
    char *column;      /* of TABLE (column type); else NULL */
} RpcFunction;

/* A function with the values of those arguments that are given. */
typedef struct RpcInvocation {
    const RpcFunction *function;
    int count;
    int *numbers; /* of the arguments, from 0 */
    Oid *types;
    Datum *values;
    bool *nulls;
} RpcInvocation;

/* The schema of this name, where it may be the application's; else InvalidOid. */
extern Oid RpcSchemaFind(const char *name);

/* The functions of a schema, of this name or (NULL) all, that can be called: RpcFunction *. */
extern List *RpcFunctionsFind(Oid schema, const char *name);

/* Whether the role may call it. */
extern bool RpcFunctionMayCall(const RpcFunction *function, Oid role);

/* Whether EXECUTE was granted to this role itself, neither to PUBLIC nor to a role that it is in. */
extern bool RpcFunctionIsGranted(const RpcFunction *function, Oid role);

#endif
