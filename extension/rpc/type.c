/* SPDX-License-Identifier: MIT
 *
 * type.c: see type.h.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "rpc/type.h"

/* Objects in objects, and arrays, deeper than this are not described. */
#define DEPTH_MAX 6

/* PostgreSQL's own types that are no plain strings in JSON; the rest are. */
static const struct {
    Oid type;
    const char *name;
    const char *format;
} plain_types[] = {
    {BOOLOID, "boolean", NULL},    {INT2OID, "integer", "int32"},
    {INT4OID, "integer", "int32"}, {INT8OID, "integer", "int64"},
    {OIDOID, "integer", "int64"},  {FLOAT4OID, "number", NULL},
    {FLOAT8OID, "number", NULL},   {NUMERICOID, "number", NULL},
    {DATEOID, "string", "date"},   {TIMESTAMPTZOID, "string", "date-time"},
    {UUIDOID, "string", "uuid"},
};

static void AddType(StringInfo json, Oid type, int depth);

/* The labels in their order, which an index of the catalog has. */
static void
AddEnum(StringInfo json, Oid type)
{
    Relation catalog = table_open(EnumRelationId, AccessShareLock);
    Relation index = index_open(EnumTypIdSortOrderIndexId, AccessShareLock);
    ScanKeyData key;
    SysScanDesc scan;
    HeapTuple tuple;

    appendStringInfoString(json, "{\"type\":[\"string\",\"null\"],\"enum\":[");
    ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(type));
    scan = systable_beginscan_ordered(catalog, index, NULL, 1, &key);
    while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection))) {
        escape_json(json, NameStr(((Form_pg_enum)GETSTRUCT(tuple))->enumlabel));
        appendStringInfoChar(json, ',');
    }
    systable_endscan_ordered(scan);
    index_close(index, AccessShareLock);
    table_close(catalog, AccessShareLock);
    appendStringInfoString(json, "null]}");
}

static void
AddColumns(StringInfo json, TupleDesc columns, bool is_nullable, int depth)
{
    const char *separator = "";
    int i;

    appendStringInfo(json, "{\"type\":%s,\"properties\":{",
                     is_nullable ? "[\"object\",\"null\"]" : "\"object\"");
    for (i = 0; i < columns->natts; i++) {
        Form_pg_attribute column = TupleDescAttr(columns, i);

        if (column->attisdropped)
            continue;
        appendStringInfoString(json, separator);
        escape_json(json, NameStr(column->attname));
        appendStringInfoChar(json, ':');
        AddType(json, column->atttypid, depth + 1);
        separator = ",";
    }
    appendStringInfoString(json, "}}");
}

static void
AddComposite(StringInfo json, Oid type, int depth)
{
    TupleDesc columns = lookup_rowtype_tupdesc_noerror(type, -1, /* noError */ true);

    if (columns == NULL || depth >= DEPTH_MAX)
        appendStringInfoString(json, "{\"type\":[\"object\",\"null\"]}");
    else
        AddColumns(json, columns, true, depth);
    if (columns != NULL)
        ReleaseTupleDesc(columns);
}

/* A type that is neither an array nor has columns or labels. */
static void
AddPlain(StringInfo json, Oid type)
{
    Size i;

    for (i = 0; i < lengthof(plain_types); i++) {
        if (plain_types[i].type != type)
            continue;
        appendStringInfo(json, "{\"type\":[\"%s\",\"null\"]", plain_types[i].name);
        if (plain_types[i].format != NULL)
            appendStringInfo(json, ",\"format\":\"%s\"", plain_types[i].format);
        appendStringInfoChar(json, '}');
        return;
    }
    /* json is anything, and a type of an extension's may have a cast to it. */
    if (type == JSONOID || type == JSONBOID || type >= FirstNormalObjectId)
        appendStringInfoString(json, "{}");
    else
        appendStringInfoString(json, "{\"type\":[\"string\",\"null\"]}");
}

static void
AddType(StringInfo json, Oid type, int depth)
{
    Oid base = getBaseType(type);
    Oid element = get_element_type(base);

    if (base == RECORDOID)
        appendStringInfoString(json, "{\"type\":[\"object\",\"null\"]}");
    else if (get_typtype(base) == TYPTYPE_ENUM)
        AddEnum(json, base);
    else if (get_typtype(base) == TYPTYPE_COMPOSITE)
        AddComposite(json, base, depth);
    else if (OidIsValid(element)) {
        appendStringInfoString(json, "{\"type\":[\"array\",\"null\"],\"items\":");
        if (depth < DEPTH_MAX)
            AddType(json, element, depth + 1);
        else
            appendStringInfoString(json, "{}");
        appendStringInfoChar(json, '}');
    } else if (get_typtype(base) == TYPTYPE_RANGE || get_typtype(base) == TYPTYPE_MULTIRANGE)
        appendStringInfoString(json, "{\"type\":[\"string\",\"null\"]}");
    else
        AddPlain(json, base);
}

void
RpcTypeSchema(StringInfo json, Oid type)
{
    AddType(json, type, 0);
}

void
RpcColumnsSchema(StringInfo json, TupleDesc columns, bool is_nullable)
{
    AddColumns(json, columns, is_nullable, 0);
}

void
RpcColumnSchema(StringInfo json, const char *name, Oid type)
{
    appendStringInfoString(json, "{\"type\":\"object\",\"properties\":{");
    escape_json(json, name);
    appendStringInfoChar(json, ':');
    AddType(json, type, 1);
    appendStringInfoString(json, "}}");
}
