/* SPDX-License-Identifier: MIT
 *
 * config.c: reading the options, whose table is in options.c.  An option wins over its
 * environment variables, of which the first that is set wins, and these over the file of --env-file;
 * secrets have no option, since command lines are public on a machine.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/address.h"
#include "base/origins.h"
#include "config/config.h"
#include "config/file.h"
#include "config/options.h"

#define SEE_HELP " (see auth-service --help)"

/* What is wrong, in one line; and where it can be looked up. */
static void __attribute__((format(printf, 2, 3)))
complain(struct config *config, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(config->problem, sizeof(config->problem), format, arguments);
    va_end(arguments);
}

/* Of a flag in the environment. */
static bool
is_true(const char *value)
{
    return strcmp(value, "0") != 0 && strcasecmp(value, "false") != 0 &&
           strcasecmp(value, "no") != 0 && strcasecmp(value, "off") != 0;
}

/* The number of a word among those that an option takes; -1: it is none. */
static int
find_word(const struct option_row *row, const char *word)
{
    int i;

    for (i = 0; i < OPTION_WORDS_MAX && row->words[i] != NULL; i++)
        if (strcmp(row->words[i], word) == 0)
            return i;
    return -1;
}

/* False, and a problem: the option does not take this value. */
static bool
set_option(struct config *config, const struct option_row *row, const char *value)
{
    void *field = (char *)config + row->offset;
    char words[64];
    char *end;
    long number;

    switch (row->kind) {
    case OPTION_TEXT:
        *(const char **)field = value;
        break;
    case OPTION_NUMBER:
        errno = 0;
        number = strtol(value, &end, 10);
        if (end == value || *end != '\0' || errno != 0 || number < row->minimum ||
            number > row->maximum) {
            complain(config, "--%s (%s) takes a number from %d to %d, not \"%s\"", row->name,
                     row->environment[0], row->minimum, row->maximum, value);
            return false;
        }
        *(int *)field = (int)number;
        break;
    case OPTION_WORD:
        if (find_word(row, value) < 0) {
            complain(config, "--%s (%s) takes one of %s, not \"%s\"", row->name,
                     row->environment[0], option_words(row, ", ", words, sizeof(words)), value);
            return false;
        }
        *(int *)field = find_word(row, value);
        break;
    case OPTION_FLAG:
        *(bool *)field = is_true(value);
        break;
    case OPTION_NO_FLAG:
        *(bool *)field = !is_true(value);
        break;
    }
    return true;
}

/*
 * A variable of the environment.  A secret is taken away from it, which who looks at processes sees, reports of
 * a crash too; a connection string is one: it may have a password in it.  Reloading finds it where we keep it.
 */
static const char *
environment_value(const struct option_row *row, int number)
{
    static char *taken[OPTIONS_MAX][2];
    char **kept = &taken[row - options][number];
    const char *name = row->environment[number];
    char *value = getenv(name);
    bool is_secret = row->name == NULL || row->offset == offsetof(struct config, database_url) ||
                     row->offset == offsetof(struct config, import_from);

    if (!is_secret || value == NULL)
        return value != NULL ? value : *kept;
    *kept = strdup(value);
    if (*kept == NULL)
        return value;
    explicit_bzero(value, strlen(value));
    unsetenv(name);
    return *kept;
}

/* What the environment or the file says of an option, or else its default; NULL: nothing. */
static const char *
find_value(const struct config_file *file, const struct option_row *row)
{
    const char *value;
    int i;

    for (i = 0; i < 2 && row->environment[i] != NULL; i++) {
        value = environment_value(row, i);
        if (value != NULL && value[0] != '\0')
            return value;
    }
    for (i = 0; i < 2 && row->environment[i] != NULL; i++) {
        value = config_file_value(file, row->environment[i]);
        if (value != NULL)
            return value;
    }
    return row->initial;
}

static bool
read_defaults(struct config *config, const struct config_file *file)
{
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    size_t i;

    if (cores < 1)
        cores = 1;
    config->pool_size =
        6 * cores + 1; /* 4 a core, and those that hashing, sharing and reading are sure of */
    config->hash_slots = cores;
    config->prepare = true;
    for (i = 0; i < option_count; i++) {
        const char *value = find_value(file, &options[i]);

        if (value != NULL && !set_option(config, &options[i], value))
            return false;
    }
    return true;
}

/* A name that is meant for us and that we do not know is a mistake; what else stands there is not ours. */
static bool
check_names(struct config *config, const struct config_file *file)
{
    size_t i;
    size_t row;

    for (i = 0; i < file->count; i++) {
        const char *name = file->variables[i].name;

        if (strncmp(name, "AUTH_SERVICE_", 13) != 0)
            continue;
        for (row = 0; row < option_count; row++)
            if (strcmp(options[row].environment[0], name) == 0)
                break;
        if (row == option_count || options[row].offset == offsetof(struct config, env_file)) {
            complain(config, "line %d of %s: there is no %s", file->variables[i].line,
                     config->env_file, name);
            return false;
        }
    }
    return true;
}

