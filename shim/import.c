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

#include "db.h"
#include "db_admin.h"
#include "import.h"
#include "log.h"

#define VALUES(...) ((const char *const[]){__VA_ARGS__})

/* Rows a transaction: while one runs, logins wait for it. */
#define BATCH_ROWS "5000"

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
    long long singly; /* so many of the next rows come one by one, since a batch of them failed */
    char *behind;     /* the id behind which the next batch begins; NULL: at the beginning */
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
 * Move the rows that take_batch has brought over.  Where the database cannot read one of them, none
 * comes in, and they are to come again one by one.
 */
static bool
move_rows(struct import *import)
{
    struct db_admin_error error;
    bool is_unreadable;

    if (db_admin_rows(import->target, insert_batch, 1, VALUES(import->rows), take_note, import,
                      &error)) {
        import->handled += import->count;
        return true;
    }
    is_unreadable = strncmp(error.sqlstate, "22", 2) == 0;
    if (is_unreadable && import->count == 1)
        refuse_row(import, &error);
    else if (is_unreadable)
        import->singly = import->count;
    else {
        fputs("auth-service: error: ", stderr);
        log_print(stderr, error.message, strlen(error.message));
        fputc('\n', stderr);
    }
    return is_unreadable;
}

/* Read rows and move them over; *is_left tells whether there were any. */
static bool
import_rows(struct import *import, const char *sql, int count, bool *is_left)
{
    const char *limit = import->singly > 0 ? "1" : BATCH_ROWS;
    bool done;

    import->rows = import->last_id = NULL;
    done = db_admin_rows(import->source, sql, count, VALUES(import->behind, limit), take_batch,
                         import, NULL);
    *is_left = import->rows != NULL && import->last_id != NULL;
    if (done && *is_left) {
        if (import->singly > 0)
            import->singly--;
        done = move_rows(import);
    }
    free(import->rows);
    return done;
}

static bool
import_users(struct import *import)
{
    bool is_left;
    bool done = import_rows(import, select_last, 0, &is_left);

    free(import->last_id);
    while (done && is_left) {
        long long singly = import->singly;

        done = import_rows(import, select_batch, 2, &is_left);
        if (done && is_left && import->singly <= singly) {
            free(import->behind);
            import->behind = import->last_id;
        } else
            free(import->last_id); /* nothing was moved: the same rows again */
    }
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
    struct config source = {.database_url = config->import_from};
    struct db_admin *admin;

    if (!db_check_url(&source))
        return NULL;
    admin = db_admin_open(&source, NULL);
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
