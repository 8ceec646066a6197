/* SPDX-License-Identifier: MIT
 *
 * substring.c: the index of substrings, a GIN operator class for ILIKE.
 *
 * Its keys are the ngrams of a text in lower case: three characters from each character on, the last ones
 * shorter.  So a substring of three characters or more is in no text that has not all of its ngrams, and one of
 * a character or two begins a ngram; pg_trgm's index has nothing for these.  A ngram is a number of 30 bits, its
 * first character foremost, so what begins with the same characters is together; the characters above 255 share
 * 768 numbers, as larger keys would be as much more WAL with each login.
 *
 * Both sides are made lower as ILIKE makes them, the whole text and the whole pattern: what it would find is found.
 */
#include "postgres.h"

#include "access/gin.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/formatting.h"

#include "base/compat.h"
#include "store/ngram.h"

#define CHARACTER_BITS 10
#define CHARACTER_MASK ((1 << CHARACTER_BITS) - 1)
#define EXACT_MAX      255 /* characters up to this one have numbers of their own */

/* A pattern is looked for by so many of its ngrams; the text must say whether it fits anyhow. */
#define QUERY_PIECES_MAX 64

/* What extractQuery tells triConsistent of a pattern: its one ngram says all. */
static const char exact = 0;

PG_FUNCTION_INFO_V1(auth_service_substring_values);
PG_FUNCTION_INFO_V1(auth_service_substring_query);
PG_FUNCTION_INFO_V1(auth_service_substring_fits);
PG_FUNCTION_INFO_V1(auth_service_substring_begins);

/* The characters of a text in lower case, and one place more. */
static pg_wchar *
LowerCharacters(const text *value, Oid collation, int *count)
{
    char *lower = str_tolower(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), collation);
    int size = (int)strlen(lower);
    pg_wchar *characters = palloc(sizeof(pg_wchar) * (Size)(size + 1));

    *count = pg_mb2wchar_with_len(lower, characters, size);
    pfree(lower);
    return characters;
}

/* The ngram of so many characters, NGRAM_CHARS at most. */
static Datum
NgramKey(const pg_wchar *characters, int count)
{
    int32 ngram = 0;
    int i;

    for (i = 0; i < NGRAM_CHARS; i++) {
        pg_wchar character = i < count ? characters[i] : 0;

        if (character > EXACT_MAX)
            character = EXACT_MAX + 1 + character % (CHARACTER_MASK - EXACT_MAX);
        ngram = ngram << CHARACTER_BITS | (int32)character;
    }
    return Int32GetDatum(ngram);
}

/*
 * SQL function: _substring_values(value text, keys internal) returns internal
 *
 * GIN's extractValue: the ngrams of a text.
 */
Datum
auth_service_substring_values(PG_FUNCTION_ARGS)
{
    text *value = PG_GETARG_TEXT_PP(0);
    int32 *key_count = (int32 *)PG_GETARG_POINTER(1);
    int count;
    pg_wchar *characters = LowerCharacters(value, PG_GET_COLLATION(), &count);
    Datum *keys = palloc(sizeof(Datum) * (Size)(count + 1));
    int i;

    for (i = 0; i < count; i++)
        keys[i] = NgramKey(characters + i, Min(count - i, NGRAM_CHARS));
    *key_count = count;
    PG_RETURN_POINTER(keys);
}

/* Copy the characters that a LIKE pattern has from here to the next wildcard to run; how many. */
static int
NextRun(const pg_wchar **pattern, const pg_wchar *end, pg_wchar *run)
{
    int length = 0;

    for (; *pattern < end && **pattern != '%' && **pattern != '_'; (*pattern)++) {
        if (**pattern == '\\' && *pattern + 1 < end)
            (*pattern)++;
        run[length++] = **pattern;
    }
    return length;
}

/* Whether a pattern is a ngram of this length between two "%", with nothing escaped and nothing that shares its number. */
static bool
IsOneNgram(const pg_wchar *pattern, int count, int length)
{
    int i;

    for (i = 0; i < count; i++)
        if (pattern[i] == '\\' || pattern[i] > EXACT_MAX)
            return false;
    return count == length + 2 && pattern[0] == '%' && pattern[count - 1] == '%';
}

