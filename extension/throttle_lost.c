/* SPDX-License-Identifier: MIT
 *
 * throttle_lost.c: failures that a rollback would undo.
 *
 * Whoever rolls back learns from the answer all the same: a role that may call login could guess inside a
 * transaction, or a savepoint, that it never commits; and an error (an e-mail that is taken) rolls back by
 * itself.  So this backend remembers what its transaction has counted, and what of it was undone is counted by a
 * background worker, in a transaction of its own, when this one has ended.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "guc.h"
#include "throttle.h"

/* Of one transaction.  More could only be a guesser's who rolls back to savepoints. */
#define NOTES_MAX 64

typedef struct Note {
    ThrottleFailure failure;
    SubTransactionId within;
    bool is_lost; /* its subtransaction was rolled back, the transaction goes on */
} Note;

static Note notes[NOTES_MAX];
static int note_count = 0;

PGDLLEXPORT void auth_service_throttle_worker(Datum database);

/* ---- The worker ------------------------------------------------------------------------- */

/* What a worker is given for a failure. */
StaticAssertDecl(sizeof(ThrottleFailure) <= BGW_EXTRALEN,
                 "a failure does not fit into a worker's start");

/* Count the failure that is in the worker's start, in this database. */
void
auth_service_throttle_worker(Datum database)
{
    ThrottleFailure failure;

    memcpy(&failure, MyBgworkerEntry->bgw_extra, sizeof(failure));
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(database), InvalidOid, 0);
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    StoreThrottleFail(&failure, failure.at - (int64)auth_service_throttle_window * USECS_PER_SEC);
    PopActiveSnapshot();
    CommitTransactionCommand();
}

/* Have a failure counted; it is not where no worker can be had: all of max_worker_processes are at work. */
static void
CountElsewhere(const ThrottleFailure *failure)
{
    BackgroundWorker worker = {.bgw_flags =
                                   BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
                               .bgw_start_time = BgWorkerStart_RecoveryFinished,
                               .bgw_restart_time = BGW_NEVER_RESTART,
                               .bgw_main_arg = ObjectIdGetDatum(MyDatabaseId)};

    strlcpy(worker.bgw_name, "auth_service throttle", BGW_MAXLEN);
    strlcpy(worker.bgw_type, "auth_service throttle", BGW_MAXLEN);
    strlcpy(worker.bgw_library_name, "$libdir/auth_service", BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, "auth_service_throttle_worker", BGW_MAXLEN);
    memcpy(worker.bgw_extra, failure, sizeof(*failure));
    RegisterDynamicBackgroundWorker(&worker, /* handle */ NULL);
}

/* ---- The transaction -------------------------------------------------------------------- */

static void
EndTransaction(XactEvent event, void *nothing)
{
    bool is_undone = event == XACT_EVENT_ABORT;
    bool is_end = is_undone || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE;
    int i;

    if (!is_end)
        return;
    for (i = 0; i < note_count; i++)
        if (is_undone || notes[i].is_lost)
            CountElsewhere(&notes[i].failure);
    note_count = 0;
}

static void
EndSubtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *nothing)
{
    int i;

    for (i = 0; i < note_count; i++)
        if (notes[i].within == mine && event == SUBXACT_EVENT_ABORT_SUB)
            notes[i].is_lost = true;
        else if (notes[i].within == mine && event == SUBXACT_EVENT_COMMIT_SUB)
            notes[i].within = parent;
}

void
ThrottleLostInit(void)
{
    RegisterXactCallback(EndTransaction, NULL);
    RegisterSubXactCallback(EndSubtransaction, NULL);
}

/* Remember what is counted now.  U429A where this transaction has tried too much. */
void
ThrottleLostNote(const ThrottleFailure *failure)
{
    if (note_count == NOTES_MAX)
        ErrorRaiseThrottled(1);
    notes[note_count++] = (Note){.failure = *failure, .within = GetCurrentSubTransactionId()};
}

/* How many failures of a key this transaction has undone, and when the last was. */
int
ThrottleLostCount(const ThrottleKey *key, TimestampTz *last_at)
{
    int count = 0;
    int i;

    for (i = 0; i < note_count; i++)
        if (notes[i].is_lost && memcmp(&notes[i].failure.key, key, sizeof(*key)) == 0) {
            count++;
            *last_at = Max(*last_at, notes[i].failure.at);
        }
    return count;
}
