/* SPDX-License-Identifier: MIT
 *
 * operator.c: see operator.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "command/operator.h"
#include "command/roles.h"
#include "config/config.h"
#include "database/operator.h"

#define PASSWORD_LINE_MAX 1024
#define VALUES(...)       ((const char *const[]){__VA_ARGS__})

/*
 * What the role of `serve` gets, besides the API: its statements end; parameters, passwords among
 * them, are never logged, nor each refused request as an error (what is not the client's fault the
 * shim logs itself); and what it sees does not hang on the database's defaults.
 */
static const char *const role_settings[] = {
    "ALTER ROLE %I IN DATABASE %I SET search_path = pg_catalog",
    "ALTER ROLE %I IN DATABASE %I SET timezone = 'UTC'",
    "ALTER ROLE %I IN DATABASE %I SET statement_timeout = '6s'",
    "ALTER ROLE %I IN DATABASE %I SET default_transaction_isolation = 'read committed'",
    "ALTER ROLE %I IN DATABASE %I SET lock_timeout = '2s'",
    /* Deferred triggers run at the commit, where no statement_timeout holds. */
    "ALTER ROLE %I IN DATABASE %I SET client_connection_check_interval = '1s'",
    "ALTER ROLE %I IN DATABASE %I SET idle_in_transaction_session_timeout = '30s'",
    "ALTER ROLE %I IN DATABASE %I SET log_min_messages = fatal",
    "ALTER ROLE %I IN DATABASE %I SET log_parameter_max_length = 0",
    "ALTER ROLE %I IN DATABASE %I SET log_parameter_max_length_on_error = 0",
};

/* ---- init-db ---------------------------------------------------------------------------- */

/* The name of the configured database, as libpq resolves it; NULL after a line. */
static char *
database_name(const struct config *config)
{
    struct db_admin *admin;
    char *copy;

    if (config->database_name != NULL)
        return strdup(config->database_name);
    if (config->database_url == NULL)
        return strdup(getenv("PGDATABASE"));
    admin = db_admin_open(config, NULL);
    if (admin == NULL)
        return NULL;
    copy = strdup(db_admin_database(admin));
    db_admin_close(admin);
    return copy;
}

static bool
make_database(const struct config *config, const char *database)
{
    struct db_admin *admin = db_admin_open(config, "postgres");
    bool done = true;
    char *found;

    if (admin == NULL)
        return false;
    found = db_admin_value(admin, "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", 1,
                           VALUES(database));
    if (found == NULL)
        done = false;
    else if (found[0] == '\0') {
        done = db_admin_command(admin, "CREATE DATABASE %I ENCODING 'UTF8' TEMPLATE template0", 1,
                                VALUES(database));
        if (done)
            printf("made database %s\n", database);
    }
    free(found);
    db_admin_close(admin);
    return done;
}

/* An update may require extensions that the version before did not; only CREATE has CASCADE. */
static bool
make_required_extensions(struct db_admin *admin)
{
    for (;;) {
        char *name =
            db_admin_value(admin,
                           "SELECT r FROM pg_catalog.unnest(pg_catalog.string_to_array($1, ', ')) r"
                           " WHERE r NOT IN (SELECT extname FROM pg_catalog.pg_extension) LIMIT 1",
                           1, VALUES(AUTH_SERVICE_REQUIRES));
        bool missing = name != NULL && name[0] != '\0';
        bool done = name != NULL &&
                    (!missing || db_admin_command(admin, "CREATE EXTENSION %I", 1, VALUES(name)));

        free(name);
        if (!missing || !done)
            return done;
    }
}

static bool
make_extension(struct db_admin *admin)
{
    char *before = db_admin_value(
        admin, "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'auth_service'", 0,
        NULL);
    bool done =
        before != NULL && make_required_extensions(admin) &&
        db_admin_command(admin, "CREATE EXTENSION IF NOT EXISTS auth_service CASCADE", 0, NULL) &&
        db_admin_command(admin, "ALTER EXTENSION auth_service UPDATE", 0, NULL);

    if (done && before[0] == '\0')
        puts("made extension auth_service");
    else if (done && strcmp(before, AUTH_SERVICE_VERSION) != 0)
        printf("updated extension auth_service from %s to " AUTH_SERVICE_VERSION "\n", before);
    free(before);
    return done;
}

static bool
allow_api(struct db_admin *admin, const char *role)
{
    char *value = db_admin_value(
        admin, "SELECT auth.allow_api(pg_catalog.quote_ident($1)::pg_catalog.regrole)", 1,
        VALUES(role));

    if (value == NULL)
        return false;
    free(value);
    return true;
}

static bool
make_role(struct db_admin *admin, const struct config *config, const char *database)
{
    const char *role = config->shim_role;
    char *found = db_admin_value(admin, "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", 1,
                                 VALUES(role));
    bool done = found != NULL;
    size_t i;

    if (done && found[0] == '\0') {
        done = db_admin_command(admin, "CREATE ROLE %I LOGIN", 1, VALUES(role));
        if (done)
            printf("made role %s\n", role);
    }
    done = done && admin_is_ordinary_role(admin, role);
    free(found);
    if (done && config->shim_password != NULL)
        done = db_admin_set_password(admin, role, config->shim_password);
    done = done &&
           db_admin_command(admin, "GRANT CONNECT ON DATABASE %I TO %I", 2, VALUES(database, role));
    for (i = 0; done && i < sizeof(role_settings) / sizeof(role_settings[0]); i++)
        done = db_admin_command(admin, role_settings[i], 2, VALUES(role, database));
    return done && allow_api(admin, role);
}

