/* SPDX-License-Identifier: MIT
 *
 * audit.c: the audit log: who did what to whom, from where.
 *
 * A row is written in the transaction of its deed, so that neither is without the other.  Failures
 * that are answers, not errors (a wrong password, a reused token), commit with their row.  A refusal
 * that is an error would undo its row: the front records it afterwards (protection/refusal.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "audit/audit.h"
#include "identity/identity.h"
#include "store/audit.h"

PG_FUNCTION_INFO_V1(auth_service_origin);

static AuditOrigin origin;

/* What it points to lives in the transaction's memory. */
static void
ForgetOrigin(XactEvent event, void *nothing)
{
    origin = (AuditOrigin){0};
}

void
AuditInit(void)
{
    RegisterXactCallback(ForgetOrigin, NULL);
}

const AuditOrigin *
AuditOriginGet(void)
{
    return &origin;
}

static text *
KeepText(const text *value)
{
    return value ? (text *)DatumGetPointer(datumCopy(PointerGetDatum(value), false, -1)) : NULL;
}

/* From now on, until the transaction ends, the request comes from there. */
void
AuditOriginSet(const AuditOrigin *given)
{
    MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

    origin = (AuditOrigin){.ip = given->has_ip ? datumCopy(given->ip, false, -1) : (Datum)0,
                           .has_ip = given->has_ip,
                           .user_agent = KeepText(given->user_agent),
                           .request_id = KeepText(given->request_id)};
    MemoryContextSwitchTo(old);
}

/* Back to what AuditOriginGet has answered before. */
void
AuditOriginRestore(const AuditOrigin *before)
{
    origin = *before;
}

/* Add a row to the log. */
void
AuditRecord(const AuditEvent *event)
{
    AuditRow row = {.action = event->action,
                    .user_id = event->user_id,
                    .actor_id = event->is_own ? event->user_id : IdentityUserId(),
                    .ip = origin.ip,
                    .has_ip = origin.has_ip,
                    .user_agent = origin.user_agent,
                    .request_id = origin.request_id,
                    .db_role = GetUserNameFromId(GetSessionUserId(), /* noerr */ false),
                    .detail = event->detail};

    StoreAuditInsert(&row, GetCurrentTimestamp());
}

/*
 * SQL function: _origin(ip inet, user_agent text, request_id text) returns void
 *
 * What the audit log notes of this transaction's request.  It is the caller's word, as the ip of
 * login is; db_role tells whose.
 */
Datum
auth_service_origin(PG_FUNCTION_ARGS)
{
    AuditOriginSet(&(AuditOrigin){.has_ip = !PG_ARGISNULL(0),
                                  .ip = PG_ARGISNULL(0) ? (Datum)0 : PG_GETARG_DATUM(0),
                                  .user_agent = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1),
                                  .request_id = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2)});
    PG_RETURN_VOID();
}
