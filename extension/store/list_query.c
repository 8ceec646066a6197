/* SPDX-License-Identifier: MIT
 *
 * list_query.c: statements of lists, made of the filters that are given; and the list of the audit log.
 *
 * The text of such a statement is put together from fixed pieces; values are parameters.  It is planned
 * for these values each time: which index is the right one depends on how rare a value is.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/page.h"
#include "store/list_query.h"
#include "store/statement.h"
#include "store/store.h"

/* One that begins so. */
ListQuery
ListQueryMake(const char *sql)
{
    ListQuery query = {0};

    initStringInfo(&query.sql);
    appendStringInfoString(&query.sql, sql);
    return query;
}

/* The number of a new parameter. */
int
ListAddParameter(ListQuery *query, Oid type, Datum value)
{
    int number = query->statement.parameter_count++;

    Assert(number < STATEMENT_PARAMETERS_MAX);
    query->statement.types[number] = type;
    query->values[number] = value;
    return number + 1;
}

/* A value of what orders a page's list. */
static int
AddKey(ListQuery *query, const ListPage *page, int64 value)
{
    bool is_time = page->sort_by == LIST_BY_ACTIVITY || page->sort_by == LIST_BY_DELETION;

    return ListAddParameter(query, is_time ? TIMESTAMPTZOID : INT8OID, Int64GetDatum(value));
}

/* Behind the cursor, where the page has one. */
void
ListAddCursor(ListQuery *query, ListOrdering by, const ListPage *page)
{
    const char *comparison = page->is_descending ? "<" : ">";

    if (page->has_cursor && by.key != NULL)
        appendStringInfo(&query->sql, " AND ROW(%s, %s) OPERATOR(pg_catalog.%s) ROW($%d, $%d)",
                         by.key, by.id, comparison, AddKey(query, page, page->cursor_value),
                         ListAddParameter(query, INT8OID, Int64GetDatum(page->cursor_id)));
    else if (page->has_cursor)
        appendStringInfo(&query->sql, " AND %s OPERATOR(pg_catalog.%s) $%d", by.id, comparison,
                         ListAddParameter(query, INT8OID, Int64GetDatum(page->cursor_id)));
}

/* No later in the order than what has this value. */
void
ListAddBound(ListQuery *query, ListOrdering by, const ListPage *page, int64 bound)
{
    appendStringInfo(&query->sql, " AND %s OPERATOR(pg_catalog.%s) $%d",
                     by.key != NULL ? by.key : by.id,
                     page->is_descending ? ">=" : "<=", AddKey(query, page, bound));
}

void
ListAddOrder(ListQuery *query, ListOrdering by, const ListPage *page, uint64 limit)
{
    const char *order = page->is_descending ? "DESC" : "ASC";

    appendStringInfoString(&query->sql, " ORDER BY ");
    if (by.key != NULL)
        appendStringInfo(&query->sql, "%s %s, ", by.key, order);
    appendStringInfo(&query->sql, "%s %s LIMIT " UINT64_FORMAT, by.id, order, limit);
}

/* Its rows are in SPI_tuptable then; how many. */
uint64
ListRun(ListQuery *query)
{
    query->statement.sql = query->sql.data;
    return StoreRunOnce(&query->statement, query->values);
}

/* The entries of a page, newest first: columns as in auth.audit_entry, but for its cursor. */
void
StoreListAudit(const AuditFilter *filter, const ListPage *page, StoreRowSink sink, void *context)
{
    ListOrdering by = {NULL, "a.id"};
    ListQuery query =
        ListQueryMake("SELECT a.id, a.at, a.action, a.actor_id, a.user_id, a.ip, a.user_agent,"
                      " a.request_id, a.db_role, a.detail FROM auth.audit_log a WHERE true");
    StoreCall call;

    if (filter->has_user_id)
        appendStringInfo(&query.sql, " AND a.user_id" EQ "$%d",
                         ListAddParameter(&query, INT8OID, Int64GetDatum(filter->user_id)));
    if (filter->has_actor_id)
        appendStringInfo(&query.sql, " AND a.actor_id" EQ "$%d",
                         ListAddParameter(&query, INT8OID, Int64GetDatum(filter->actor_id)));
    if (filter->action != NULL)
        appendStringInfo(&query.sql, " AND a.action" EQ "$%d",
                         ListAddParameter(&query, TEXTOID, PointerGetDatum(filter->action)));
    ListAddCursor(&query, by, page);
    ListAddOrder(&query, by, page, (uint64)page->limit + 1);
    StoreBegin(&call);
    RowsToSink(ListRun(&query), (uint64)page->limit, sink, context);
    StoreEnd(&call);
}
