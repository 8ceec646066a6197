/* SPDX-License-Identifier: MIT
 *
 * store_user_list.c: the lists of users.
 *
 * A page with substrings is found among the first rows of the order, where many accounts fit, or by the index of
 * substrings, where few do.  Each way reads the whole table where it is the wrong one, and how many fit the planner
 * only guesses.  So the first rows are looked at in any case, which are a page, or a sample that tells what to do.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "piece.h"
#include "store.h"
#include "store_list.h"

#define SAMPLE_ROWS 2000

/* A walk over the order goes on for so many times the rows that it should take by the sample. */
#define WALK_MARGIN 2

/*
 * What it takes to read and sort a row that the index of substrings has found, and an entry of that index; in rows of
 * a walk.  Entries of many keys, which a short piece begins, are put in order first.
 */
#define FOUND_ROW_COST   2
#define ENTRY_COST       0.02
#define SHORT_ENTRY_COST 0.2

#define USER_COLUMNS                                                                               \
    "SELECT u.id, u.email, u.first_name, u.last_name, u.role, u.blocked_at IS NOT NULL,"           \
    " u.blocked_at, u.balance, u.created_at, u.updated_at, u.last_activity_at, u.deleted_at FROM "

/* A statement around one that has what orders the list as key and place. */
#define OUTER_COLUMNS                                                                              \
    USER_COLUMNS "(SELECT u.id, u.email, u.first_name, u.last_name, u.role, u.blocked_at,"         \
                 " u.balance, u.created_at, u.updated_at, u.last_activity_at, u.deleted_at,"       \
                 " %s AS key, %s AS place FROM "

/* What is asked for. */
typedef struct Search {
    const UserFilter *filter;
    const ListPage *page;
    Substring substrings[SUBSTRINGS_MAX];
    int substring_count;
    ListOrdering by;
    ListOrdering outer_by;
    uint64 wanted; /* one row more than the page has: so it is known whether it is the last */
} Search;

static const ListOrdering orders[] = {
    [LIST_BY_ID] = {NULL, "u.id"},
    [LIST_BY_BALANCE] = {"u.balance", "u.id OPERATOR(pg_catalog.+) 0"},
    [LIST_BY_ACTIVITY] = {"COALESCE(u.last_activity_at, '-infinity'::pg_catalog.timestamptz)",
                          "u.id OPERATOR(pg_catalog.+) 0"},
    [LIST_BY_DELETION] = {"u.deleted_at", "u.id"},
};

/* ---- Parts of statements ---------------------------------------------------------------- */

static void
AddFilter(ListQuery *query, const UserFilter *filter)
{
    if (filter->has_id)
        appendStringInfo(&query->sql, " AND u.id" EQ "$%d",
                         ListAddParameter(query, INT8OID, Int64GetDatum(filter->id)));
    if (filter->has_role)
        appendStringInfo(&query->sql, " AND u.role" EQ "'%s'::auth.user_role",
                         UserRoleName(filter->role));
    if (filter->has_is_blocked)
        appendStringInfo(&query->sql, " AND u.blocked_at IS %s",
                         filter->is_blocked ? "NOT NULL" : "NULL");
}

/*
 * "column contains value", upper or lower case.  As a function: an operator would be looked for in the index of
 * substrings, by all its pieces.
 */
static void
AddSubstrings(ListQuery *query, const Search *search)
{
    int i;

    for (i = 0; i < search->substring_count; i++)
        appendStringInfo(
            &query->sql, " AND pg_catalog.texticlike(u.%s, $%d)", search->substrings[i].column,
            ListAddParameter(query, TEXTOID, PointerGetDatum(search->substrings[i].pattern)));
}

/* Run it without some ways to run it, the names of which end with NULL. */
static uint64
RunWithout(ListQuery *query, const char *const *ways)
{
    int settings_level = NewGUCNestLevel();
    uint64 count;

    for (; *ways != NULL; ways++)
        set_config_option(*ways, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                          false);
    count = ListRun(query);
    AtEOXact_GUC(true, settings_level);
    return count;
}

/* ---- A page with substrings ------------------------------------------------------------- */

/*
 * Those that fit among so many of the order, from the cursor on.  They are read in the order of its index, to the
 * limit and no further, whatever the statistics say.
 */
static uint64
Walk(const Search *search, uint64 rows)
{
    static const char *const others[] = {"enable_seqscan", "enable_bitmapscan", "enable_sort",
                                         "jit", NULL};
    ListQuery query = ListQueryMake("");

    appendStringInfo(&query.sql, OUTER_COLUMNS "auth.users u WHERE u.deleted_at IS NULL",
                     search->by.key == NULL ? "NULL" : search->by.key, search->by.id);
    ListAddCursor(&query, search->by, search->page);
    ListAddOrder(&query, search->by, search->page, rows);
    appendStringInfoString(&query.sql, ") u WHERE true");
    AddFilter(&query, search->filter);
    AddSubstrings(&query, search);
    ListAddOrder(&query, search->outer_by, search->page, search->wanted);
    return RunWithout(&query, others);
}