/* Read the option at argv[*i], and its value, which may be the next argument. */
static bool
read_option(struct config *config, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    const struct option_row *row;

    for (row = options; row < options + option_count; row++)
        if (row->name != NULL && strlen(row->name) == length &&
            strncmp(row->name, name, length) == 0)
            break;
    if (row == options + option_count) {
        complain(config, "unknown option %s" SEE_HELP, argv[*i]);
        return false;
    }
    if (row->kind == OPTION_FLAG || row->kind == OPTION_NO_FLAG) {
        if (value != NULL) {
            complain(config, "option %s takes no value" SEE_HELP, argv[*i]);
            return false;
        }
        value = "";
    } else if (value == NULL && *i + 1 < argc)
        value = argv[++*i];
    if (value == NULL) {
        complain(config, "option %s needs a value" SEE_HELP, argv[*i]);
        return false;
    }
    return set_option(config, row, value);
}

static bool
is_option_given(int argc, char **argv, const char *option)
{
    size_t length = strlen(option);
    int i;

    for (i = 1; i < argc; i++)
        if (strncmp(argv[i], option, length) == 0 &&
            (argv[i][length] == '=' || argv[i][length] == '\0'))
            return true;
    return false;
}

/* Schemas that are not the application's own are never opened to the world. */
static bool
check_rpc_schema(struct config *config)
{
    const char *schema = config->rpc_schema;

    if (schema == NULL || (strcmp(schema, "auth") != 0 && strncmp(schema, "pg_", 3) != 0 &&
                           strcmp(schema, "information_schema") != 0 && schema[0] != '\0'))
        return true;
    complain(config, "--rpc-schema takes a schema of the application's, not \"%s\"" SEE_HELP,
             schema);
    return false;
}

/* Proxies and origins. */
static bool
check_lists(struct config *config)
{
    char which[256];
    const char *problem;

    if (config->trusted_proxies != NULL &&
        !client_address_are_networks(config->trusted_proxies, which, sizeof(which))) {
        complain(config,
                 "--trusted-proxy takes addresses and networks (10.0.0.0/8), not \"%s\"" SEE_HELP,
                 which);
        return false;
    }
    problem =
        config->cors_origins ? origins_problem(config->cors_origins, which, sizeof(which)) : NULL;
    if (problem != NULL)
        complain(config, "--cors-origins: \"%s\" %s" SEE_HELP, which, problem);
    return problem == NULL;
}

/* Connections are known by the port that they came to. */
static bool
check_ports(struct config *config)
{
    if (config->admin_port != config->port)
        return true;
    complain(config, "--admin-port and --port are the same, %d" SEE_HELP, config->port);
    return false;
}

static bool
read_arguments(struct config *config, int argc, char **argv)
{
    int i;

    config->command = NULL;
    config->email = NULL;
    for (i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0) {
            if (!read_option(config, argc, argv, &i))
                return false;
        } else if (config->command == NULL)
            config->command = argv[i];
        else if (config->email == NULL && strcmp(config->command, "create-admin") == 0)
            config->email = argv[i];
        else {
            complain(config, "unexpected argument \"%s\"" SEE_HELP, argv[i]);
            return false;
        }
    }
    if (config->command == NULL)
        complain(config, "a command is missing" SEE_HELP);
    return config->command != NULL;
}

/* Read the file that the environment or an option names; the options win over what is in it. */
static bool
read_with_file(struct config *config, int argc, char **argv)
{
    const char *path = config->env_file;

    if (path == NULL)
        return true;
    if (!config_file_read(&config->file, path, config->problem, sizeof(config->problem)))
        return false;
    return check_names(config, &config->file) && read_defaults(config, &config->file) &&
           read_arguments(config, argc, argv);
}

bool
config_read(struct config *config, int argc, char **argv)
{
    *config = (struct config){0};
    if (!read_defaults(config, NULL) || !read_arguments(config, argc, argv) ||
        !read_with_file(config, argc, argv) || !check_rpc_schema(config) || !check_lists(config) ||
        !check_ports(config))
        return false;
    config->database_url_is_public = is_option_given(argc, argv, "--database-url");
    if (config->database_url == NULL && config->database_name == NULL &&
        getenv("PGDATABASE") == NULL)
        config->database_name = "auth_service";
    return true;
}

void
config_hide_arguments(struct config *config, int argc, char **argv)
{
    char *copy;

    if (config->import_from == NULL || !is_option_given(argc, argv, "--from"))
        return;
    copy = strdup(config->import_from);
    if (copy == NULL)
        return;
    memset((char *)config->import_from, 'x', strlen(copy));
    config->import_from = copy;
}
