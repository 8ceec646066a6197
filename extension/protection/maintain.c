/* SPDX-License-Identifier: MIT
 *
 * maintain.c: what is over is deleted, a step at a time.
 *
 * Nothing depends on it: a session that is over is refused whether its row is there or not.  It keeps the
 * tables small, at nobody's cost: a step deletes so many rows of a kind at most, and waits neither for a
 * row nor for a table nor for another's step.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "protection/throttle.h"
#include "store/maintain.h"

/*
 * The fourth number of the advisory lock that a step holds.  pg_advisory_lock's are 1 and 2: so no role can
 * keep us from our work by holding ours.
 */
#define MAINTAIN_LOCK_CLASS 0x6173

/*
 * A pair is issued later than its session's last use by the grace period, and by as much as its request
 * waited; not by so many seconds more.
 */
#define ISSUE_SECONDS 60

PG_FUNCTION_INFO_V1(auth_service_maintain);

/* One step at a time in a database; until the transaction ends, so that no two meet at the same rows. */
static bool
TakeTurn(void)
{
    LOCKTAG tag;

    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, MAINTAIN_LOCK_CLASS);
    return LockAcquire(&tag, ExclusiveLock, /* session's */ false, /* do not wait */ true) !=
           LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Sessions that were last used before this moment are over.  The idle limit ends refreshing alone: an access
 * token of the session may outlive it, and goes on until it expires.
 */
static TimestampTz
IdleSince(TimestampTz now)
{
    int64 issued =
        (int64)auth_service_access_token_ttl + auth_service_refresh_token_grace + ISSUE_SECONDS;

    return now - Max(issued, (int64)auth_service_refresh_token_idle_ttl) * USECS_PER_SEC;
}

/*
 * SQL function: maintain() returns bigint
 *
 * Deletes sessions that are over, failed attempts that no longer count, and rows of the audit log that are older than the setting says; the count
 * of what it deleted.  A caller goes on, each time in a transaction of its own, until that is 0.
 */
Datum
auth_service_maintain(PG_FUNCTION_ARGS)
{
    TimestampTz now = GetCurrentTimestamp();
    int64 deleted;

    PreventCommandIfReadOnly("auth.maintain()");
    if (!TakeTurn())
        PG_RETURN_INT64(0);
    deleted = StoreSessionsExpire(now);
    /* While there are as many as a step takes, none looks for others, page by page. */
    if (deleted < AUTH_STEP_ROWS)
        deleted += StoreSessionsIdle(IdleSince(now));
    deleted += ThrottleSweep(now);
    if (auth_service_audit_retention > 0)
        deleted += StoreAuditExpire(now - auth_service_audit_retention * USECS_PER_SEC);
    PG_RETURN_INT64(deleted);
}
