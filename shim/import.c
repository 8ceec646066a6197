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

#define VALUES(...) ((const char *const[]){__VA_ARGS__})

/* Rows a transaction: while one runs, logins wait for it. */
#define BATCH_ROWS "5000"

/* Rows as JSON, their number, and behind which id the next ones are; no row where there are none. */
#define SELECT_ROWS(which, next)                                                                   \
    "SELECT pg_catalog.json_agg(b)::text, pg_catalog.count(*), " next " FROM (SELECT id, email,"   \
    " hashed_password, first_name, last_name, is_blocked, blocked_at, is_deleted, role, balance,"  \
    " created_at, updated_at, last_activity_at FROM users " which                                  \
    ") b HAVING pg_catalog.count(*) > 0"

static const char select_last[] = SELECT_ROWS("ORDER BY id DESC LIMIT 1", "NULL");
static const char select_batch[] =
    SELECT_ROWS("WHERE ($1::bigint IS NULL OR id > $1::bigint)"
                " AND id < (SELECT pg_catalog.max(id) FROM users) ORDER BY id LIMIT " BATCH_ROWS,
                "pg_catalog.max(b.id)");

static const char insert_batch[] = "SELECT n.id, n.email, n.refused, n.reason FROM"
                                   " auth.import_users($1::json) n ORDER BY n.id";

struct import {
    long long total;
    long long present;
    long long refused;
    char *rows; /* the batch under way; NULL: there is none */
    char *next; /* the id behind which the next batch begins; NULL: at the beginning */
};

/* Print a text of the other service without what could pass for more than it is. */
static void
print_text(const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        putchar((unsigned char)*text < 0x20 || *text == 0x7F ? '?' : *text);
}

static void
take_batch(void *context, const char *const *values)
{
    struct import *import = context;

    import->rows = strdup(values[0]);
    import->total += atoll(values[1]);
    free(import->next);
    import->next = values[2] ? strdup(values[2]) : NULL;
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
    print_text(values[1]);
    printf(": %s\n", values[3]);
}

static bool
import_secret(struct db_admin *target, const char *secret)
{
    char *kid =
        db_admin_value(target, "SELECT auth.import_signing_key('HS256', $1)", 1, VALUES(secret));

    if (kid == NULL)
        return false;
    free(kid);
    puts("access tokens signed with that secret are good until they expire, for a day at most");
    return true;
}

/* Move the rows of a statement over; *moved tells whether there were any. */
static bool
import_rows(struct db_admin *source, const char *sql, int count, struct db_admin *target,
            struct import *import, bool *moved)
{
    bool done;

    import->rows = NULL;
    done = db_admin_rows(source, sql, count, VALUES(import->next), take_batch, import);
    *moved = import->rows != NULL;
    if (*moved)
        done = db_admin_rows(target, insert_batch, 1, VALUES(import->rows), take_note, import);
    free(import->rows);
    return done;
}

static bool
import_users(struct db_admin *source, struct db_admin *target, struct import *import)
{
    bool moved;
    bool done = import_rows(source, select_last, 0, target, import, &moved);

    while (done && moved)
        done = import_rows(source, select_batch, 1, target, import, &moved);
    return done;
}

/* Another database, at another moment than now: read as it is at this one, times without zone as UTC. */
static struct db_admin *
open_source(const struct config *config)
{
    struct config source = {.database_url = config->import_from};
    struct db_admin *admin;
    bool done;

    if (!db_check_url(&source))
        return NULL;
    admin = db_admin_open(&source, NULL);
    if (admin == NULL)
        return NULL;
    done = db_admin_command(admin, "SET timezone = 'UTC'", 0, NULL) &&
           db_admin_command(admin, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL);
    if (!done) {
        db_admin_close(admin);
        return NULL;
    }
    return admin;
}

int
import_run(const struct config *config)
{
    struct import import = {0};
    struct db_admin *source;
    struct db_admin *target = NULL;
    bool done = false;

    if (config->import_from == NULL) {
        fprintf(stderr, "auth-service: import needs the other database: import --from=URL\n");
        return 2;
    }
    source = open_source(config);
    if (source != NULL)
        target = db_admin_open(config, NULL);
    if (target != NULL) {
        done = (config->import_secret == NULL || import_secret(target, config->import_secret)) &&
               import_users(source, target, &import);
        printf("imported %lld users; %lld were here already; refused %lld\n",
               import.total - import.present - import.refused, import.present, import.refused);
        db_admin_close(target);
    }
    if (source != NULL)
        db_admin_close(source);
    free(import.next);
    return done && import.refused == 0 ? 0 : 1;
}
