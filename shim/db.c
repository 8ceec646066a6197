/* SPDX-License-Identifier: MIT
 *
 * db.c: the pipeline of a call.
 *
 * A connection is always in pipeline mode.  A call sends, before it reads anything, the
 * authentication, the statement and one Sync: PostgreSQL runs them in one implicit transaction, so
 * the identity that the first sets is the second's, and ends with it; and after an error it runs
 * none of those that follow.  Statements are prepared at
 * their first use, in the same round trip.
 */
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "db.h"
#include "db_connect.h"
#include "db_pool.h"
#include "metrics.h"

/* A call's own statements, and room for what is sent for each: a Parse and an Execute. */
#define STATEMENTS_OF_A_CALL (DB_FIRST_STATEMENT + 1)

static const struct db_statement authenticate_statement = {
    0, "SELECT auth.authenticate($1)::pg_catalog.text", 1};
static const struct db_statement require_admin_statement = {1, "SELECT auth._require_admin()", 0};
static const struct db_statement origin_statement = {
    2, "SELECT auth._origin($1::pg_catalog.inet, $2, $3), auth._asked($4::pg_catalog.int4)", 4};

/* How long a call waits, in milliseconds: for a connection, for a place to hash, and never longer
 * than its deadline. */
#define CONNECTION_WAIT 2000
#define HASH_WAIT       5000

/* libpq waits for the end of an answer that it had no memory for; what it says is looked at after so many
 * milliseconds in which nothing has come. */
#define LOOK_AGAIN 250

/* Of a request, in microseconds; the database takes no older one. */
#define AGE_MAX 10000000LL

/* libpq keeps the room that it has made for an answer: after one with more bytes it is not worth that. */
#define KEPT_BYTES_MAX (4 * 1024 * 1024)

/* A call on its way: one entry for each result to come, the id of a statement to prepare or -1. */
struct call {
    struct connection *connection;
    long long deadline;
    bool timed_out;
    bool authenticates;
    long long user_id; /* what the authentication answered; 0: nothing yet */
    int prepares[2 * STATEMENTS_OF_A_CALL];
    int sent;
    int received;
};

static bool
send_statement(struct call *call, const struct db_statement *statement,
               const char *const *parameters)
{
    struct connection *connection = call->connection;
    char name[16];

    if (!config_now()->prepare) {
        call->prepares[call->sent++] = -1;
        return PQsendQueryParams(connection->pg, statement->sql, statement->parameter_count, NULL,
                                 parameters, NULL, NULL, 0) == 1;
    }
    snprintf(name, sizeof(name), "s%d", statement->id);
    if ((connection->prepared >> statement->id & 1) == 0) {
        call->prepares[call->sent++] = statement->id;
        if (PQsendPrepare(connection->pg, name, statement->sql, 0, NULL) != 1)
            return false;
    }
    call->prepares[call->sent++] = -1;
    return PQsendQueryPrepared(connection->pg, name, statement->parameter_count, parameters, NULL,
                               NULL, 0) == 1;
}

/* The moment so many milliseconds from now, or the deadline where that is earlier. */
static long long
earlier(long long deadline, long long milliseconds)
{
    long long moment = clock_now() + milliseconds;

    return moment < deadline ? moment : deadline;
}

/* Whether libpq has run out of memory, its own word for it, since the call began. */
static bool
has_lost_memory(const PGconn *pg)
{
    return strstr(PQerrorMessage(pg), "out of memory") != NULL;
}

/* The next result; NULL where it did not come in time or the connection is lost. */
static PGresult *
next_result(struct call *call)
{
    PGconn *pg = call->connection->pg;

    for (;;) {
        int unsent = PQflush(pg);
        PGresult *result;

        if (unsent < 0)
            return NULL;
        if (unsent > 0 || PQisBusy(pg)) {
            if (!db_wait(pg, unsent > 0, earlier(call->deadline, LOOK_AGAIN)) &&
                (PQsocket(pg) < 0 || clock_now() >= call->deadline || has_lost_memory(pg))) {
                call->timed_out = PQsocket(pg) >= 0 && clock_now() >= call->deadline;
                return NULL;
            }
            if (!PQconsumeInput(pg))
                return NULL;
            continue;
        }
        result = PQgetResult(pg);
        if (result != NULL)
            return result;
        /* NULL separates the statements of a pipeline. */
        if (PQstatus(pg) != CONNECTION_OK)
            return NULL;
    }
}

