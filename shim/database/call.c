/* SPDX-License-Identifier: MIT
 *
 * call.c: see call.h.
 *
 * A connection is always in pipeline mode.  A call sends, before it reads anything, the
 * authentication, the statement and one Sync: PostgreSQL runs them in one implicit transaction, so
 * the identity that the first sets is the second's, and ends with it; and after an error it runs
 * none of those that follow.  Statements are prepared at their first use, in the same round trip, before
 * anything is executed: they are there for the calls behind it whatever becomes of this one, since they outlive
 * a transaction that is rolled back.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/config.h"
#include "database/call.h"
#include "database/database.h"
#include "database/pool.h"
#include "telemetry/metrics.h"

static const struct db_statement authenticate_statement = {
    0, "SELECT auth.authenticate($1)::pg_catalog.text", 1};
/*
 * The user's activity is all that a brief call writes: those behind it do not wait until that is on the disk, or a
 * standby.  Most write nothing, and are not asked to set anything.
 */
static const struct db_statement authenticate_briefly_statement = {
    3,
    "SELECT auth.authenticate($1)::pg_catalog.text,"
    " CASE WHEN pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL"
    " THEN pg_catalog.set_config('synchronous_commit', 'off', true) END",
    1};
static const struct db_statement require_admin_statement = {1, "SELECT auth._require_admin()", 0};
static const struct db_statement origin_statement = {
    2, "SELECT auth._origin($1::pg_catalog.inet, $2, $3), auth._asked($4::pg_catalog.int4)", 4};

/* libpq waits for the end of an answer that it had no memory for; what it says is looked at after so many
 * milliseconds in which nothing has come. */
#define LOOK_AGAIN 250

/* Of a request, in microseconds; the database takes no older one. */
#define AGE_MAX 10000000LL

/* libpq keeps the room that it has made for an answer: after one with more bytes it is not worth that. */
#define KEPT_BYTES_MAX (4 * 1024 * 1024)

/* ---- Sending ---------------------------------------------------------------------------- */

/* Tell the server where the transaction ends. */
static bool
send_sync(PGconn *pg)
{
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
    return PQsendPipelineSync(pg) == 1;
#else
    return PQpipelineSync(pg) == 1;
#endif
}

static void
name_statement(char name[16], const struct db_statement *statement)
{
    snprintf(name, 16, "s%d", statement->id);
}

static bool
prepare(struct call *call, const struct db_statement *statement)
{
    struct connection *connection = call->connection;
    char name[16];

    if (!config_now()->prepare || (connection->prepared >> statement->id & 1) != 0)
        return true;
    name_statement(name, statement);
    call->prepares[call->sent++] = statement->id;
    connection->prepared |= UINT64_C(1) << statement->id;
    return PQsendPrepare(connection->pg, name, statement->sql, 0, NULL) == 1;
}

static bool
execute(struct call *call, const struct db_statement *statement, const char *const *parameters)
{
    PGconn *pg = call->connection->pg;
    char name[16];

    call->prepares[call->sent++] = -1;
    if (!config_now()->prepare)
        return PQsendQueryParams(pg, statement->sql, statement->parameter_count, NULL, parameters,
                                 NULL, NULL, 0) == 1;
    name_statement(name, statement);
    return PQsendQueryPrepared(pg, name, statement->parameter_count, parameters, NULL, NULL, 0) ==
           1;
}

static bool
execute_origin(struct call *call, const struct db_origin *origin)
{
    long long elapsed = clock_microseconds() - origin->came;
    char age[24];
    const char *values[] = {origin->address, origin->user_agent, origin->request_id, age};

    snprintf(age, sizeof(age), "%lld", AGE_MAX < elapsed ? AGE_MAX : elapsed);
    return execute(call, &origin_statement, values);
}

bool
call_send(struct call *call, struct connection *connection)
{
    const struct db_caller *caller = call->caller;
    const struct db_statement *authenticate =
        call->is_brief ? &authenticate_briefly_statement : &authenticate_statement;

    call->connection = connection;
    return (caller->token == NULL || prepare(call, authenticate)) &&
           (!caller->is_admin || prepare(call, &require_admin_statement)) &&
           (caller->origin == NULL || prepare(call, &origin_statement)) &&
           prepare(call, call->statement) &&
           (caller->token == NULL || execute(call, authenticate, &caller->token)) &&
           (!caller->is_admin || execute(call, &require_admin_statement, NULL)) &&
           (caller->origin == NULL || execute_origin(call, caller->origin)) &&
           execute(call, call->statement, call->parameters) && send_sync(connection->pg);
}

bool
calls_flush(struct connection *connection)
{
    return PQflush(connection->pg) >= 0;
}

/* ---- Receiving -------------------------------------------------------------------------- */

