/* SPDX-License-Identifier: MIT
 *
 * ngram.c: which ngrams of substrings to ask the index of substrings for.
 *
 * The index reads all entries of every ngram that it is asked for: of ".com" a million, of "ann" a thousand, and
 * to look for both takes as long as for the first alone.  So it is asked for rare ones only, by the statistics
 * that the planner has of the column; where there are none, one is as good as another.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_statistic.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "store/ngram.h"

/* Of a long substring so many, from all over it; to count more would take longer than it spares. */
#define CANDIDATES_MAX 24

/* Of the statistics' values so many, where default_statistics_target has made more. */
#define VALUES_MAX 200

/* Statistics are of a hundred values or so: what none of them has may be as frequent as this. */
#define FREQUENCY_LEAST 0.0025

/*
 * Beside the rarest a ngram is worth its reading where at most so many times as many rows have it; a short one, which
 * takes longer, and one of the same substring, which has much to do with it, where fewer have.
 */
#define WORTH_READING       64
#define WORTH_READING_SHORT 16
#define WORTH_READING_SAME  4

/* ILIKE's pattern for texts with this in them; nothing in it is a wildcard. */
static text *
ContainsPattern(const char *value, int size)
{
    StringInfoData pattern;
    int i;

    initStringInfo(&pattern);
    appendStringInfoChar(&pattern, '%');
    for (i = 0; i < size; i++) {
        if (value[i] == '%' || value[i] == '_' || value[i] == '\\')
            appendStringInfoChar(&pattern, '\\');
        appendStringInfoChar(&pattern, value[i]);
    }
    appendStringInfoChar(&pattern, '%');
    return cstring_to_text_with_len(pattern.data, pattern.len);
}

static char *
Lower(const text *value)
{
    return str_tolower(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), DEFAULT_COLLATION_OID);
}

/* ILIKE makes the pattern lower, not what it is made of: a letter's lower case may hang on what is beside it. */
Substring
SubstringMake(const char *column, const text *value)
{
    text *pattern = ContainsPattern(VARDATA_ANY(value), (int)VARSIZE_ANY_EXHDR(value));
    char *lower = Lower(pattern);
    char *to = lower;
    const char *from;

    for (from = lower + 1; from[0] != '\0' && from[1] != '\0'; from++) {
        if (*from == '\\')
            from++;
        *to++ = *from;
    }
    *to = '\0';
    return (Substring){.column = column, .pattern = pattern, .lower = lower};
}

/* Add one; but one that is not as ILIKE makes it would not find what the whole substring finds. */
static void
AddNgram(Ngrams *ngrams, const Substring *substring, const char *lower, int size, bool is_short)
{
    text *pattern = ContainsPattern(lower, size);
    const char *again = Lower(pattern);

    if (strlen(again) == VARSIZE_ANY_EXHDR(pattern) &&
        memcmp(again, VARDATA_ANY(pattern), VARSIZE_ANY_EXHDR(pattern)) == 0)
        ngrams->ngrams[ngrams->count++] = (Ngram){.substring = substring,
                                                  .pattern = pattern,
                                                  .lower = lower,
                                                  .size = size,
                                                  .is_short = is_short};
}

static void
AddNgrams(Ngrams *ngrams, const Substring *substring)
{
    int size = (int)strlen(substring->lower);
    int *offsets = palloc(sizeof(int) * (Size)(size + 1));
    int length = 0;
    int windows;
    int taken;
    int i;

    for (i = 0; i < size; i += pg_mblen(substring->lower + i))
        offsets[length++] = i;
    offsets[length] = size;
    windows = Max(length - NGRAM_CHARS, 0) + 1;
    taken = Min(windows, CANDIDATES_MAX);
    for (i = 0; i < taken; i++) {
        int first = taken == 1 ? 0 : i * (windows - 1) / (taken - 1);
        int end = Min(first + NGRAM_CHARS, length);

        AddNgram(ngrams, substring, substring->lower + offsets[first],
                 offsets[end] - offsets[first], length < NGRAM_CHARS);
    }
}

