/* SPDX-License-Identifier: MIT
 *
 * live.c: the configuration that counts, and how another one takes its place (config.h).
 *
 * A configuration does not change once it counts: threads that look at one are not disturbed by the next.  Those
 * before it stay in memory, a few kilobytes each, since nobody knows when the last thread has done with them.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/file.h"
#include "config/options.h"
#include "telemetry/log.h"

static _Atomic(const struct config *) current;

static config_check *check;

/* The arguments of the command. */
static int argument_count;
static char **arguments;

const struct config *
config_now(void)
{
    return atomic_load_explicit(&current, memory_order_acquire);
}

static bool
is_equal_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

static bool
is_equal(const struct option_row *row, const struct config *one, const struct config *other)
{
    const void *a = (const char *)one + row->offset;
    const void *b = (const char *)other + row->offset;

    switch (row->kind) {
    case OPTION_TEXT:
        return is_equal_text(*(const char *const *)a, *(const char *const *)b);
    case OPTION_NUMBER:
    case OPTION_WORD:
        return *(const int *)a == *(const int *)b;
    default:
        return *(const bool *)a == *(const bool *)b;
    }
}

static size_t
size_of(const struct option_row *row)
{
    switch (row->kind) {
    case OPTION_TEXT:
        return sizeof(const char *);
    case OPTION_NUMBER:
    case OPTION_WORD:
        return sizeof(int);
    default:
        return sizeof(bool);
    }
}

/* What cannot change while we serve stays, and a line says so. */
static void
keep_fixed(struct config *config, const struct config *before)
{
    const struct option_row *row;

    for (row = options; row < options + option_count; row++)
        if (!row->reloads && !is_equal(row, config, before)) {
            log_event(LEVEL_WARNING, "a setting changes only at the next start", "setting",
                      row->environment[0]);
            memcpy((char *)config + row->offset, (const char *)before + row->offset, size_of(row));
        }
}

/* Whether connections are made in another way now. */
static bool
is_another_database(const struct config *config, const struct config *before)
{
    return !is_equal_text(config->database_url, before->database_url) ||
           !is_equal_text(config->database_host, before->database_host) ||
           !is_equal_text(config->database_port, before->database_port) ||
           !is_equal_text(config->database_name, before->database_name) ||
           !is_equal_text(config->database_user, before->database_user) ||
           !is_equal_text(config->database_password, before->database_password);
}

/* NULL where it is not good; then *problem is the reason, which lives until the next call. */
static struct config *
read_config(const char **problem)
{
    static char text[CONFIG_PROBLEM_MAX];
    struct config *config = calloc(1, sizeof(*config));
    const char *wrong = "out of memory";

    if (config != NULL && config_read(config, argument_count, arguments)) {
        wrong = check(config);
        if (wrong == NULL)
            return config;
    } else if (config != NULL)
        wrong = config->problem;
    snprintf(text, sizeof(text), "%s", wrong);
    *problem = text;
    if (config != NULL)
        config_file_free(&config->file);
    free(config);
    return NULL;
}

const struct config *
config_start(int argc, char **argv, config_check *its_check, const char **problem)
{
    struct config *config;

    check = its_check;
    argument_count = argc;
    arguments = argv;
    config = read_config(problem);
    if (config != NULL)
        config_hide_arguments(config, argc, argv);
    atomic_store_explicit(&current, config, memory_order_release);
    return config;
}

bool
config_reload(bool *other_database)
{
    const struct config *before = config_now();
    const char *problem = NULL;
    struct config *config = read_config(&problem);

    if (config == NULL) {
        log_event(LEVEL_ERROR, "the settings stay as they are", "error", problem);
        return false;
    }
    keep_fixed(config, before);
    config->before = before;
    *other_database = is_another_database(config, before);
    atomic_store_explicit(&current, config, memory_order_release);
    log_event(LEVEL_INFO, "reloaded", NULL, NULL);
    return true;
}
