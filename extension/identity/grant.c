/* SPDX-License-Identifier: MIT
 *
 * grant.c: who may call us.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "identity/identity.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(auth_service_allow_api);

/*
 * What allow_api grants: neither what PUBLIC may call anyway, nor what is the operator's alone, nor what
 * no role calls.  tests/pgtap/80_privileges.sql lists those, and finds a function that is forgotten.
 */
static const char *const api_functions[] = {
    "auth.register(text, text, text, text)",
    "auth.login(text, text, text, inet)",
    "auth.refresh(text)",
    "auth.change_password(text, text, text)",
    "auth.authenticate(text)",
    "auth.verify_token(text)",
    "auth.jwks()",
    "auth.me()",
    "auth.update_profile(text, text)",
    "auth.logout()",
    "auth.logout_all()",
    "auth.sessions()",
    "auth.revoke_session(uuid)",
    "auth.revoke_other_sessions()",
    "auth.introspect(text)",
    "auth.revoke_token(text)",
    "auth.delete_me()",
    "auth.balance()",
    "auth.change_balance(bigint, text)",
    "auth.admin_change_balance(bigint, bigint, text)",
    "auth.set_role(bigint, auth.user_role)",
    "auth.block_user(bigint)",
    "auth.unblock_user(bigint)",
    "auth.restore_user(bigint)",
    "auth.list_users(bigint, text, text, text, auth.user_role, boolean, text, text, integer, text)",
    "auth.deleted_users(integer, text)",
    "auth.audit(bigint, bigint, text, integer, text)",
    "auth.maintain()",
    "auth._arguments(text, text[])",
    "auth._require_admin()",
    "auth._refresh_cause()",
    "auth._asked(integer)",
    "auth._origin(inet, text, text)",
    "auth._issuer()",
    "auth._audit_refused(text, text)",
    "auth._rpc(text, text, text, text, boolean)",
    "auth._rpc_functions(text, text)",
};

/*
 * SQL function: allow_api(role regrole) returns void
 *
 * Lets a role call the API, and nothing else.  For operators; 42501 for others.
 */
Datum
auth_service_allow_api(PG_FUNCTION_ARGS)
{
    char *role;
    Size i;

    RequireOperator();
    role = GetUserNameFromId(PG_GETARG_OID(0), /* noerr */ false);
    for (i = 0; i < lengthof(api_functions); i++)
        StoreCommand(psprintf("GRANT EXECUTE ON FUNCTION %s TO %s", api_functions[i],
                              quote_identifier(role)));
    PG_RETURN_VOID();
}
