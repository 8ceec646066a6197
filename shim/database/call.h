/* SPDX-License-Identifier: MIT
 *
 * call.h: a call on its way over a connection; for database.c and shared.c.
 *
 * Nothing here waits but call_wait, so that calls of several threads can be on their way over one connection.
 */
#ifndef SHIM_DATABASE_CALL_H
#define SHIM_DATABASE_CALL_H

#include "database/database.h"
#include "database/pool.h"

/* A call's own statements: those before it, three at most, and its. */
#define STATEMENTS_OF_A_CALL 4

struct call {
    const struct db_caller *caller;
    const struct db_statement *statement;
    const char *const *parameters;
    bool is_brief; /* as its limits say: it writes nothing but the user's activity */
    long long deadline;

    struct connection *connection; /* that it was sent over */
    PGresult *answer;              /* what the caller gets, of what has come by now */
    bool timed_out;
    long long user_id; /* what the authentication answered; 0: nothing yet */
    int prepares[2 *
                 STATEMENTS_OF_A_CALL]; /* for each result due: the statement to prepare, or -1 */
    int sent;                           /* so many results are due */
    int received;
};

enum call_state {
    CALL_WAITS,    /* not all has come */
    CALL_ANSWERED, /* all has come, and nothing of what comes after it was taken */
    CALL_LOST, /* it will not come, and nothing behind it is to be trusted: drop the connection */
};

/* Send a call, though some of it may stay here until it is flushed or waited for; false: it cannot be sent, and the
 * connection must be dropped, as after CALL_LOST. */
bool call_send(struct call *call, struct connection *connection);
bool calls_flush(struct connection *connection);

/* Take what has come of its answer. */
enum call_state call_read(struct call *call);

/* Wait until more has come; false: it has not, and will not in time. */
bool call_wait(struct call *call);

/* There will be no answer. */
void call_lose(struct call *call);

/* Whether its connection can serve others when a call is answered. */
bool call_leaves_clean(const struct call *call);

/* Fill the result from a call that was answered or lost; db_result_free frees it. */
void call_finish(struct call *call, struct db_result *result);

#endif
