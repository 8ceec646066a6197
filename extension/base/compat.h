/* SPDX-License-Identifier: MIT
 *
 * compat.h: what moved between the PostgreSQL versions that we build for (15 to 18).
 */
#ifndef AUTH_SERVICE_BASE_COMPAT_H
#define AUTH_SERVICE_BASE_COMPAT_H

#if PG_VERSION_NUM >= 160000
#include "varatt.h" /* VARDATA_ANY and its like; part of postgres.h before */
#endif

/* Before a function that does not return; 18 has it under this name, which stands where C23's attribute would. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Memory for a setting's "extra": PostgreSQL 16 gave it an allocator of its own.  NULL: none left. */
#if PG_VERSION_NUM >= 160000
#define CompatGucAlloc(size) guc_malloc(LOG, size)
#else
#define CompatGucAlloc(size) malloc(size)
#endif

/* For PostgreSQL's JSON parser, with escapes decoded: 17 takes the memory to use as well. */
#if PG_VERSION_NUM >= 170000
#define CompatJsonLexContext(json) makeJsonLexContext(NULL, json, true)
#else
#define CompatJsonLexContext(json) makeJsonLexContext(json, true)
#endif

/* What that parser calls: 16 takes its word for an error. */
#if PG_VERSION_NUM >= 160000
#define CompatJsonAction JsonParseErrorType
#define CompatJsonGoOn   return JSON_SUCCESS
#else
#define CompatJsonAction void
#define CompatJsonGoOn   return
#endif

/* Whether a role may call a function, or name what is in a schema; PostgreSQL 16 has one for all. */
#if PG_VERSION_NUM >= 160000
#define CompatMayExecute(function, role)                                                           \
    (object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK)
#define CompatMayUse(schema, role)                                                                 \
    (object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK)
#else
#define CompatMayExecute(function, role)                                                           \
    (pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK)
#define CompatMayUse(schema, role) (pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK)
#endif

/* The planner for a part of a query: 17 takes the set operation that it is of as well. */
#if PG_VERSION_NUM >= 170000
#define CompatSubqueryPlanner(glob, parse, parent_root)                                            \
    subquery_planner(glob, parse, parent_root, false, 0.0, NULL)
#else
#define CompatSubqueryPlanner(glob, parse, parent_root)                                            \
    subquery_planner(glob, parse, parent_root, false, 0.0)
#endif

/* Put a new row into the indexes of its table: 16 can be told to leave some out. */
#if PG_VERSION_NUM >= 160000
#define CompatInsertIntoIndexes(relation, slot, state)                                             \
    ExecInsertIndexTuples(relation, slot, state, false, false, NULL, NIL, false)
#else
#define CompatInsertIntoIndexes(relation, slot, state)                                             \
    ExecInsertIndexTuples(relation, slot, state, false, false, NULL, NIL)
#endif

/* The index of the primary key; 18 can be told to take a deferrable one. */
#if PG_VERSION_NUM >= 180000
#define CompatPrimaryKeyIndex(relation) RelationGetPrimaryKeyIndex(relation, false)
#else
#define CompatPrimaryKeyIndex(relation) RelationGetPrimaryKeyIndex(relation)
#endif

/* A scan of an index for rows with these keys; 18 can count what it does. */
#if PG_VERSION_NUM >= 180000
#define CompatIndexBeginScan(table, index, snapshot, keys)                                         \
    index_beginscan(table, index, snapshot, NULL, keys, 0)
#else
#define CompatIndexBeginScan(table, index, snapshot, keys)                                         \
    index_beginscan(table, index, snapshot, keys, 0)
#endif

/* What the server knows of this module; 18 can tell its name and version (pg_get_loaded_modules). */
#if PG_VERSION_NUM >= 180000
#define CompatModuleMagic(its_name, its_version)                                                   \
    PG_MODULE_MAGIC_EXT(.name = its_name, .version = its_version)
#else
#define CompatModuleMagic(its_name, its_version) PG_MODULE_MAGIC
#endif

/* All settings. */
#if PG_VERSION_NUM >= 160000
#define CompatGucVariables(count) get_guc_variables(count)
#else
#define CompatGucVariables(count) (*(count) = GetNumConfigOptions(), get_guc_variables())
#endif

#endif