/* Note the identity, which is in the first rows of a call that authenticates. */
static void
note_identity(struct call *call, const PGresult *result)
{
    if (call->authenticates && call->user_id == 0 && PQresultStatus(result) == PGRES_TUPLES_OK &&
        PQntuples(result) == 1)
        call->user_id = atoll(PQgetvalue(result, 0, 0));
}

/* Keep of two results the one that the caller gets: the first error, else the last rows. */
static PGresult *
choose_result(PGresult *kept, PGresult *next)
{
    ExecStatusType status = PQresultStatus(next);

    if ((kept != NULL && PQresultStatus(kept) == PGRES_FATAL_ERROR) ||
        (status != PGRES_TUPLES_OK && status != PGRES_FATAL_ERROR)) {
        PQclear(next);
        return kept;
    }
    PQclear(kept);
    return next;
}

/* Note what a result says of the statement that was to be prepared there. */
static void
note_prepared(struct call *call, const PGresult *result)
{
    int id = call->received < call->sent ? call->prepares[call->received] : -1;

    call->received++;
    if (id >= 0 && PQresultStatus(result) == PGRES_COMMAND_OK)
        call->connection->prepared |= UINT64_C(1) << id;
}

/*
 * Read until the Sync's answer; the connection is good for another call then.  NULL where that
 * answer did not come, or where one before it is missing, for want of memory: what would be kept then might
 * be the answer to another statement.
 */
static PGresult *
read_results(struct call *call)
{
    PGresult *kept = NULL;
    PGresult *next;

    while ((next = next_result(call)) != NULL) {
        if (PQresultStatus(next) == PGRES_PIPELINE_SYNC) {
            PQclear(next);
            if (call->received == call->sent)
                return kept;
            break;
        }
        note_prepared(call, next);
        note_identity(call, next);
        kept = choose_result(kept, next);
    }
    PQclear(kept);
    return NULL;
}

/*
 * Whether it is a statement of ours that calls what is not there, not a function of an application's:
 * the schema is of an older version, as 55000 says where that is noticed inside.
 */
static bool
lacks_function(const PGresult *pg, const char *sqlstate)
{
    return sqlstate != NULL && strcmp(sqlstate, "42883") == 0 &&
           PQresultErrorField(pg, PG_DIAG_STATEMENT_POSITION) != NULL;
}

static void
fill_result(struct db_result *result, PGresult *pg)
{
    result->owner = pg;
    if (PQresultStatus(pg) == PGRES_FATAL_ERROR) {
        const char *sqlstate = PQresultErrorField(pg, PG_DIAG_SQLSTATE);

        result->outcome = sqlstate != NULL ? DB_ERROR : DB_UNAVAILABLE;
        result->sqlstate = lacks_function(pg, sqlstate) ? "55000" : sqlstate;
        result->message = PQresultErrorField(pg, PG_DIAG_MESSAGE_PRIMARY);
        result->detail = PQresultErrorField(pg, PG_DIAG_MESSAGE_DETAIL);
        result->hint = PQresultErrorField(pg, PG_DIAG_MESSAGE_HINT);
        result->source = PQresultErrorField(pg, PG_DIAG_SOURCE_FUNCTION);
        return;
    }
    result->outcome = DB_DONE;
    result->is_null = PQntuples(pg) == 0 || PQgetisnull(pg, 0, 0);
    if (!result->is_null) {
        result->value = PQgetvalue(pg, 0, 0);
        result->length = (size_t)PQgetlength(pg, 0, 0);
        if (PQnfields(pg) > 1 && !PQgetisnull(pg, 0, 1))
            result->note = PQgetvalue(pg, 0, 1);
    }
}

