/* SPDX-License-Identifier: MIT
 *
 * ngram.h: parts of texts, by which the index of substrings finds them.
 */
#ifndef AUTH_SERVICE_STORE_NGRAM_H
#define AUTH_SERVICE_STORE_NGRAM_H

#define NGRAM_CHARS 3 /* as pg_trgm has them */

#define SUBSTRINGS_MAX 3 /* one for each column that is searched */
#define NGRAMS_MAX     4

/* A text that a column of auth.users has to have in it. */
typedef struct Substring {
    const char *column;
    text *pattern;     /* for ILIKE */
    const char *lower; /* in lower case, as ILIKE makes it */
} Substring;

/* A part of a substring: NGRAM_CHARS characters of it, or all where it has not so many. */
typedef struct Ngram {
    const Substring *substring;
    text *pattern;     /* for ILIKE */
    const char *lower; /* not terminated */
    int size;
    bool is_short;    /* it only begins keys of the index */
    double frequency; /* of the rows that have it, as far as the statistics say; more than 0 */
} Ngram;

/* What to ask the index for. */
typedef struct Ngrams {
    Ngram *ngrams;
    int count;
} Ngrams;

extern Substring SubstringMake(const char *column, const text *value);
extern Ngrams NgramsChoose(const Substring *substrings, int count);

#endif
