/* SPDX-License-Identifier: MIT
 *
 * rpc.h: calls of the application's functions.
 */
#ifndef AUTH_SERVICE_STORE_RPC_H
#define AUTH_SERVICE_STORE_RPC_H

#include "access/tupdesc.h"

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

extern char *StoreRpc(RpcInvocation *invocation);

#endif
