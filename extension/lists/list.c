/* SPDX-License-Identifier: MIT
 *
 * list.c: pages of users and of the audit log, for admins.
 *
 * A page begins behind a row, not after so many rows: so it costs the same however deep it is, and
 * rows that are added meanwhile make none come twice or be left out.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "accounts/admin.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/text.h"
#include "identity/identity.h"
#include "lists/cursor.h"
#include "store/page.h"

#define LIST_LIMIT_MAX      1000
#define SUBSTRING_CHARS_MAX 255

/* No choice, action or cursor is longer. */
#define WORD_BYTES_MAX 64

/* Columns of auth.listed_user, from 0: those that StoreListUsers gives, and next_cursor. */
#define USER_BALANCE          7
#define USER_LAST_ACTIVITY_AT 10
#define USER_DELETED_AT       11
#define USER_COLUMN_COUNT     13

/* Of auth.audit_entry. */
#define AUDIT_COLUMN_COUNT 11

/* The first column of both is the id. */
#define LIST_ID 0

PG_FUNCTION_INFO_V1(auth_service_list_users);
PG_FUNCTION_INFO_V1(auth_service_deleted_users);
PG_FUNCTION_INFO_V1(auth_service_audit);

/* A list's rows on their way to the caller. */
typedef struct Listing {
    ReturnSetInfo *result;
    int column_count; /* the cursor included */
    int value_column; /* what the list is ordered by; -1: the id */
    char list;        /* for its cursors */
} Listing;

/* A StoreRowSink. */
static void
AddRow(void *context, const Datum *values, const bool *nulls, bool is_last)
{
    const Listing *listing = context;
    int count = listing->column_count;
    int value_column = listing->value_column;
    Datum row[USER_COLUMN_COUNT];
    bool row_nulls[USER_COLUMN_COUNT];

    memcpy(row, values, sizeof(Datum) * (Size)(count - 1));
    memcpy(row_nulls, nulls, sizeof(bool) * (Size)(count - 1));
    row_nulls[count - 1] = is_last;
    if (!is_last) {
        Cursor cursor = {.list = listing->list, .id = DatumGetInt64(row[LIST_ID])};

        /* A NULL is ordered as the earliest time. */
        if (value_column >= 0)
            cursor.value = row_nulls[value_column] ? DT_NOBEGIN : DatumGetInt64(row[value_column]);
        row[count - 1] = CStringGetTextDatum(CursorEncode(&cursor));
    }
    tuplestore_putvalues(listing->result->setResult, listing->result->setDesc, row, row_nulls);
}

/* ---- Arguments -------------------------------------------------------------------------- */

/* A word, or a cursor.  One that is longer than any good one, and is not looked at, reads as an empty one. */
static text *
ReadWord(FunctionCallInfo fcinfo, int number)
{
    text *word;

    if (PG_ARGISNULL(number))
        return NULL;
    word = TextUpTo(PG_GETARG_DATUM(number), WORD_BYTES_MAX);
    return word != NULL ? word : cstring_to_text("");
}

/* Read the arguments limit and cursor, the first of which has this number; a problem where bad. */
static void
ReadPage(FunctionCallInfo fcinfo, int number, char list, ListPage *page, FieldProblems *problems)
{
    Cursor cursor;

    page->limit = PG_ARGISNULL(number) ? 0 : PG_GETARG_INT32(number);
    if (page->limit < 1)
        ProblemAdd(problems, "limit", AUTH_ERROR_ARGUMENT,
                   "Input should be greater than or equal to 1", "greater_than_equal");
    else if (page->limit > LIST_LIMIT_MAX)
        ProblemAdd(problems, "limit", AUTH_ERROR_ARGUMENT,
                   psprintf("Input should be less than or equal to %d", LIST_LIMIT_MAX),
                   "less_than_equal");
    if (PG_ARGISNULL(number + 1))
        return;
    page->has_cursor = CursorDecode(ReadWord(fcinfo, number + 1), list, &cursor);
    if (page->has_cursor) {
        page->cursor_value = cursor.value;
        page->cursor_id = cursor.id;
    } else
        ProblemAdd(problems, "cursor", AUTH_ERROR_ARGUMENT, "Input should be a cursor of this list",
                   "value_error");
}

/* Which of these words the argument is; 0, and a problem, for another one. */
static int
ReadChoice(FunctionCallInfo fcinfo, int number, const char *field, const char *const *words,
           int count, const char *message, FieldProblems *problems)
{
    text *given = ReadWord(fcinfo, number);
    int i;

    for (i = 0; given != NULL && i < count; i++)
        if (strcmp(text_to_cstring(given), words[i]) == 0)
            return i;
    ProblemAdd(problems, field, AUTH_ERROR_ARGUMENT, message, "enum");
    return 0;
}

/* A text to search for; one that no value can hold is a problem, and would take long to look for. */
static text *
ReadSubstring(FunctionCallInfo fcinfo, int number, const char *field, FieldProblems *problems)
{
    text *value;

    if (PG_ARGISNULL(number))
        return NULL;
    value = TextUpTo(PG_GETARG_DATUM(number), (Size)SUBSTRING_CHARS_MAX * MAX_MULTIBYTE_CHAR_LEN);
    if (value == NULL || pg_mbstrlen_with_len(VARDATA_ANY(value), (int)VARSIZE_ANY_EXHDR(value)) >
                             SUBSTRING_CHARS_MAX)
        ProblemAdd(problems, field, AUTH_ERROR_ARGUMENT,
                   psprintf("String should have at most %d characters", SUBSTRING_CHARS_MAX),
                   "string_too_long");
    return value;
}

