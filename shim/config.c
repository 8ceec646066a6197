/* SPDX-License-Identifier: MIT
 *
 * config.c: the table of options.  An option wins over its environment variables, of which the
 * first that is set wins; secrets have no option, since command lines are public on a machine.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config.h"

enum option_kind { OPTION_TEXT, OPTION_NUMBER, OPTION_FLAG, OPTION_NO_FLAG };

struct option_row {
    const char *name;           /* without "--"; NULL: environment only */
    const char *environment[2]; /* the second one: what the service before us called it */
    enum option_kind kind;
    size_t offset;
    int minimum, maximum;
    const char *initial; /* NULL: none */
    const char *help;
};

#define FIELD(field) offsetof(struct config, field)

static const struct option_row options[] = {
    {"host",
     {"AUTH_SERVICE_HOST"},
     OPTION_TEXT,
     FIELD(host),
     0,
     0,
     "127.0.0.1",
     "IPv4 address to listen on"},
    {"port",
     {"AUTH_SERVICE_PORT"},
     OPTION_NUMBER,
     FIELD(port),
     1,
     65535,
     "8000",
     "port to listen on"},
    {"threads",
     {"AUTH_SERVICE_THREADS"},
     OPTION_NUMBER,
     FIELD(threads),
     1,
     4096,
     "512",
     "connections served at the same time"},
    {"max-body",
     {"AUTH_SERVICE_MAX_BODY"},
     OPTION_NUMBER,
     FIELD(max_body),
     256,
     16777216,
     "65536",
     "largest request body in bytes"},
    {"request-timeout",
     {"AUTH_SERVICE_REQUEST_TIMEOUT"},
     OPTION_NUMBER,
     FIELD(request_timeout),
     1,
     3600,
     "10",
     "seconds to receive a head, to receive a body, to send an answer"},
    {"keep-alive-timeout",
     {"AUTH_SERVICE_KEEP_ALIVE_TIMEOUT"},
     OPTION_NUMBER,
     FIELD(keep_alive_timeout),
     1,
     3600,
     "15",
     "seconds that a connection may be idle"},
    {"database-url",
     {"AUTH_SERVICE_DATABASE_URL", "DATABASE_URL"},
     OPTION_TEXT,
     FIELD(database_url),
     0,
     0,
     NULL,
     "libpq connection string or URI"},
    {"database-host",
     {"POSTGRES_HOST"},
     OPTION_TEXT,
     FIELD(database_host),
     0,
     0,
     NULL,
     "host, or folder of the socket (default: libpq's, PGHOST)"},
    {"database-port",
     {"POSTGRES_PORT"},
     OPTION_TEXT,
     FIELD(database_port),
     0,
     0,
     NULL,
     "port (default: libpq's, PGPORT)"},
    {"database-name",
     {"POSTGRES_DB"},
     OPTION_TEXT,
     FIELD(database_name),
     0,
     0,
     NULL,
     "database (default: PGDATABASE, else auth_service)"},
    {"database-user",
     {"POSTGRES_USER"},
     OPTION_TEXT,
     FIELD(database_user),
     0,
     0,
     NULL,
     "role to connect as (default: libpq's, PGUSER)"},
    {NULL,
     {"POSTGRES_PASSWORD"},
     OPTION_TEXT,
     FIELD(database_password),
     0,
     0,
     NULL,
     "its password (default: libpq's, PGPASSWORD or ~/.pgpass)"},
    {"pool-size",
     {"AUTH_SERVICE_POOL_SIZE"},
     OPTION_NUMBER,
     FIELD(pool_size),
     1,
     1000,
     NULL,
     "database connections (default: 4 a core)"},
    {"hash-slots",
     {"AUTH_SERVICE_HASH_SLOTS"},
     OPTION_NUMBER,
     FIELD(hash_slots),
     1,
     1000,
     NULL,
     "requests that hash a password at the same time (default: 1 a core)"},
    {"database-timeout",
     {"AUTH_SERVICE_DATABASE_TIMEOUT"},
     OPTION_NUMBER,
     FIELD(database_timeout),
     1,
     3600,
     "8",
     "seconds for a database call, waiting for a connection included"},
    {"no-prepare",
     {"AUTH_SERVICE_NO_PREPARE"},
     OPTION_NO_FLAG,
     FIELD(prepare),
     0,
     0,
     NULL,
     "do not prepare statements (for pgbouncer's transaction mode before 1.21)"},
    {"shim-role",
     {"AUTH_SERVICE_SHIM_ROLE"},
     OPTION_TEXT,
     FIELD(shim_role),
     0,
     0,
     "auth_service_shim",
     "init-db, drop-db: the role that `serve` connects as"},
    {NULL,
     {"AUTH_SERVICE_SHIM_PASSWORD"},
     OPTION_TEXT,
     FIELD(shim_password),
     0,
     0,
     NULL,
     "init-db: the password that role gets (default: none is set)"},
    {"access-token-minutes",
     {"ACCESS_TOKEN_EXPIRE_MINUTES"},
     OPTION_NUMBER,
     FIELD(access_token_minutes),
     1,
     10080,
     NULL,
     "init-db: sets auth_service.access_token_ttl for the database"},
    {"refresh-token-days",
     {"REFRESH_TOKEN_EXPIRE_DAYS"},
     OPTION_NUMBER,
     FIELD(refresh_token_days),
     1,
     366,
     NULL,
     "init-db: sets auth_service.refresh_token_ttl for the database"},
    {"from",
     {"AUTH_SERVICE_IMPORT_FROM"},
     OPTION_TEXT,
     FIELD(import_from),
     0,
     0,
     NULL,
     "import: libpq connection string or URI of the database with the table \"users\""},
    {NULL,
     {"AUTH_SERVICE_IMPORT_SECRET"},
     OPTION_TEXT,
     FIELD(import_secret),
     0,
     0,
     NULL,
     "import: the secret of that service's access tokens, to accept them until they expire"},
    {"yes", {"AUTH_SERVICE_YES"}, OPTION_FLAG, FIELD(yes), 0, 0, NULL, "drop-db: do not ask"},
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

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
        "       auth-service init-db [OPTION...]       make database, extension and the role of "
        "`serve`\n"
        "       auth-service drop-db [--yes]           drop the database and that role\n"
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
    for (i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &options[i];

        printf("  %s%s%s%s%s%s%s%s\n      %s%s%s%s\n", row->name ? "--" : "",
               row->name ? row->name : "",
               row->name && (row->kind == OPTION_TEXT || row->kind == OPTION_NUMBER) ? "=VALUE"
                                                                                     : "",
               row->name && row->environment[0] ? ", " : "",
               row->environment[0] ? row->environment[0] : "", row->environment[1] ? ", " : "",
               row->environment[1] ? row->environment[1] : "",
               row->kind == OPTION_FLAG || row->kind == OPTION_NO_FLAG ? "=1" : "", row->help,
               row->initial ? " (default: " : "", row->initial ? row->initial : "",
               row->initial ? ")" : "");
    }
    exit(0);
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
    for (i = 0; i < OPTION_COUNT; i++) {
        const char *value = options[i].initial;

        for (j = 1; j >= 0; j--) {
            const char *name = options[i].environment[j];
            const char *found = name ? getenv(name) : NULL;

            if (found != NULL && found[0] != '\0')
                value = found;
        }
        if (value != NULL)
            set_option(config, &options[i], value);
    }
}

/* Read the option at argv[*i], and its value, which may be the next argument. */
static void
read_option(struct config *config, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    size_t length = strcspn(name, "=");
    size_t row;

    for (row = 0; row < OPTION_COUNT; row++)
        if (options[row].name != NULL && strlen(options[row].name) == length &&
            strncmp(options[row].name, name, length) == 0)
            break;
    if (row == OPTION_COUNT)
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
    config->database_url_is_public = is_option_given(argc, argv, "--database-url");
    if (config->database_url == NULL && config->database_name == NULL &&
        getenv("PGDATABASE") == NULL)
        config->database_name = "auth_service";
}