/* A text of a substring's column, which so many rows have or stand by. */
static void
CountText(Ngrams *ngrams, const Substring *substring, const text *value, double frequency)
{
    char *lower = Lower(value);
    size_t size = strlen(lower);
    int i;

    for (i = 0; i < ngrams->count; i++) {
        Ngram *ngram = &ngrams->ngrams[i];

        if (ngram->substring == substring &&
            memmem(lower, size, ngram->lower, (size_t)ngram->size) != NULL)
            ngram->frequency += frequency;
    }
    pfree(lower);
}

/* Count all that ANALYZE has kept of a column: the most common values, and a sample of the rest. */
static void
CountColumn(Ngrams *ngrams, const Substring *substring, Oid users)
{
    HeapTuple statistics =
        SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(users),
                        Int16GetDatum(get_attnum(users, substring->column)), BoolGetDatum(false));
    double rest = 1;
    AttStatsSlot slot;
    int i;

    if (!HeapTupleIsValid(statistics))
        return;
    rest -= ((Form_pg_statistic)GETSTRUCT(statistics))->stanullfrac;
    if (get_attstatsslot(&slot, statistics, STATISTIC_KIND_MCV, InvalidOid,
                         ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS)) {
        for (i = 0; i < Min(slot.nvalues, VALUES_MAX); i++) {
            CountText(ngrams, substring, DatumGetTextPP(slot.values[i]), slot.numbers[i]);
            rest -= slot.numbers[i];
        }
        free_attstatsslot(&slot);
    }
    if (get_attstatsslot(&slot, statistics, STATISTIC_KIND_HISTOGRAM, InvalidOid,
                         ATTSTATSSLOT_VALUES)) {
        int step = 1 + slot.nvalues / VALUES_MAX;

        for (i = 0; i < slot.nvalues; i += step)
            CountText(ngrams, substring, DatumGetTextPP(slot.values[i]),
                      rest * step / slot.nvalues);
        free_attstatsslot(&slot);
    }
    ReleaseSysCache(statistics);
}

/* Rare ones first; among equals those of three characters, which are one entry of the index. */
static int
CompareNgrams(const void *a, const void *b)
{
    const Ngram *x = a;
    const Ngram *y = b;

    if (x->frequency != y->frequency)
        return x->frequency < y->frequency ? -1 : 1;
    return (int)x->is_short - (int)y->is_short;
}

/* Whether a ngram is worth its reading beside so many, which are rarer. */
static bool
IsWorthReading(const Ngram *ngram, const Ngram *chosen, int count)
{
    int times = ngram->is_short ? WORTH_READING_SHORT : WORTH_READING;
    int i;

    if (count == 0)
        return true;
    if (ngram->is_short && !chosen[0].is_short)
        return false;
    for (i = 0; i < count; i++)
        if (chosen[i].substring == ngram->substring)
            times = WORTH_READING_SAME;
    return ngram->frequency <= chosen[0].frequency * times;
}

/* Those of some substrings that are worth asking for. */
Ngrams
NgramsChoose(const Substring *substrings, int count)
{
    Oid users = get_relname_relid("users", get_namespace_oid("auth", /* missing_ok */ false));
    Ngrams ngrams = {.ngrams = palloc(sizeof(Ngram) * CANDIDATES_MAX * SUBSTRINGS_MAX)};
    int candidates;
    int i;

    for (i = 0; i < count; i++) {
        AddNgrams(&ngrams, &substrings[i]);
        CountColumn(&ngrams, &substrings[i], users);
    }
    for (i = 0; i < ngrams.count; i++)
        ngrams.ngrams[i].frequency = Max(ngrams.ngrams[i].frequency, FREQUENCY_LEAST);
    qsort(ngrams.ngrams, (size_t)ngrams.count, sizeof(Ngram), CompareNgrams);
    candidates = ngrams.count;
    ngrams.count = 0;
    for (i = 0; i < candidates && ngrams.count < NGRAMS_MAX; i++) {
        const Ngram *ngram = &ngrams.ngrams[i];

        if (IsWorthReading(ngram, ngrams.ngrams, ngrams.count))
            ngrams.ngrams[ngrams.count++] = *ngram;
    }
    return ngrams;
}
