/* SPDX-License-Identifier: MIT
 *
 * import.c: see import.h.  Rows go through here as JSON: what they mean is the extension's business.
 *
 * The greatest id comes first, alone: from then on nobody who registers gets an id that is yet to come.
 * The others follow in their order, so that of two accounts with one e-mail the older one comes in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/import.h"
#include "config/config.h"
#include "database/database.h"
#include "database/operator.h"
#include "telemetry/log.h"

#define VALUES(...) ((const char *const[]){__VA_ARGS__})

/* Rows a transaction, at most: while one runs, logins wait for it. */
#define BATCH_ROWS 5000

/*
 * Rows as JSON, their number, and behind which id the next ones are; no row where there are none.  The
 * greatest id comes by a statement of its own, the others by batches.
 */
#define SELECT_ROWS(which, next)                                                                   \
    "SELECT pg_catalog.json_agg(b)::text, pg_catalog.count(*), " next " FROM (SELECT id, email,"   \
    " hashed_password, first_name, last_name, is_blocked, blocked_at, is_deleted, role, balance,"  \
    " created_at, updated_at, last_activity_at FROM users " which                                  \
    ") b HAVING pg_catalog.count(*) > 0"

static const char select_last[] =
    SELECT_ROWS("WHERE id IS NOT NULL ORDER BY id DESC LIMIT 1", "pg_catalog.max(b.id)");
static const char select_batch[] =
    SELECT_ROWS("WHERE ($1::bigint IS NULL OR id > $1::bigint)"
                " AND id < (SELECT pg_catalog.max(id) FROM users) ORDER BY id LIMIT $2::bigint",
                "pg_catalog.max(b.id)");

static const char insert_batch[] = "SELECT n.id, n.email, n.refused, n.reason FROM"
                                   " auth.import_users($1::json) n ORDER BY n.id";

struct import {
    struct db_admin *source;
    struct db_admin *target;
    long long handled; /* rows that the database has judged */
    long long present;
    long long refused;
    int limit;    /* rows of the next batch */
    char *behind; /* the id behind which the next batch begins; NULL: at the beginning */
    /* What take_batch has brought: */
    char *rows; /* NULL: nothing is left */
    char *last_id;
    long long count;
};

static void
take_batch(void *context, const char *const *values)
{
    struct import *import = context;

    import->rows = strdup(values[0]);
    import->count = atoll(values[1]);
    import->last_id = strdup(values[2]);
}

static void
take_note(void *context, const char *const *values)
{
    struct import *import = context;

    if (strcmp(values[2], "t") != 0) {
        import->present++;
        return;
    }
    import->refused++;
    printf("refused id %s, ", values[0] ? values[0] : "none");
    if (values[1] != NULL)
        log_print(stdout, values[1], strlen(values[1]));
    printf(": %s\n", values[3]);
}

/* A row that the database cannot even read: a value of another type, or no UTF-8. */
static void
refuse_row(struct import *import, const struct db_admin_error *error)
{
    printf("refused id %s: ", import->last_id);
    log_print(stdout, error->message, strlen(error->message));
    putchar('\n');
    import->refused++;
    import->handled++;
}

static bool
import_secret(struct db_admin *target, const char *secret)
{
    char *kid =
        db_admin_value(target, "SELECT auth.import_signing_key('HS256', $1)", 1, VALUES(secret));

    if (kid == NULL) {
        fputs("auth-service: the secret is that of AUTH_SERVICE_IMPORT_SECRET\n", stderr);
        return false;
    }
    free(kid);
    puts("access tokens signed with that secret are good until they expire, for a day at most");
    return true;
}

/*
 * Move the rows that take_batch has brought over; false where that failed.  Where the database cannot read
 * one of them none comes in, and *again tells that they are to come again: in halves, down to that row.
 */
