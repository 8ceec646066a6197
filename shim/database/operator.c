/* SPDX-License-Identifier: MIT
 *
 * operator.c: see operator.h.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "database/connect.h"
#include "database/operator.h"
#include "telemetry/log.h"

#define COMMAND_PARAMETERS_MAX 4

struct db_admin {
    PGconn *pg;
};

/* The first line of a message of libpq's, for one line of ours. */
static void
complain(const char *what, const char *message)
{
    fprintf(stderr, "auth-service: %s: ", what);
    log_print(stderr, message, strcspn(message, "\n"));
    fputc('\n', stderr);
}

/* A line for each problem of a field, "field: message [type]", without the type. */
static void
complain_of_fields(const char *detail)
{
    while (*detail != '\0') {
        size_t line = strcspn(detail, "\n");
        size_t text = line;

        while (text > 0 && detail[text - 1] != '[')
            text--;
        fputs("auth-service: error: ", stderr);
        log_print(stderr, detail, text > 2 ? text - 2 : line);
        fputc('\n', stderr);
        detail += line + (detail[line] == '\n');
    }
}

/* "installing required extension ..." is no news to who asked for it. */
static void
ignore_notice(void *nothing, const char *message)
{
    (void)nothing;
    (void)message;
}

/* Passwords are parameters here; auto_explain prints them as constants in plans. */
static const char *const no_parameters[] = {"SET log_parameter_max_length = 0",
                                            "SET log_parameter_max_length_on_error = 0",
                                            "SET auto_explain.log_min_duration = -1", NULL};

/*
 * For the one command with a secret in its text: ALTER ROLE takes no parameters.  pg_stat_statements keeps
 * such commands as they are.
 */
static const char *const no_statements[] = {"SET log_statement = none",
                                            "SET log_min_duration_statement = -1",
                                            "SET log_min_duration_sample = -1",
                                            "SET log_transaction_sample_rate = 0",
                                            "SET log_min_error_statement = panic",
                                            "SET pg_stat_statements.track = none",
                                            NULL};

/* Set these for the connection.  Only a superuser may; nobody else needs these commands. */
static void
set_all(struct db_admin *admin, const char *const *settings)
{
    for (; *settings != NULL; settings++)
        PQclear(PQexec(admin->pg, *settings));
}

static struct db_admin *
connect_to(const struct config *config, const char *database)
{
    struct db_admin *admin = calloc(1, sizeof(*admin));

    if (admin == NULL)
        return NULL;
    admin->pg = db_connect(config, database);
    if (admin->pg == NULL || PQstatus(admin->pg) != CONNECTION_OK) {
        complain("cannot connect", admin->pg ? PQerrorMessage(admin->pg) : "out of memory");
        db_admin_close(admin);
        return NULL;
    }
    set_all(admin, no_parameters);
    PQsetNoticeProcessor(admin->pg, ignore_notice, NULL);
    return admin;
}

struct db_admin *
db_admin_open(const struct config *config, const char *database)
{
    struct db_admin *admin = connect_to(config, database);

    if (admin == NULL)
        complain("hint", "host, port and role come from --database-url, --database-host and the "
                         "like or their variables (--help), else from PGHOST, PGPORT and PGUSER; "
                         "of \"make run\": set -a; . .run/env");
    return admin;
}

struct db_admin *
db_admin_open_url(const struct config *config)
{
    return connect_to(config, NULL);
}

void
db_admin_close(struct db_admin *admin)
{
    PQfinish(admin->pg);
    free(admin);
}

const char *
db_admin_database(const struct db_admin *admin)
{
    return PQdb(admin->pg);
}

static void
complain_of_result(struct db_admin *admin, const PGresult *result)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

    if (sqlstate != NULL && strcmp(sqlstate, "U401A") == 0)
        complain("error", "this command must connect as the owner of the extension");
    else if (sqlstate != NULL && strncmp(sqlstate, "U422", 4) == 0 && detail != NULL)
        complain_of_fields(detail);
    else {
        complain("error", message ? message : PQerrorMessage(admin->pg));
        if (detail != NULL)
            complain("detail", detail);
        if (hint != NULL)
            complain("hint", hint);
    }
}

/* Whether it is that a value could not be read; then the message. */
static bool
is_unreadable(const PGresult *result, struct db_admin_error *error)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (sqlstate == NULL || strncmp(sqlstate, "22", 2) != 0)
        return false;
    snprintf(error->message, sizeof(error->message), "%s", message ? message : sqlstate);
    return true;
}

/* Run a statement; NULL where that failed, after a line, or with the error as db_admin_rows has it. */
static PGresult *
run(struct db_admin *admin, const char *sql, int count, const char *const *parameters,
    struct db_admin_error *error)
{
    PGresult *result =
        PQexecParams(admin->pg, sql, count, NULL, parameters, NULL, NULL, /* text */ 0);
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return result;
    if (error == NULL || !is_unreadable(result, error))
        complain_of_result(admin, result);
    PQclear(result);
    return NULL;
}

char *
db_admin_value(struct db_admin *admin, const char *sql, int count, const char *const *parameters)
{
    PGresult *result = run(admin, sql, count, parameters, NULL);
    char *value = result ? strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "") : NULL;

    PQclear(result);
    return value;
}

bool
db_admin_rows(struct db_admin *admin, const char *sql, int count, const char *const *parameters,
              db_admin_row take, void *context, struct db_admin_error *error)
{
    PGresult *result = run(admin, sql, count, parameters, error);
    int row;
    int column;

    if (result == NULL)
        return false;
    for (row = 0; row < PQntuples(result); row++) {
        const char *values[DB_ADMIN_COLUMNS_MAX] = {NULL};

        for (column = 0; column < PQnfields(result) && column < DB_ADMIN_COLUMNS_MAX; column++)
            if (!PQgetisnull(result, row, column))
                values[column] = PQgetvalue(result, row, column);
        take(context, values);
    }
    PQclear(result);
    return true;
}

bool
db_admin_command(struct db_admin *admin, const char *format, int count,
                 const char *const *parameters)
{
    const char *values[COMMAND_PARAMETERS_MAX] = {format};
    char *command;
    char *value;
    int i;

    for (i = 0; i < count && i + 1 < COMMAND_PARAMETERS_MAX; i++)
        values[i + 1] = parameters[i];
    /* format() takes no notice of arguments that it has no place for. */
    command =
        db_admin_value(admin, "SELECT pg_catalog.format($1::text, $2::text, $3::text, $4::text)",
                       COMMAND_PARAMETERS_MAX, values);
    if (command == NULL)
        return false;
    value = db_admin_value(admin, command, 0, NULL);
    free(command);
    if (value == NULL)
        return false;
    free(value);
    return true;
}

bool
db_admin_set_password(struct db_admin *admin, const char *role, const char *password)
{
    char *verifier = PQencryptPasswordConn(admin->pg, password, role, "scram-sha-256");
    bool done = false;

    if (verifier == NULL)
        complain("error", PQerrorMessage(admin->pg));
    else {
        set_all(admin, no_statements);
        done = db_admin_command(admin, "ALTER ROLE %I PASSWORD %L", 2,
                                (const char *const[]){role, verifier});
    }
    PQfreemem(verifier);
    return done;
}
