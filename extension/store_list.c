/* SPDX-License-Identifier: MIT
 *
 * store_list.c: the lists of users and of the audit log: statements made of the filters that are given.
 *
 * The text of such a statement is put together from fixed pieces; values are parameters.  It is planned
 * for these values each time: which index is the right one depends on how rare a substring is.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "store.h"
#include "store_statement.h"

#define USER_COLUMNS                                                                               \
    "SELECT u.id, u.email, u.first_name, u.last_name, u.role, u.blocked_at IS NOT NULL,"           \
    " u.blocked_at, u.balance, u.created_at, u.updated_at, u.last_activity_at, u.deleted_at"       \
    " FROM auth.users u WHERE "

/* What orders a list, as its index has it: a key, where there is one, and the id. */
static const struct {
    const char *key;
    const char *id;
} orders[] = {
    [LIST_BY_ID] = {NULL, "u.id"},
    [LIST_BY_BALANCE] = {"u.balance", "u.id OPERATOR(pg_catalog.+) 0"},
    [LIST_BY_ACTIVITY] = {"COALESCE(u.last_activity_at, '-infinity'::pg_catalog.timestamptz)",
                          "u.id OPERATOR(pg_catalog.+) 0"},
    [LIST_BY_DELETION] = {"u.deleted_at", "u.id"},
};

/* A statement in the making. */
typedef struct ListQuery {
    StringInfoData sql;
    Statement statement;
    Datum values[STATEMENT_PARAMETERS_MAX];
} ListQuery;

/* The number of a new parameter. */
static int
AddParameter(ListQuery *query, Oid type, Datum value)
{
    int number = query->statement.parameter_count++;

    Assert(number < STATEMENT_PARAMETERS_MAX);
    query->statement.types[number] = type;
    query->values[number] = value;
    return number + 1;
}

/* "column contains value", upper or lower case; nothing in the value is a pattern. */
static void
AddSubstring(ListQuery *query, const char *column, text *value)
{
    StringInfoData pattern;
    const char *c;
    int i;

    if (value == NULL || VARSIZE_ANY_EXHDR(value) == 0)
        return;
    c = VARDATA_ANY(value);
    initStringInfo(&pattern);
    appendStringInfoChar(&pattern, '%');
    for (i = 0; i < VARSIZE_ANY_EXHDR(value); i++) {
        if (c[i] == '%' || c[i] == '_' || c[i] == '\\')
            appendStringInfoChar(&pattern, '\\');
        appendStringInfoChar(&pattern, c[i]);
    }
    appendStringInfoChar(&pattern, '%');
    appendStringInfo(&query->sql, " AND %s OPERATOR(pg_catalog.~~*) $%d", column,
                     AddParameter(query, TEXTOID, CStringGetTextDatum(pattern.data)));
}

/* Behind the cursor, in order, one row more than the page has: so it is known whether it is the last. */
static void
AddPage(ListQuery *query, const char *key, const char *id, const ListPage *page)
{
    const char *comparison = page->is_descending ? "<" : ">";
    const char *order = page->is_descending ? "DESC" : "ASC";

    if (page->has_cursor && key != NULL)
        appendStringInfo(&query->sql, " AND ROW(%s, %s) OPERATOR(pg_catalog.%s) ROW($%d, $%d)", key,
                         id, comparison,
                         AddParameter(query,
                                      page->sort_by == LIST_BY_BALANCE ? INT8OID : TIMESTAMPTZOID,
                                      Int64GetDatum(page->cursor_value)),
                         AddParameter(query, INT8OID, Int64GetDatum(page->cursor_id)));
    else if (page->has_cursor)
        appendStringInfo(&query->sql, " AND %s OPERATOR(pg_catalog.%s) $%d", id, comparison,
                         AddParameter(query, INT8OID, Int64GetDatum(page->cursor_id)));
    appendStringInfoString(&query->sql, " ORDER BY ");
    if (key != NULL)
        appendStringInfo(&query->sql, "%s %s, ", key, order);
    appendStringInfo(&query->sql, "%s %s LIMIT %d", id, order, page->limit + 1);
}

static void
RunQuery(ListQuery *query, const ListPage *page, StoreRowSink sink, void *context)
{
    StoreCall call;

    query->statement.sql = query->sql.data;
    StoreBegin(&call);
    RowsToSink(StoreRunOnce(&query->statement, query->values), (uint64)page->limit, sink, context);
    StoreEnd(&call);
}

/* The users of a page, in its order: columns as in auth.listed_user, but for its cursor. */
void
StoreListUsers(const UserFilter *filter, const ListPage *page, StoreRowSink sink, void *context)
{
    ListQuery query = {0};

    initStringInfo(&query.sql);
    appendStringInfo(&query.sql, USER_COLUMNS "u.deleted_at IS %s",
                     page->sort_by == LIST_BY_DELETION ? "NOT NULL" : "NULL");
    if (filter->has_id)
        appendStringInfo(&query.sql, " AND u.id" EQ "$%d",
                         AddParameter(&query, INT8OID, Int64GetDatum(filter->id)));
    AddSubstring(&query, "u.email", filter->email);
    AddSubstring(&query, "u.first_name", filter->first_name);
    AddSubstring(&query, "u.last_name", filter->last_name);
    if (filter->has_role)
        appendStringInfo(&query.sql, " AND u.role" EQ "'%s'::auth.user_role",
                         UserRoleName(filter->role));
    if (filter->has_is_blocked)
        appendStringInfo(&query.sql, " AND u.blocked_at IS %s",
                         filter->is_blocked ? "NOT NULL" : "NULL");
    AddPage(&query, orders[page->sort_by].key, orders[page->sort_by].id, page);
    RunQuery(&query, page, sink, context);
}

/* The entries of a page, newest first: columns as in auth.audit_entry, but for its cursor. */
void
StoreListAudit(const AuditFilter *filter, const ListPage *page, StoreRowSink sink, void *context)
{
    ListQuery query = {0};

    initStringInfo(&query.sql);
    appendStringInfoString(&query.sql,
                           "SELECT a.id, a.at, a.action, a.actor_id, a.user_id, a.ip, a.user_agent,"
                           " a.request_id, a.db_role, a.detail FROM auth.audit_log a WHERE true");
    if (filter->has_user_id)
        appendStringInfo(&query.sql, " AND a.user_id" EQ "$%d",
                         AddParameter(&query, INT8OID, Int64GetDatum(filter->user_id)));
    if (filter->has_actor_id)
        appendStringInfo(&query.sql, " AND a.actor_id" EQ "$%d",
                         AddParameter(&query, INT8OID, Int64GetDatum(filter->actor_id)));
    if (filter->action != NULL)
        appendStringInfo(&query.sql, " AND a.action" EQ "$%d",
                         AddParameter(&query, TEXTOID, PointerGetDatum(filter->action)));
    AddPage(&query, NULL, "a.id", page);
    RunQuery(&query, page, sink, context);
}