/* ---- The lists -------------------------------------------------------------------------- */

/*
 * SQL function: list_users(id bigint, email text, first_name text, last_name text,
 *     role auth.user_role, is_blocked boolean, sort_by text, sort_order text, "limit" integer,
 *     cursor text) returns setof auth.listed_user
 *
 * The accounts that fit every filter that is neither NULL nor empty; the texts are substrings, in any
 * case of letters.  sort_by: id, balance or last_activity_at; sort_order: asc or desc.  U422A for a bad value.
 */
Datum
auth_service_list_users(PG_FUNCTION_ARGS)
{
    static const char *const sorts[] = {"id", "balance", "last_activity_at"};
    static const char *const orders[] = {"asc", "desc"};
    static const int value_columns[] = {-1, USER_BALANCE, USER_LAST_ACTIVITY_AT};
    FieldProblems problems = {0};
    ListPage page = {0};
    UserFilter filter = {.has_id = !PG_ARGISNULL(0),
                         .has_role = !PG_ARGISNULL(4),
                         .has_is_blocked = !PG_ARGISNULL(5)};
    Listing listing = {.column_count = USER_COLUMN_COUNT};

    RequireAdmin();
    filter.email = ReadSubstring(fcinfo, 1, "email", &problems);
    filter.first_name = ReadSubstring(fcinfo, 2, "first_name", &problems);
    filter.last_name = ReadSubstring(fcinfo, 3, "last_name", &problems);
    page.sort_by =
        (ListOrder)ReadChoice(fcinfo, 6, "sort_by", sorts, lengthof(sorts),
                              "Input should be 'id', 'balance' or 'last_activity_at'", &problems);
    page.is_descending = ReadChoice(fcinfo, 7, "sort_order", orders, lengthof(orders),
                                    "Input should be 'asc' or 'desc'", &problems) == 1;
    listing.value_column = value_columns[page.sort_by];
    listing.list = (char)("iba"[page.sort_by] - (page.is_descending ? 'a' - 'A' : 0));
    ReadPage(fcinfo, 8, listing.list, &page, &problems);
    ProblemsRaise(&problems);
    if (filter.has_id)
        filter.id = PG_GETARG_INT64(0);
    if (filter.has_role)
        filter.role = RoleFromDatum(PG_GETARG_OID(4));
    if (filter.has_is_blocked)
        filter.is_blocked = PG_GETARG_BOOL(5);
    InitMaterializedSRF(fcinfo, 0);
    listing.result = (ReturnSetInfo *)fcinfo->resultinfo;
    StoreListUsers(&filter, &page, AddRow, &listing);
    return (Datum)0;
}

/*
 * SQL function: deleted_users("limit" integer, cursor text) returns setof auth.listed_user
 *
 * The last deleted first.
 */
Datum
auth_service_deleted_users(PG_FUNCTION_ARGS)
{
    FieldProblems problems = {0};
    ListPage page = {.sort_by = LIST_BY_DELETION, .is_descending = true};
    UserFilter filter = {0};
    Listing listing = {
        .column_count = USER_COLUMN_COUNT, .value_column = USER_DELETED_AT, .list = 'd'};

    RequireAdmin();
    ReadPage(fcinfo, 0, listing.list, &page, &problems);
    ProblemsRaise(&problems);
    InitMaterializedSRF(fcinfo, 0);
    listing.result = (ReturnSetInfo *)fcinfo->resultinfo;
    StoreListUsers(&filter, &page, AddRow, &listing);
    return (Datum)0;
}

/*
 * SQL function: audit(user_id bigint, actor_id bigint, action text, "limit" integer, cursor text)
 *     returns setof auth.audit_entry
 *
 * The entries that fit every filter that is not NULL, newest first.
 */
Datum
auth_service_audit(PG_FUNCTION_ARGS)
{
    FieldProblems problems = {0};
    ListPage page = {.sort_by = LIST_BY_ID, .is_descending = true};
    AuditFilter filter = {.has_user_id = !PG_ARGISNULL(0),
                          .has_actor_id = !PG_ARGISNULL(1),
                          .action = ReadWord(fcinfo, 2)};
    Listing listing = {.column_count = AUDIT_COLUMN_COUNT, .value_column = -1, .list = 'l'};

    RequireAdmin();
    if (filter.has_user_id)
        filter.user_id = PG_GETARG_INT64(0);
    if (filter.has_actor_id)
        filter.actor_id = PG_GETARG_INT64(1);
    ReadPage(fcinfo, 3, listing.list, &page, &problems);
    ProblemsRaise(&problems);
    InitMaterializedSRF(fcinfo, 0);
    listing.result = (ReturnSetInfo *)fcinfo->resultinfo;
    StoreListAudit(&filter, &page, AddRow, &listing);
    return (Datum)0;
}