static bool
move_rows(struct import *import, bool *again)
{
    struct db_admin_error unreadable = {""};

    *again = false;
    if (db_admin_rows(import->target, insert_batch, 1, VALUES(import->rows), take_note, import,
                      &unreadable))
        import->handled += import->count;
    else if (unreadable.message[0] == '\0')
        return false;
    else if (import->count == 1)
        refuse_row(import, &unreadable);
    else {
        *again = true;
        import->limit = (int)import->count / 2;
        return true;
    }
    import->limit = import->limit > BATCH_ROWS / 2 ? BATCH_ROWS : import->limit * 2;
    return true;
}

/* Read rows and move them over; *is_left tells whether there were any. */
static bool
import_rows(struct import *import, const char *sql, int count, bool *is_left)
{
    char limit[16];
    bool again = false;
    bool done;

    snprintf(limit, sizeof(limit), "%d", import->limit);
    import->rows = import->last_id = NULL;
    done = db_admin_rows(import->source, sql, count, VALUES(import->behind, limit), take_batch,
                         import, NULL);
    *is_left = import->rows != NULL && import->last_id != NULL;
    if (done && *is_left)
        done = move_rows(import, &again);
    free(import->rows);
    /* The greatest id, which comes by a statement without parameters, is not what the others follow. */
    if (done && *is_left && !again && count > 0) {
        free(import->behind);
        import->behind = import->last_id;
    } else
        free(import->last_id);
    return done;
}

static bool
import_users(struct import *import)
{
    bool is_left;
    bool done;

    import->limit = BATCH_ROWS;
    done = import_rows(import, select_last, 0, &is_left);
    while (done && is_left)
        done = import_rows(import, select_batch, 2, &is_left);
    return done;
}

/* Whether every row of the source was met: ids that are NULL, or there twice, are not. */
static bool
is_complete(struct import *import)
{
    char *count = db_admin_value(import->source, "SELECT pg_catalog.count(*) FROM users", 0, NULL);
    long long unread = count ? atoll(count) - import->handled : 0;

    if (unread != 0)
        fprintf(stderr,
                "auth-service: error: %lld rows of the other table were not read: their ids are "
                "NULL or not unique\n",
                unread);
    free(count);
    return count != NULL && unread == 0;
}

/* The other database as it is at this moment. */
static struct db_admin *
open_source(const struct config *config)
{
    static struct config source; /* for good: db_check_url may put a text of its own into it */
    const char *problem;
    struct db_admin *admin;

    source.database_url = config->import_from;
    problem = db_check_url(&source);
    if (problem != NULL) {
        fprintf(stderr, "auth-service: %s\n", problem);
        return NULL;
    }
    admin = db_admin_open_url(&source);
    if (admin != NULL &&
        !db_admin_command(admin, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL)) {
        db_admin_close(admin);
        return NULL;
    }
    return admin;
}

static bool
run(const struct config *config, struct import *import)
{
    bool done =
        (config->import_secret == NULL || import_secret(import->target, config->import_secret)) &&
        import_users(import);

    if (!done)
        puts("stopped; what follows is in, the rest comes when this is run again:");
    printf("imported %lld users; %lld were here already; refused %lld\n",
           import->handled - import->present - import->refused, import->present, import->refused);
    done = done && is_complete(import);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("auth-service: error: cannot write the report to standard output\n", stderr);
        return false;
    }
    return done;
}

int
import_run(const struct config *config)
{
    struct import import = {0};
    bool done = false;

    if (config->import_from == NULL) {
        fprintf(stderr, "auth-service: import needs the other database: import --from=URL\n");
        return 2;
    }
    import.source = open_source(config);
    if (import.source != NULL)
        import.target = db_admin_open(config, NULL);
    if (import.target != NULL) {
        done = run(config, &import);
        db_admin_close(import.target);
    }
    if (import.source != NULL)
        db_admin_close(import.source);
    free(import.behind);
    return done && import.refused == 0 ? 0 : 1;
}