/* Whether an error is of this SQLSTATE, and raised by this function of the server's where one is given. */
static bool
is_error(const struct db_result *result, const char *sqlstate, const char *source)
{
    return result->outcome == DB_ERROR && strcmp(result->sqlstate, sqlstate) == 0 &&
           (source == NULL || (result->source != NULL && strcmp(result->source, source) == 0));
}

/*
 * Whether another connection would do better: the server no longer knows what we have prepared, or knows
 * something else by that name, or will not run it as it has become; or the extension was updated, and this
 * backend has the library from before.
 */
static bool
is_out_of_step(const struct db_result *result)
{
    return is_error(result, "26000", NULL) || is_error(result, "42P05", NULL) ||
           is_error(result, "0A000", "RevalidateCachedQuery") ||
           is_error(result, "42883", "load_external_function");
}

/* Send what comes before the statement. */
static bool
send_caller(struct call *call, const struct db_caller *caller)
{
    if (caller->token != NULL && !send_statement(call, &authenticate_statement, &caller->token))
        return false;
    if (caller->is_admin && !send_statement(call, &require_admin_statement, NULL))
        return false;
    if (caller->origin != NULL) {
        long long elapsed = clock_microseconds() - caller->origin->came;
        char age[24];
        const char *values[] = {caller->origin->address, caller->origin->user_agent,
                                caller->origin->request_id, age};

        snprintf(age, sizeof(age), "%lld", AGE_MAX < elapsed ? AGE_MAX : elapsed);
        return send_statement(call, &origin_statement, values);
    }
    return true;
}

static void
run_call(struct call *call, const struct db_caller *caller, const struct db_statement *statement,
         const char *const *parameters, struct db_result *result)
{
    PGconn *pg = call->connection->pg;
    PGresult *answer = NULL;

    call->authenticates = caller->token != NULL;
    if (send_caller(call, caller) && send_statement(call, statement, parameters) &&
        PQpipelineSync(pg))
        answer = read_results(call);
    if (answer != NULL)
        fill_result(result, answer);
    else
        result->outcome = call->timed_out ? DB_TIMED_OUT : DB_UNAVAILABLE;
    if (result->outcome == DB_TIMED_OUT)
        metrics_add(METRIC_CALLS_TIMED_OUT);
    result->user_id = call->user_id;
    /* Where libpq itself has failed, who knows what it has missed. */
    if ((result->outcome != DB_DONE && result->outcome != DB_ERROR) ||
        PQstatus(pg) != CONNECTION_OK || PQtransactionStatus(pg) != PQTRANS_IDLE ||
        PQpipelineStatus(pg) != PQ_PIPELINE_ON || PQisBusy(pg) || is_out_of_step(result) ||
        result->length > KEPT_BYTES_MAX)
        pool_drop(call->connection);
}

static enum pool_use
use_of(const struct db_limits *limits)
{
    return limits->hashes ? USE_HASH : limits->may_wait ? USE_SLOW : USE_QUICK;
}

void
db_call(struct db_pool *pool, const struct db_caller *caller, const struct db_statement *statement,
        const char *const *parameters, const struct db_limits *limits, struct db_result *result)
{
    long long timeout = (long long)config_now()->database_timeout * 1000;
    struct call call = {
        .deadline = earlier(clock_now() + timeout, limits->patience ? limits->patience : timeout)};
    long long entered = 0;

    *result = (struct db_result){.outcome = DB_CROWDED};
    if (limits->hashes) {
        if (!lane_enter(&pool->lane, limits->client, earlier(call.deadline, HASH_WAIT),
                        &result->retry_after))
            return;
        entered = clock_microseconds();
    }
    call.connection =
        pool_get(pool, use_of(limits), earlier(call.deadline, CONNECTION_WAIT), &result->outcome);
    if (call.connection != NULL) {
        result->outcome = DB_BUSY;
        if (clock_now() < call.deadline)
            run_call(&call, caller, statement, parameters, result);
        pool_give(pool, call.connection);
    }
    if (limits->hashes)
        lane_leave(&pool->lane, entered);
}

void
db_result_free(struct db_result *result)
{
    PQclear(result->owner);
    result->owner = NULL;
}