/*
 * SQL function: _substring_query(pattern text, keys internal, strategy smallint, is_partial internal,
 *     extra internal, null_flags internal, search_mode internal) returns internal
 *
 * GIN's extractQuery: the ngrams that whatever fits a pattern must have.  Where it has none of three characters,
 * the longest of the others, which any ngram may begin with; where it has wildcards only, all is read.
 */
Datum
auth_service_substring_query(PG_FUNCTION_ARGS)
{
    text *value = PG_GETARG_TEXT_PP(0);
    int32 *key_count = (int32 *)PG_GETARG_POINTER(1);
    bool **is_partial = (bool **)PG_GETARG_POINTER(3);
    Pointer **extra = (Pointer **)PG_GETARG_POINTER(4);
    int32 *search_mode = (int32 *)PG_GETARG_POINTER(6);
    int count;
    const pg_wchar *pattern = LowerCharacters(value, PG_GET_COLLATION(), &count);
    const pg_wchar *end = pattern + count;
    const pg_wchar *at = pattern;
    pg_wchar *run = palloc(sizeof(pg_wchar) * (Size)(count + 1));
    Datum *keys = palloc(sizeof(Datum) * (Size)(count + 1));
    int longest = 0;
    int found = 0;

    /* Each wildcard ends a run, which may be empty. */
    for (; at < end; at++) {
        int length = NextRun(&at, end, run);
        int i;

        for (i = 0; i + NGRAM_CHARS <= length && found < QUERY_PIECES_MAX; i++)
            keys[found++] = NgramKey(run + i, NGRAM_CHARS);
        if (found == 0 && length > longest)
            keys[0] = NgramKey(run, length);
        longest = Max(longest, length);
    }
    if (found == 0 && longest > 0) {
        *is_partial = palloc(sizeof(bool));
        (*is_partial)[0] = true;
        found = 1;
    }
    if (found == 0)
        *search_mode = GIN_SEARCH_MODE_ALL;
    if (found == 1 && IsOneNgram(pattern, count, longest)) {
        *extra = palloc(sizeof(Pointer));
        (*extra)[0] = (Pointer)&exact;
    }
    *key_count = found;
    PG_RETURN_POINTER(keys);
}

/*
 * SQL function: _substring_fits(checked internal, strategy smallint, pattern text, key_count integer,
 *     extra internal, keys internal, null_flags internal) returns "char"
 *
 * GIN's triConsistent: all ngrams have to be there; whether they are in their order the text must say.
 */
Datum
auth_service_substring_fits(PG_FUNCTION_ARGS)
{
    const GinTernaryValue *checked = (GinTernaryValue *)PG_GETARG_POINTER(0);
    int32 key_count = PG_GETARG_INT32(3);
    Pointer *extra = (Pointer *)PG_GETARG_POINTER(4);
    GinTernaryValue result = extra != NULL && extra[0] == &exact ? checked[0] : GIN_MAYBE;
    int i;

    for (i = 0; i < key_count; i++)
        if (checked[i] == GIN_FALSE)
            result = GIN_FALSE;
    PG_RETURN_GIN_TERNARY_VALUE(result);
}

/*
 * SQL function: _substring_begins(beginning integer, ngram integer, strategy smallint, extra internal)
 *     returns integer
 *
 * GIN's comparePartial: 0 for a ngram that begins so; 1 for one behind those, where the search ends.
 */
Datum
auth_service_substring_begins(PG_FUNCTION_ARGS)
{
    int32 beginning = PG_GETARG_INT32(0);
    int32 ngram = PG_GETARG_INT32(1);
    int missing;

    for (missing = 0; missing < NGRAM_CHARS - 1; missing++)
        if ((beginning >> missing * CHARACTER_BITS & CHARACTER_MASK) != 0)
            break;
    PG_RETURN_INT32(ngram >> missing * CHARACTER_BITS == beginning >> missing * CHARACTER_BITS ? 0
                                                                                               : 1);
}
