/* SPDX-License-Identifier: MIT
 *
 * config.c: reading the options, whose table is in config_options.c.  An option wins over its
 * environment variables, of which the first that is set wins; secrets have no option, since command
 * lines are public on a machine.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "client_address.h"
#include "config.h"
#include "config_options.h"
#include "cors.h"

static void
fail(const char *format, const char *what)
{
    fprintf(stderr, "auth-service: ");
    fprintf(stderr, format, what);
    fprintf(stderr, " (see auth-service --help)\n");
    exit(2);
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

/* Write the words that an option takes, with this between them. */
static void
write_words(FILE *file, const struct option_row *row, const char *separator)
{
    int i;

    for (i = 0; i < OPTION_WORDS_MAX && row->words[i] != NULL; i++)
        fprintf(file, "%s%s", i > 0 ? separator : "", row->words[i]);
}

static void
set_option(struct config *config, const struct option_row *row, const char *value)
{
    void *field = (char *)config + row->offset;
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
            fprintf(stderr, "auth-service: --%s (%s) takes a number from %d to %d, not \"%s\"\n",
                    row->name, row->environment[0], row->minimum, row->maximum, value);
            exit(2);
        }
        *(int *)field = (int)number;
        break;
    case OPTION_WORD:
        if (find_word(row, value) < 0) {
            fprintf(stderr, "auth-service: --%s (%s) takes one of ", row->name,
                    row->environment[0]);
            write_words(stderr, row, ", ");
            fprintf(stderr, ", not \"%s\"\n", value);
            exit(2);
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
}

static void
print_help(void)
{
    size_t i;

    printf(
        "auth-service " AUTH_SERVICE_VERSION ": the HTTP front of the PostgreSQL extension "
        "auth_service\n\n"
        "usage: auth-service serve [OPTION...]         answer HTTP requests\n"
        "       auth-service init-db [OPTION...]       make database, extension and the roles of "
        "`serve`\n"
        "       auth-service drop-db [--yes]           drop the database and those roles\n"
        "       auth-service create-admin EMAIL        make an account that is an admin; its "
        "password\n"
        "                                              from a prompt or standard input\n"
        "       auth-service import --from=URL         take the users of the service before us "
        "over, "
        "with their\n"
        "                                              passwords; can be repeated\n"
        "       auth-service openapi                   print the document of /openapi.json\n"
        "       auth-service --help | --version\n\n"
        "init-db, drop-db, create-admin and import connect as a superuser, serve as the role that "
        "init-db made.\n\n"
        "option, environment variables: meaning\n");
    for (i = 0; i < option_count; i++) {
        const struct option_row *row = &options[i];

        bool is_flag = row->kind == OPTION_FLAG || row->kind == OPTION_NO_FLAG;

        printf("  %s%s", row->name ? "--" : "", row->name ? row->name : "");
        if (row->name != NULL && row->kind == OPTION_WORD) {
            printf("=");
            write_words(stdout, row, "|");
        } else if (row->name != NULL && !is_flag)
            printf("=VALUE");
        printf("%s%s%s%s%s\n      %s", row->name ? ", " : "", row->environment[0],
               row->environment[1] ? ", " : "", row->environment[1] ? row->environment[1] : "",
               is_flag ? "=1" : "", row->help);
        if (row->initial != NULL)
            printf(" (default: %s)", row->initial);
        printf("\n");
    }
    exit(0);
}

/*
 * Take a secret away from the environment, which who looks at processes sees, reports of a crash too.  A
 * connection string is one: it may have a password in it.
 */
static const char *
take_secret(const char *name, char *value)
{
    char *copy = strdup(value);

    if (copy == NULL)
        fail("%s", "out of memory");
    explicit_bzero(value, strlen(value));
    unsetenv(name);
    return copy;
}

static bool
is_secret(const struct option_row *row)
{
    return row->name == NULL || row->offset == offsetof(struct config, database_url) ||
           row->offset == offsetof(struct config, import_from);
}

