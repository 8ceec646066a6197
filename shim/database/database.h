/* SPDX-License-Identifier: MIT
 *
 * database.h: calls to the database, through a pool of connections that has nothing to do with the
 * number of threads.
 */
#ifndef SHIM_DATABASE_H
#define SHIM_DATABASE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/client.h"
#include "config/config.h"

#define DB_PARAMETERS_MAX 8
#define DB_STATEMENTS_MAX 64

/* The ids below this one are database.c's own. */
#define DB_FIRST_STATEMENT 4

/* The last one is maintenance.c's. */
#define DB_MAINTENANCE_STATEMENT (DB_STATEMENTS_MAX - 1)

struct db_pool;

/* A statement of one row and one column, text, or two, of which the second is a note; id is its own, from DB_FIRST_STATEMENT to
 * DB_STATEMENTS_MAX - 1. */
struct db_statement {
    int id;
    const char *sql;
    int parameter_count;
};

/* Where a request comes from, for the audit log, and when it came; each text may be NULL. */
struct db_origin {
    const char *address;
    const char *user_agent;
    const char *request_id;
    long long came; /* clock_microseconds when all of it was here */
};

/* Who calls. */
struct db_caller {
    const char *token;              /* NULL: nobody in particular */
    bool is_admin;                  /* U404A unless the token is an admin's */
    const struct db_origin *origin; /* NULL: the call leaves no trace that would tell of it */
};

enum db_outcome {
    DB_DONE,        /* value, or is_null for no row or NULL */
    DB_ERROR,       /* sqlstate and the rest */
    DB_BUSY,        /* no connection came free in time */
    DB_CROWDED,     /* nor a place to hash; retry_after */
    DB_TIMED_OUT,   /* no answer in time; whether it was carried out is unknown */
    DB_UNAVAILABLE, /* no connection, or it was lost */
};

/* How a call may use the pool. */
struct db_limits {
    bool hashes;   /* it computes a password's hash, so it waits for one of the places for that */
    bool may_wait; /* for a lock, or for what an application's function does */
    /* It waits for nothing, and is answered in a moment: others may wait behind it.  So what it writes is not made
     * durable; only the note that a user is active may be lost. */
    bool is_brief;
    int patience; /* it is no use unless it is answered within so many milliseconds; 0: as configured */
    const struct client *client; /* who waits for the answer; NULL: unknown */
};

struct db_result {
    enum db_outcome outcome;
    int retry_after; /* seconds until another try has a chance; 0: no idea */
    bool is_null;
    long long user_id; /* the identity's; 0: there was none */
    const char *value;
    size_t length;
    const char *note;     /* a second column's text; NULL: none */
    const char *sqlstate; /* of DB_ERROR; never NULL there */
    const char *message;  /* these may be NULL */
    const char *detail;
    const char *hint;
    const char *source; /* the function of PostgreSQL's source that reported it */
    void *owner;        /* what the texts live in */
};

/*
 * Whether the configured connection string is one; takes a driver's name out of its scheme.  NULL,
 * or what is wrong, in words that do not quote it: there may be a password in it.
 */
const char *db_check_url(struct config *config);

/* NULL: out of memory.  Connections are made when they are needed. */
struct db_pool *db_pool_open(const struct config *config);

/* Only when no call is under way any more. */
void db_pool_close(struct db_pool *pool);

/* There is a new configuration; connections to another database, or as somebody else, take the place of the old. */
void db_pool_reload(struct db_pool *pool, bool is_another_database);

/* What the pool and the hash queue are at, for monitoring/prometheus.c. */
struct db_state {
    int connections; /* that are made */
    int idle;        /* of them */
    int limit;
    int waiting; /* requests, for one */
    int hash_slots;
    int hashing; /* slots that are taken */
    int hash_waiting;
};

void db_pool_state(struct db_pool *pool, struct db_state *state);

/*
 * Run a statement, in one transaction with what the caller asks for before it: authenticate, then
 * the check for an admin, then the origin; in one round trip.  Always fills the result; free it with
 * db_result_free.
 */
void db_call(struct db_pool *pool, const struct db_caller *caller,
             const struct db_statement *statement, const char *const *parameters,
             const struct db_limits *limits, struct db_result *result);
void db_result_free(struct db_result *result);

#endif
