/* SPDX-License-Identifier: MIT
 *
 * type.h: what values of PostgreSQL's types look like in JSON, as JSON Schemas.
 */
#ifndef AUTH_SERVICE_RPC_TYPE_H
#define AUTH_SERVICE_RPC_TYPE_H

#include "access/tupdesc.h"
#include "lib/stringinfo.h"

/* Add the schema of a value of this type, which may be null. */
extern void RpcTypeSchema(StringInfo json, Oid type);

/* Add the schema of an object with these columns, or, where that is said, of null. */
extern void RpcColumnsSchema(StringInfo json, TupleDesc columns, bool is_nullable);

/* The same for a single column. */
extern void RpcColumnSchema(StringInfo json, const char *name, Oid type);

#endif
