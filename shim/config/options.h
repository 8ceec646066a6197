/* SPDX-License-Identifier: MIT
 *
 * options.h: the table of options, for config.c.
 */
#ifndef SHIM_CONFIG_OPTIONS_H
#define SHIM_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define OPTION_WORDS_MAX 4

enum option_kind { OPTION_TEXT, OPTION_NUMBER, OPTION_WORD, OPTION_FLAG, OPTION_NO_FLAG };

struct option_row {
    const char *name;           /* without "--"; NULL: environment only */
    const char *environment[2]; /* the second one: what the service before us called it */
    enum option_kind kind;
    size_t offset;
    int minimum, maximum;
    bool reloads;                        /* SIGHUP is enough for it */
    const char *words[OPTION_WORDS_MAX]; /* of OPTION_WORD: the value is the number of one */
    const char *initial;                 /* NULL: none */
    const char *help;
};

/* There are no more than so many. */
#define OPTIONS_MAX 64

/* The words that an option takes, with this between them. */
const char *option_words(const struct option_row *row, const char *separator, char *text,
                         size_t size);

extern const struct option_row options[];
extern const size_t option_count;

#endif
