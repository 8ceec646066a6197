/* SPDX-License-Identifier: MIT
 *
 * user_list.c: the lists of users.
 *
 * A page with substrings is found among the first rows of the order, where many accounts fit, or by the index of
 * substrings, where few do.  Each way reads the whole table where it is the wrong one, and how many fit the planner
 * only guesses.  So the first rows are looked at in any case, which are a page, or tell how far it is to one.  Then the
 * index of substrings is asked, alone or with the order's, or more rows are looked at: what takes least.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/types.h"
#include "store/page.h"
#include "store/list_query.h"
#include "store/ngram.h"
#include "store/order_bound.h"
#include "store/statement.h"
#include "store/store.h"

/* A walk over the order begins with so many rows, and begins anew with so many times as many. */
#define WALK_ROWS   1000
#define WALK_FACTOR 16

/* Or with so many times as many as should do: it ends with the page. */
#define WALK_MARGIN 2

/* The statistics are of a hundred values or so: what is rarer than this the walk knows better. */
#define STATISTICS_LEAST 0.03

/*
 * What it takes, in rows of a walk: to read and sort a row that the index of substrings has found; to read an entry of
 * that index; one of those that a short ngram begins, which are put in order first; an entry of the order's index.
 */
#define FOUND_ROW_COST   2
#define ENTRY_COST       0.02
#define SHORT_ENTRY_COST 0.1
#define ORDER_ENTRY_COST 0.1

/* The planner takes ngrams for independent: further ones are left out where it would expect less of all rows than this. */
#define EXPECTED_LEAST 0.001

/* A row that has an index of its own and may be spared by reading a ngram; or may not, so this is little. */
#define SPARED_ROW_COST 0.25

#define USER_COLUMNS                                                                               \
    "SELECT u.id, u.email, u.first_name, u.last_name, u.role, u.blocked_at IS NOT NULL,"           \
    " u.blocked_at, u.balance, u.created_at, u.updated_at, u.last_activity_at, u.deleted_at FROM "

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

/* How many users there are, as far as they were counted. */
typedef struct Counts {
    double users;
    double fitting;
} Counts;

/* Of the planner. */
typedef struct Setting {
    const char *name;
    const char *value;
} Setting;

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
 * substrings, by all its ngrams.
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

/* Run it with some settings, of which the last has no name. */
static uint64
RunWith(ListQuery *query, const Setting *settings)
{
    int settings_level = NewGUCNestLevel();
    uint64 count;

    for (; settings->name != NULL; settings++)
        set_config_option(settings->name, settings->value, PGC_USERSET, PGC_S_SESSION,
                          GUC_ACTION_SAVE, true, 0, false);
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
    static const Setting settings[] = {{"enable_indexscan", "on"},
                                       {"enable_seqscan", "off"},
                                       {"enable_bitmapscan", "off"},
                                       {"enable_sort", "off"},
                                       {"jit", "off"},
                                       {NULL, NULL}};
    ListQuery query = ListQueryMake("");

    appendStringInfo(
        &query.sql,
        USER_COLUMNS
        "(SELECT u.*, %s AS key, %s AS place FROM auth.users u WHERE u.deleted_at IS NULL",
        search->by.key == NULL ? "NULL" : search->by.key, search->by.id);
    ListAddCursor(&query, search->by, search->page);
    ListAddOrder(&query, search->by, search->page, rows);
    appendStringInfoString(&query.sql, ") u WHERE true");
    AddFilter(&query, search->filter);
    AddSubstrings(&query, search);
    ListAddOrder(&query, search->outer_by, search->page, search->wanted);
    return RunWith(&query, settings);
}

/* How many rows an index had when they were last counted; 0 where they never were. */
static double
RowsCounted(const char *index)
{
    Oid id = get_relname_relid(index, get_namespace_oid("auth", /* missing_ok */ false));
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(id));
    double count = 0;

    if (HeapTupleIsValid(tuple)) {
        count = Max(((Form_pg_class)GETSTRUCT(tuple))->reltuples, 0);
        ReleaseSysCache(tuple);
    }
    return count;
}

/* How many times as large the table is as when its rows were last counted. */
static double
Growth(void)
{
    Oid id = get_relname_relid("users", get_namespace_oid("auth", /* missing_ok */ false));
    Relation users = table_open(id, AccessShareLock);
    double growth = RelationGetNumberOfBlocks(users) / (double)Max(users->rd_rel->relpages, 1);

    table_close(users, AccessShareLock);
    return growth;
}

/* The users of the list, and those of them that fit what has an index of its own. */
static Counts
CountUsers(const UserFilter *filter)
{
    double growth = Growth();
    Counts counts = {.users = RowsCounted("users_balance_idx") * growth};

    counts.fitting = counts.users;
    if (filter->has_role && filter->role == USER_ROLE_ADMIN)
        counts.fitting = Min(counts.fitting, RowsCounted("users_admin_idx") * growth);
    if (filter->has_is_blocked && filter->is_blocked)
        counts.fitting = Min(counts.fitting, RowsCounted("users_blocked_idx") * growth);
    return counts;
}

