/* SPDX-License-Identifier: MIT
 *
 * list_query.h: a statement of a list in the making; for the lists of this room.
 */
#ifndef AUTH_SERVICE_STORE_LIST_QUERY_H
#define AUTH_SERVICE_STORE_LIST_QUERY_H

#include "lib/stringinfo.h"

#include "store/page.h"
#include "store/statement.h"

typedef struct ListQuery {
    StringInfoData sql;
    Statement statement;
    Datum values[STATEMENT_PARAMETERS_MAX];
} ListQuery;

/* What orders a list, as its index has it: a key, or NULL, and the id. */
typedef struct ListOrdering {
    const char *key;
    const char *id;
} ListOrdering;

extern ListQuery ListQueryMake(const char *sql);
extern int ListAddParameter(ListQuery *query, Oid type, Datum value);
extern void ListAddCursor(ListQuery *query, ListOrdering by, const ListPage *page);
extern void ListAddBound(ListQuery *query, ListOrdering by, const ListPage *page, int64 bound);
extern void ListAddOrder(ListQuery *query, ListOrdering by, const ListPage *page, uint64 limit);
extern uint64 ListRun(ListQuery *query);

#endif
