/* SPDX-License-Identifier: MIT
 *
 * order_bound.c: how far a part of all users reaches in the order of a list.
 *
 * By the histogram that the planner has of what orders the list.  It may be of yesterday: then it is a larger or a
 * smaller part, or none, and still all that comes first.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_statistic.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "store/page.h"
#include "store/order_bound.h"

/* Where the statistics are: of an expression its index has them. */
static const struct {
    const char *relation;
    const char *column;
} sources[] = {
    [LIST_BY_ID] = {"users", "id"},
    [LIST_BY_BALANCE] = {"users", "balance"},
    [LIST_BY_ACTIVITY] = {"users_last_activity_at_idx", "coalesce"},
};

static HeapTuple
Statistics(ListOrder order)
{
    Oid relation = get_relname_relid(sources[order].relation,
                                     get_namespace_oid("auth", /* missing_ok */ false));

    return SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relation),
                           Int16GetDatum(get_attnum(relation, sources[order].column)),
                           BoolGetDatum(false));
}

/* The part of the rows that the histogram is of; 0 where one value alone has more of them than are asked for. */
static double
HistogramPart(HeapTuple statistics, double part)
{
    double rest = 1 - ((Form_pg_statistic)GETSTRUCT(statistics))->stanullfrac;
    AttStatsSlot slot;
    int i;

    if (!get_attstatsslot(&slot, statistics, STATISTIC_KIND_MCV, InvalidOid, ATTSTATSSLOT_NUMBERS))
        return rest;
    for (i = 0; i < slot.nnumbers; i++)
        rest = slot.numbers[i] > part ? 0 : rest - slot.numbers[i];
    free_attstatsslot(&slot);
    return Max(rest, 0);
}

/* The value so many steps behind the cursor, in a direction; false where that is behind the last. */
static bool
Step(const ListPage *page, const AttStatsSlot *slot, int steps, int64 *bound)
{
    int64 cursor = page->sort_by == LIST_BY_ID ? page->cursor_id : page->cursor_value;
    int at = 0;

    if (page->has_cursor)
        while (at < slot->nvalues && DatumGetInt64(slot->values[at]) <= cursor)
            at++;
    else if (page->is_descending)
        at = slot->nvalues;
    at += page->is_descending ? -steps - 1 : steps;
    if (at < 0 || at >= slot->nvalues)
        return false;
    *bound = DatumGetInt64(slot->values[at]);
    return true;
}

/*
 * The value up to which such a part of all users comes next in a page's list; false where it is not known, or they
 * are all that there are.
 */
bool
OrderBound(const ListPage *page, double part, int64 *bound)
{
    HeapTuple statistics = part < 1 ? Statistics(page->sort_by) : NULL;
    bool is_known = false;
    double rest;
    AttStatsSlot slot;

    Assert((int)page->sort_by < (int)lengthof(sources));
    if (!HeapTupleIsValid(statistics))
        return false;
    rest = HistogramPart(statistics, part);
    if (rest > part && get_attstatsslot(&slot, statistics, STATISTIC_KIND_HISTOGRAM, InvalidOid,
                                        ATTSTATSSLOT_VALUES)) {
        is_known = Step(page, &slot, (int)ceil(part / rest * (slot.nvalues - 1)), bound);
        free_attstatsslot(&slot);
    }
    ReleaseSysCache(statistics);
    return is_known;
}