/* Note the identity, which is in the first rows of a call that authenticates. */
static void
note_identity(struct call *call, const PGresult *result)
{
    if (call->caller->token != NULL && call->user_id == 0 &&
        PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
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
    if (id >= 0 && PQresultStatus(result) != PGRES_COMMAND_OK)
        call->connection->prepared &= ~(UINT64_C(1) << id);
}

/*
 * Where an answer is missing before the Sync's, for want of memory, what is kept might be the answer to another
 * statement.
 */
enum call_state
call_read(struct call *call)
{
    PGconn *pg = call->connection->pg;

    while (!PQisBusy(pg)) {
        PGresult *next = PQgetResult(pg);

        if (next == NULL) {
            /* NULL separates the statements of a pipeline. */
            if (PQstatus(pg) != CONNECTION_OK)
                return CALL_LOST;
        } else if (PQresultStatus(next) == PGRES_PIPELINE_SYNC) {
            PQclear(next);
            return call->received == call->sent ? CALL_ANSWERED : CALL_LOST;
        } else {
            note_prepared(call, next);
            note_identity(call, next);
            call->answer = choose_result(call->answer, next);
        }
    }
    return CALL_WAITS;
}

/* Whether libpq has run out of memory, its own word for it, since the call began. */
static bool
has_lost_memory(const PGconn *pg)
{
    return strstr(PQerrorMessage(pg), "out of memory") != NULL;
}

/* Whether the descriptor can be read, or written where asked, before this moment. */
static bool
is_ready(int fd, bool for_write, long long moment)
{
    struct pollfd waited = {.fd = fd, .events = (short)(POLLIN | (for_write ? POLLOUT : 0))};
    long long left;
    int ready;

    do {
        left = moment - clock_now();
        if (left <= 0 || fd < 0)
            return false;
        ready = poll(&waited, 1, (int)left);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

bool
call_wait(struct call *call)
{
    PGconn *pg = call->connection->pg;
    int unsent = PQflush(pg);
    int fd = PQsocket(pg);
    long long moment = clock_earlier(call->deadline, LOOK_AGAIN);
    bool is_there;

    if (unsent < 0)
        return false;
    is_there = is_ready(fd, unsent > 0, moment);
    if (!is_there && (fd < 0 || clock_now() >= call->deadline || has_lost_memory(pg))) {
        call->timed_out = fd >= 0 && clock_now() >= call->deadline;
        return false;
    }
    return PQconsumeInput(pg) == 1;
}

void
call_lose(struct call *call)
{
    PQclear(call->answer);
    call->answer = NULL;
}

/* ---- The answer ------------------------------------------------------------------------- */

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

void
call_finish(struct call *call, struct db_result *result)
{
    if (call->answer != NULL)
        fill_result(result, call->answer);
    else
        result->outcome = call->timed_out ? DB_TIMED_OUT : DB_UNAVAILABLE;
    if (result->outcome == DB_TIMED_OUT)
        metrics_add(METRIC_CALLS_TIMED_OUT);
    result->user_id = call->user_id;
}

/* Whether an answer is an error of this SQLSTATE, raised by this function of the server's where one is given. */
static bool
is_error(const PGresult *answer, const char *sqlstate, const char *source)
{
    const char *its_state = PQresultErrorField(answer, PG_DIAG_SQLSTATE);
    const char *its_source = PQresultErrorField(answer, PG_DIAG_SOURCE_FUNCTION);

    return its_state != NULL && strcmp(its_state, sqlstate) == 0 &&
           (source == NULL || (its_source != NULL && strcmp(its_source, source) == 0));
}

/*
 * Whether another connection would do better: the server no longer knows what we have prepared, or knows
 * something else by that name, or will not run it as it has become; or the extension was updated, and this
 * backend has the library from before.
 */
static bool
is_out_of_step(const PGresult *answer)
{
    return PQresultStatus(answer) == PGRES_FATAL_ERROR &&
           (is_error(answer, "26000", NULL) || is_error(answer, "42P05", NULL) ||
            is_error(answer, "0A000", "RevalidateCachedQuery") ||
            is_error(answer, "42883", "load_external_function"));
}

/* Where libpq itself has failed, who knows what it has missed: an answer without an SQLSTATE is its own. */
bool
call_leaves_clean(const struct call *call)
{
    const PGresult *answer = call->answer;

    if (answer == NULL)
        return false;
    if (PQresultStatus(answer) == PGRES_FATAL_ERROR)
        return PQresultErrorField(answer, PG_DIAG_SQLSTATE) != NULL && !is_out_of_step(answer);
    return PQntuples(answer) == 0 || PQgetlength(answer, 0, 0) <= KEPT_BYTES_MAX;
}
