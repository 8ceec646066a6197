/* SPDX-License-Identifier: MIT
 *
 * list.c: a user's sessions, and the end of single ones.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "audit/audit.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/types.h"
#include "identity/identity.h"
#include "store/account.h"
#include "store/session.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(auth_service_sessions);
PG_FUNCTION_INFO_V1(auth_service_revoke_session);
PG_FUNCTION_INFO_V1(auth_service_revoke_other_sessions);

/* A session that was not used since then is over. */
static TimestampTz
IdleSince(TimestampTz now)
{
    return now - (int64)auth_service_refresh_token_idle_ttl * USECS_PER_SEC;
}

/* A StoreRowSink. */
static void
AddSession(void *context, const Datum *values, const bool *nulls, bool is_last)
{
    ReturnSetInfo *result = context;

    tuplestore_putvalues(result->setResult, result->setDesc, unconstify(Datum *, values),
                         unconstify(bool *, nulls));
}

/*
 * SQL function: sessions() returns setof auth.session
 *
 * The living sessions of the identity's user, the last used first.  An imported access token has no
 * session: for such an identity none is the current one.
 */
Datum
auth_service_sessions(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireLiveIdentity();
    TimestampTz now = GetCurrentTimestamp();

    InitMaterializedSRF(fcinfo, 0);
    StoreListSessions(identity->user_id, &identity->session_id, now, IdleSince(now), AddSession,
                      fcinfo->resultinfo);
    return (Datum)0;
}

/*
 * SQL function: revoke_session(session_id uuid) returns boolean
 *
 * Ends a session of the identity's user; with the current one, the identity too.  False where the
 * user has no such session.
 */
Datum
auth_service_revoke_session(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireLiveIdentity();
    const pg_uuid_t *id = PG_GETARG_UUID_P(0);
    unsigned char key[AUTH_REFRESH_KEY_BYTES];
    KekId sealed_by;

    StoreCommitDurably();
    if (!StoreSessionDelete(identity->user_id, id)) {
        /* One that is newer than the transaction's snapshot must not be reported as missing. */
        StoreRequireSeen(!StoreSessionKey(identity->user_id, id, key, &sealed_by));
        PG_RETURN_BOOL(false);
    }
    AuditRecord(&(AuditEvent){
        .action = "revoke_session",
        .user_id = identity->user_id,
        .detail = TextToJson("session_id",
                             DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id))))});
    if (memcmp(id, &identity->session_id, sizeof(*id)) == 0)
        IdentityClear();
    PG_RETURN_BOOL(true);
}

/*
 * SQL function: revoke_other_sessions() returns bigint
 *
 * Ends every session of the identity's user but its own; how many.  The user's imported access
 * tokens go as well, unless the identity is of one: they cannot be told from each other.
 */
Datum
auth_service_revoke_other_sessions(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireLiveIdentity();
    TimestampTz now = GetCurrentTimestamp();
    LockedAccount account;
    int64 ended;

    StoreCommitDurably();
    /* No login slips in between: it locks the account too. */
    StoreRequireSeen(StoreAccountLock(identity->user_id, &account));
    /* Nor does who was ended while it waited go on. */
    RequireLiveIdentity();
    ended = StoreOtherSessionsDelete(identity->user_id, &identity->session_id, now, IdleSince(now));
    if (!IsNoSession(&identity->session_id))
        StoreImportedTokensEnd(identity->user_id);
    AuditRecord(&(AuditEvent){.action = "revoke_other_sessions",
                              .user_id = identity->user_id,
                              .detail = psprintf("{\"sessions\": " INT64_FORMAT "}", ended)});
    PG_RETURN_INT64(ended);
}
