/* SPDX-License-Identifier: MIT
 *
 * function.h: the application's functions that can be called by name with named arguments.
 */
#ifndef AUTH_SERVICE_RPC_FUNCTION_H
#define AUTH_SERVICE_RPC_FUNCTION_H

#include "nodes/pg_list.h"

#include "store/rpc.h"

/* The schema of this name, where it may be the application's; else InvalidOid. */
extern Oid RpcSchemaFind(const char *name);

/* The functions of a schema, of this name or (NULL) all, that can be called: RpcFunction *. */
extern List *RpcFunctionsFind(Oid schema, const char *name);

/* Whether the role may call it. */
extern bool RpcFunctionMayCall(const RpcFunction *function, Oid role);

/* Whether EXECUTE was granted to this role itself, neither to PUBLIC nor to a role that it is in. */
extern bool RpcFunctionIsGranted(const RpcFunction *function, Oid role);

#endif