static bool
set_lifetimes(struct db_admin *admin, const struct config *config, const char *database)
{
    char number[16];
    bool done = true;

    if (config->access_token_minutes > 0) {
        snprintf(number, sizeof(number), "%dmin", config->access_token_minutes);
        done = db_admin_command(admin, "ALTER DATABASE %I SET auth_service.access_token_ttl = %L",
                                2, VALUES(database, number));
    }
    if (done && config->refresh_token_days > 0) {
        snprintf(number, sizeof(number), "%dd", config->refresh_token_days);
        done = db_admin_command(admin, "ALTER DATABASE %I SET auth_service.refresh_token_ttl = %L",
                                2, VALUES(database, number));
    }
    return done;
}

/* Make what is missing; what is there stays. */
int
admin_init_db(const struct config *config)
{
    char *database = database_name(config);
    struct db_admin *admin = NULL;
    bool done = database != NULL && make_database(config, database) &&
                (admin = db_admin_open(config, database)) != NULL && make_extension(admin) &&
                make_role(admin, config, database) &&
                admin_make_anonymous_role(admin, config, database) &&
                admin_open_rpc_schema(admin, config) && set_lifetimes(admin, config, database);

    if (admin != NULL)
        db_admin_close(admin);
    free(database);
    return done ? 0 : 1;
}

/* ---- drop-db ---------------------------------------------------------------------------- */

static bool
is_confirmed(const char *database)
{
    char answer[256];

    fprintf(stderr, "Drop the database \"%s\" with all accounts? Type its name: ", database);
    if (fgets(answer, sizeof(answer), stdin) == NULL)
        return false;
    answer[strcspn(answer, "\n")] = '\0';
    return strcmp(answer, database) == 0;
}

/* The role goes too, where nothing else of the server hangs on it. */
static bool
drop_role(struct db_admin *admin, const char *role)
{
    char *needed = db_admin_value(
        admin,
        "SELECT 1 FROM pg_catalog.pg_roles r WHERE rolname = $1 AND NOT EXISTS (SELECT FROM"
        " pg_catalog.pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = r.oid)",
        1, VALUES(role));
    bool done = needed != NULL;

    if (done && needed[0] != '\0') {
        done = db_admin_command(admin, "DROP ROLE %I", 1, VALUES(role));
        if (done)
            printf("dropped role %s\n", role);
    }
    free(needed);
    return done;
}

int
admin_drop_db(const struct config *config)
{
    char *database = database_name(config);
    struct db_admin *admin;
    bool done = false;

    if (database == NULL)
        return 1;
    if (!config->yes && !is_confirmed(database)) {
        fprintf(stderr, "auth-service: nothing was dropped\n");
        free(database);
        return 1;
    }
    admin = db_admin_open(config, "postgres");
    if (admin != NULL) {
        done = db_admin_command(admin, "DROP DATABASE %I WITH (FORCE)", 1, VALUES(database));
        if (done)
            printf("dropped database %s\n", database);
        done = done && drop_role(admin, config->shim_role) &&
               drop_role(admin, config->rpc_anonymous_role);
        db_admin_close(admin);
    }
    free(database);
    return done ? 0 : 1;
}

/* ---- create-admin ----------------------------------------------------------------------- */

/* A line from standard input, without echo where it is a terminal. */
static bool
read_password(const char *prompt, char *line)
{
    bool is_terminal = isatty(STDIN_FILENO);
    struct termios before;
    struct termios silent;
    bool read;

    if (is_terminal) {
        fputs(prompt, stderr);
        tcgetattr(STDIN_FILENO, &before);
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    read = fgets(line, PASSWORD_LINE_MAX, stdin) != NULL;
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputs("\n", stderr);
    }
    if (read)
        line[strcspn(line, "\r\n")] = '\0';
    return read;
}

static bool
ask_password(char *password)
{
    char again[PASSWORD_LINE_MAX];
    bool same;

    if (!read_password("Password: ", password)) {
        fprintf(stderr, "auth-service: no password on standard input\n");
        return false;
    }
    if (!isatty(STDIN_FILENO))
        return true;
    same = read_password("Password again: ", again) && strcmp(password, again) == 0;
    explicit_bzero(again, sizeof(again));
    if (!same)
        fprintf(stderr, "auth-service: the passwords differ\n");
    return same;
}

int
admin_create_admin(const struct config *config)
{
    char password[PASSWORD_LINE_MAX];
    struct db_admin *admin;
    char *id = NULL;

    if (config->email == NULL) {
        fprintf(stderr, "auth-service: create-admin needs an e-mail: create-admin EMAIL\n");
        return 2;
    }
    if (!ask_password(password))
        return 1;
    admin = db_admin_open(config, NULL);
    if (admin != NULL) {
        /* One statement, so one transaction: no account that is no admin stays behind. */
        id = db_admin_value(admin,
                            "SELECT id FROM auth.register($1, $2) id"
                            " WHERE auth.set_role(id, 'admin')",
                            2, VALUES(config->email, password));
        db_admin_close(admin);
    }
    explicit_bzero(password, sizeof(password));
    if (id == NULL)
        return 1;
    printf("made admin %s with id %s\n", config->email, id);
    free(id);
    return 0;
}