static void
read_defaults(struct config *config)
{
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    size_t i;
    int j;

    if (cores < 1)
        cores = 1;
    *config = (struct config){.pool_size = 4 * cores, .hash_slots = cores, .prepare = true};
    for (i = 0; i < option_count; i++) {
        const char *value = options[i].initial;

        for (j = 1; j >= 0; j--) {
            const char *name = options[i].environment[j];
            char *found = name ? getenv(name) : NULL;

            if (found != NULL && found[0] != '\0')
                value = is_secret(&options[i]) ? take_secret(name, found) : found;
        }
        if (value != NULL)
            set_option(config, &options[i], value);
    }
}

/* Take an argument's text away from the command line, which is public: there may be a password in it. */
static void
hide_argument(const char **field, char *argument)
{
    *field = strdup(argument);
    if (*field == NULL)
        fail("%s", "out of memory");
    memset(argument, 'x', strlen(argument));
}

/* Read the option at argv[*i], and its value, which may be the next argument. */
static void
read_option(struct config *config, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    size_t length = strcspn(name, "=");
    size_t row;

    for (row = 0; row < option_count; row++)
        if (options[row].name != NULL && strlen(options[row].name) == length &&
            strncmp(options[row].name, name, length) == 0)
            break;
    if (row == option_count)
        fail("unknown option %s", argv[*i]);
    if (options[row].kind == OPTION_FLAG || options[row].kind == OPTION_NO_FLAG) {
        if (name[length] == '=')
            fail("option %s takes no value", argv[*i]);
        set_option(config, &options[row], "");
    } else if (name[length] == '=')
        set_option(config, &options[row], name + length + 1);
    else if (*i + 1 < argc)
        set_option(config, &options[row], argv[++*i]);
    else
        fail("option %s needs a value", argv[*i]);
    if (options[row].offset == offsetof(struct config, import_from))
        hide_argument(&config->import_from, (char *)config->import_from);
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
static void
check_rpc_schema(const char *schema)
{
    if (schema != NULL && (strcmp(schema, "auth") == 0 || strncmp(schema, "pg_", 3) == 0 ||
                           strcmp(schema, "information_schema") == 0 || schema[0] == '\0'))
        fail("--rpc-schema takes a schema of the application's, not \"%s\"", schema);
}

static void
check_lists(const struct config *config)
{
    char which[256];
    const char *problem;

    if (config->trusted_proxies != NULL &&
        !client_address_are_networks(config->trusted_proxies, which, sizeof(which)))
        fail("--trusted-proxy takes addresses and networks (10.0.0.0/8), not \"%s\"", which);
    problem =
        config->cors_origins ? cors_problem(config->cors_origins, which, sizeof(which)) : NULL;
    if (problem != NULL) {
        fprintf(stderr, "auth-service: --cors-origins: \"%s\" %s (see auth-service --help)\n",
                which, problem);
        exit(2);
    }
}

void
config_read(struct config *config, int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            print_help();
        if (strcmp(argv[i], "--version") == 0) {
            puts("auth-service " AUTH_SERVICE_VERSION);
            exit(0);
        }
    }
    read_defaults(config);
    for (i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0)
            read_option(config, argc, argv, &i);
        else if (config->command == NULL)
            config->command = argv[i];
        else if (config->email == NULL && strcmp(config->command, "create-admin") == 0)
            config->email = argv[i];
        else
            fail("unexpected argument \"%s\"", argv[i]);
    }
    if (config->command == NULL)
        fail("%s is missing", "a command");
    check_rpc_schema(config->rpc_schema);
    check_lists(config);
    config->database_url_is_public = is_option_given(argc, argv, "--database-url");
    if (config->database_url == NULL && config->database_name == NULL &&
        getenv("PGDATABASE") == NULL)
        config->database_name = "auth_service";
}
