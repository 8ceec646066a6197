/* SPDX-License-Identifier: MIT
 *
 * operator.h: the statements of the commands: one connection, one thing after the other.
 */
#ifndef SHIM_DATABASE_OPERATOR_H
#define SHIM_DATABASE_OPERATOR_H

#include <stdbool.h>

#include "config/config.h"

#define DB_ADMIN_COLUMNS_MAX 8

struct db_admin;

/*
 * Connect to a database, or the configured one for NULL; on failure lines that say why, and where that was
 * configured, and NULL.
 */
struct db_admin *db_admin_open(const struct config *config, const char *database);

/* The same for a URL that is none of the settings: without the line on these. */
struct db_admin *db_admin_open_url(const struct config *config);
void db_admin_close(struct db_admin *admin);

/* The database that the connection is to. */
const char *db_admin_database(const struct db_admin *admin);

/*
 * Run a statement with text parameters; its first value in new memory, "" for none.  On failure a
 * line with the server's message, and NULL.
 */
char *db_admin_value(struct db_admin *admin, const char *sql, int count,
                     const char *const *parameters);

/* Takes the values of a row, NULL for NULL. */
typedef void (*db_admin_row)(void *context, const char *const *values);

/* What was wrong with a value that the server could not read (SQLSTATE class 22); "": nothing. */
struct db_admin_error {
    char message[512];
};

/*
 * Run a statement and give each of its rows to a function.  False on failure: after a line, or where a
 * value could not be read, and that is asked for, with the error.
 */
bool db_admin_rows(struct db_admin *admin, const char *sql, int count,
                   const char *const *parameters, db_admin_row take, void *context,
                   struct db_admin_error *unreadable);

/*
 * Run the command that PostgreSQL's own format() makes of this: %I is quoted as a name, %L as a
 * literal.  False on failure, after a line.
 */
bool db_admin_command(struct db_admin *admin, const char *format, int count,
                      const char *const *parameters);

/* Give a role a password; it is hashed here, so the server and its log never see it. */
bool db_admin_set_password(struct db_admin *admin, const char *role, const char *password);

#endif