/* What it takes to read the entries of a ngram, in rows of a walk. */
static double
NgramCost(const Ngram *ngram, const Counts *counts)
{
    return counts->users * ngram->frequency * (ngram->is_short ? SHORT_ENTRY_COST : ENTRY_COST);
}

/* Those that do not take longer than the rows that they may spare; what they take. */
static double
NgramsKeep(Ngrams *ngrams, const Counts *counts)
{
    double cost = 0;
    int kept = 0;
    int i;

    for (i = 0; i < ngrams->count; i++) {
        Ngram ngram = ngrams->ngrams[i];

        if (NgramCost(&ngram, counts) > counts->fitting * SPARED_ROW_COST)
            continue;
        cost += NgramCost(&ngram, counts);
        ngrams->ngrams[kept++] = ngram;
    }
    ngrams->count = kept;
    return cost;
}

/*
 * How large a part of all rows the index may find, where such a part of the first ones fits: they may be unlike the
 * others, which the statistics tell.
 */
static double
PartThatFits(const Ngrams *ngrams, double part)
{
    if (ngrams->count > 0 && ngrams->ngrams[0].frequency > STATISTICS_LEAST)
        part = Max(part, ngrams->ngrams[0].frequency);
    return part;
}

/*
 * All that the index of substrings has, sorted; or those only that come no later in the order than a bound, NULL for
 * none.  Then both indexes are to be read before any row is, however few rows the statistics expect: so a row is said
 * to cost much, and no ngram is asked for with which the planner would expect hardly any.  It must not read a third
 * index, which has nearly all: beside that of the ids any index of users that are not deleted would do.
 */
static uint64
AskIndex(const Search *search, const Ngrams *ngrams, const int64 *bound)
{
    const Setting settings[] = {
        {"enable_bitmapscan", "on"},
        {"enable_seqscan", "off"},
        {"enable_indexscan", "off"},
        {"enable_indexonlyscan", "off"},
        {"jit", "off"},
        {"gin_fuzzy_search_limit", "0"}, /* with the caller's some would be left out */
        {"cpu_tuple_cost", bound != NULL ? "10" : "0.01"},
        {NULL, NULL}};
    bool is_hidden = bound != NULL && search->page->sort_by == LIST_BY_ID;
    ListQuery query = ListQueryMake(USER_COLUMNS "auth.users u WHERE ");
    double expected = 1;
    int i;

    appendStringInfoString(&query.sql, is_hidden ? "pg_catalog.num_nulls(u.deleted_at)" EQ "1"
                                                 : "u.deleted_at IS NULL");
    for (i = 0; i < ngrams->count; i++) {
        expected *= ngrams->ngrams[i].frequency;
        if (bound != NULL && i > 0 && expected < EXPECTED_LEAST)
            break;
        appendStringInfo(
            &query.sql, " AND u.%s OPERATOR(pg_catalog.~~*) $%d",
            ngrams->ngrams[i].substring->column,
            ListAddParameter(&query, TEXTOID, PointerGetDatum(ngrams->ngrams[i].pattern)));
    }
    AddFilter(&query, search->filter);
    AddSubstrings(&query, search);
    ListAddCursor(&query, search->by, search->page);
    if (bound != NULL)
        ListAddBound(&query, search->by, search->page, *bound);
    ListAddOrder(&query, search->by, search->page, search->wanted);
    return RunWith(&query, settings);
}

/*
 * Leaves its rows in SPI_tuptable; their count.  After each step it is known better how many rows of the order have a
 * page; the next one is what takes least by that.
 */
static uint64
FindPage(const Search *search)
{
    Counts counts = CountUsers(search->filter);
    double walked = WALK_ROWS;
    uint64 found = Walk(search, WALK_ROWS);
    Ngrams ngrams;
    double entries;

    if (found == search->wanted)
        return found;
    ngrams = NgramsChoose(search->substrings, search->substring_count);
    entries = NgramsKeep(&ngrams, &counts);
    while (found < search->wanted) {
        double part = PartThatFits(&ngrams, (double)found / walked);
        double needed =
            found > 0 ? walked * (double)search->wanted / (double)found : walked * WALK_FACTOR;
        double rows = found > 0 ? Max(walked * WALK_FACTOR, needed * WALK_MARGIN) : needed;
        double within = entries + needed * ORDER_ENTRY_COST;
        double whole = entries + Min(counts.users * part, counts.fitting) * FOUND_ROW_COST;
        int64 bound;

        if (within < Min(needed, whole) && OrderBound(search->page, rows / counts.users, &bound))
            found = AskIndex(search, &ngrams, &bound);
        else if (needed < whole)
            found = Walk(search, (uint64)rows);
        else
            return AskIndex(search, &ngrams, NULL);
        walked = rows;
    }
    return found;
}

/* ---- Pages ------------------------------------------------------------------------------ */

/* A page without substrings, or of one id; the planner knows its index. */
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