/* How many users there were when they were last counted; 0 where they never were. */
static double
UsersCounted(void)
{
    Oid users = get_relname_relid("users", get_namespace_oid("auth", /* missing_ok */ false));
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(users));
    double count = 0;

    if (HeapTupleIsValid(tuple)) {
        count = Max(((Form_pg_class)GETSTRUCT(tuple))->reltuples, 0);
        ReleaseSysCache(tuple);
    }
    return count;
}

/* What it takes to ask the index of substrings, in rows of a walk; so many users fit. */
static double
IndexCost(const Pieces *pieces, double users, double fit)
{
    double cost = fit * FOUND_ROW_COST;
    int i;

    for (i = 0; i < pieces->count; i++)
        cost += users * pieces->pieces[i].frequency *
                (pieces->pieces[i].is_short ? SHORT_ENTRY_COST : ENTRY_COST);
    return cost;
}

/* All that the index of substrings has, sorted; or all behind the cursor, where those are less. */
static uint64
AskIndex(const Search *search, const Pieces *pieces)
{
    static const char *const others[] = {"enable_seqscan", "enable_indexscan",
                                         "enable_indexonlyscan", "jit", NULL};
    ListQuery query = ListQueryMake(USER_COLUMNS "auth.users u WHERE u.deleted_at IS NULL");
    int i;

    for (i = 0; i < pieces->count; i++)
        appendStringInfo(
            &query.sql, " AND u.%s OPERATOR(pg_catalog.~~*) $%d",
            pieces->pieces[i].substring->column,
            ListAddParameter(&query, TEXTOID, PointerGetDatum(pieces->pieces[i].pattern)));
    AddFilter(&query, search->filter);
    AddSubstrings(&query, search);
    ListAddCursor(&query, search->by, search->page);
    ListAddOrder(&query, search->by, search->page, search->wanted);
    return RunWithout(&query, others);
}

/* Leaves its rows in SPI_tuptable; their count. */
static uint64
FindPage(const Search *search)
{
    uint64 found = Walk(search, SAMPLE_ROWS);
    double part = (double)found / SAMPLE_ROWS; /* of the rows that fit */
    Pieces pieces;

    if (found == search->wanted)
        return found;
    pieces = PiecesChoose(search->substrings, search->substring_count);
    if (found > 0) {
        double users = UsersCounted();
        double rows = (double)search->wanted / part;

        if (rows <= IndexCost(&pieces, users, users * part))
            found = Walk(search, (uint64)rows * WALK_MARGIN);
    }
    return found == search->wanted ? found : AskIndex(search, &pieces);
}

/* ---- Pages ------------------------------------------------------------------------------ */

/* A page without substrings; the planner knows its index. */
static uint64
ReadPage(const Search *search)
{
    ListQuery query = ListQueryMake(USER_COLUMNS "auth.users u WHERE u.deleted_at IS ");

    appendStringInfoString(&query.sql,
                           search->page->sort_by == LIST_BY_DELETION ? "NOT NULL" : "NULL");
    AddFilter(&query, search->filter);
    AddSubstrings(&query, search);
    ListAddCursor(&query, search->by, search->page);
    ListAddOrder(&query, search->by, search->page, search->wanted);
    return ListRun(&query);
}

static void
AddSubstring(Search *search, const char *column, const text *value)
{
    if (value != NULL && VARSIZE_ANY_EXHDR(value) > 0)
        search->substrings[search->substring_count++] = SubstringMake(column, value);
}

/* The users of a page, in its order: columns as in auth.listed_user, but for its cursor. */
void
StoreListUsers(const UserFilter *filter, const ListPage *page, StoreRowSink sink, void *context)
{
    ListOrdering by = orders[page->sort_by];
    Search search = {.filter = filter,
                     .page = page,
                     .by = by,
                     .outer_by = {by.key == NULL ? NULL : "u.key", "u.place"},
                     .wanted = (uint64)page->limit + 1};
    StoreCall call;
    uint64 count;

    AddSubstring(&search, "email", filter->email);
    AddSubstring(&search, "first_name", filter->first_name);
    AddSubstring(&search, "last_name", filter->last_name);
    StoreBegin(&call);
    count = search.substring_count > 0 && !filter->has_id ? FindPage(&search) : ReadPage(&search);
    RowsToSink(count, (uint64)page->limit, sink, context);
    StoreEnd(&call);
}
