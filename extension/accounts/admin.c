/* SPDX-License-Identifier: MIT
 *
 * admin.c: what admins and operators do to accounts.
 *
 * The next request of the user's tokens feels each of these: authenticate asks the database for the
 * account, its role and the session.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "fmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "accounts/admin.h"
#include "audit/audit.h"
#include "base/text.h"
#include "base/types.h"
#include "identity/identity.h"
#include "store/account.h"
#include "store/session.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(auth_service_block_user);
PG_FUNCTION_INFO_V1(auth_service_unblock_user);
PG_FUNCTION_INFO_V1(auth_service_set_role);
PG_FUNCTION_INFO_V1(auth_service_restore_user);

/*
 * The end of a function that changes an account: whether there was such a user.  One that is newer
 * than this transaction's snapshot must not be reported as missing: that raises 40001.
 */
static bool
Done(bool changed, const char *action, int64 user_id, const char *detail)
{
    if (changed)
        AuditRecord(&(AuditEvent){.action = action, .user_id = user_id, .detail = detail});
    else
        StoreRequireSeen(!StoreAccountExists(user_id));
    return changed;
}

/* SQL function: block_user(user_id bigint) returns boolean: ends every session too. */
Datum
auth_service_block_user(PG_FUNCTION_ARGS)
{
    int64 user_id = PG_GETARG_INT64(0);
    bool changed;

    RequireAdmin();
    StoreCommitDurably();
    changed = StoreBlockUpdate(user_id, /* block */ true, GetCurrentTimestamp());
    if (changed)
        StoreSessionsDelete(user_id);
    PG_RETURN_BOOL(Done(changed, "block_user", user_id, NULL));
}

/* SQL function: unblock_user(user_id bigint) returns boolean */
Datum
auth_service_unblock_user(PG_FUNCTION_ARGS)
{
    int64 user_id = PG_GETARG_INT64(0);

    RequireAdmin();
    StoreCommitDurably();
    PG_RETURN_BOOL(Done(StoreBlockUpdate(user_id, /* block */ false, GetCurrentTimestamp()),
                        "unblock_user", user_id, NULL));
}

/*
 * SQL function: restore_user(user_id bigint) returns boolean
 *
 * True also for a user who is not deleted.  U400A where a living account has the e-mail by now.
 */
Datum
auth_service_restore_user(PG_FUNCTION_ARGS)
{
    int64 user_id = PG_GETARG_INT64(0);

    RequireAdmin();
    StoreCommitDurably();
    if (StoreAccountRestore(user_id, GetCurrentTimestamp()))
        PG_RETURN_BOOL(Done(true, "restore_user", user_id, NULL));
    PG_RETURN_BOOL(StoreAccountExists(user_id));
}

/* A value of auth.user_role. */
UserRole
RoleFromDatum(Oid value)
{
    HeapTuple tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
    UserRole role;

    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "there is no value %u of auth.user_role", value);
    role = strcmp(NameStr(((Form_pg_enum)GETSTRUCT(tuple))->enumlabel), "admin") == 0
               ? USER_ROLE_ADMIN
               : USER_ROLE_USER;
    ReleaseSysCache(tuple);
    return role;
}

/*
 * SQL function: set_role(user_id bigint, role auth.user_role) returns boolean
 */
Datum
auth_service_set_role(PG_FUNCTION_ARGS)
{
    int64 user_id = PG_GETARG_INT64(0);
    UserRole role = RoleFromDatum(PG_GETARG_OID(1));

    RequireAdmin();
    StoreCommitDurably();
    PG_RETURN_BOOL(Done(StoreRoleUpdate(user_id, role, GetCurrentTimestamp()), "set_role", user_id,
                        TextToJson("role", UserRoleName(role))));
}
