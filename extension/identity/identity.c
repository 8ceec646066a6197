/* SPDX-License-Identifier: MIT
 *
 * identity.c: the identity of a transaction.
 *
 * It is kept in a setting, auth_service.identity, that only IdentitySet and IdentityClear change.
 * PostgreSQL's own machinery for settings then does what an identity needs: SET LOCAL's scope ends
 * it at COMMIT and ROLLBACK and restores the one before at ROLLBACK TO SAVEPOINT, and parallel
 * workers get it from their leader.  Nobody else can set it: the context is PGC_SUSET, which keeps
 * out SET, set_config, PGOPTIONS, ALTER ROLE and a function's SET clause for ordinary roles, and
 * the check hook keeps out everybody, superusers too, for whom a forged identity would be a mistake.
 *
 * The value reads "<user id> <role> <session id> <claims>"; the check hook parses it once into an
 * Identity, so that uid() and role() are a pointer's dereference.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "catalog/pg_enum.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/types.h"
#include "identity/identity.h"
#include "store/session.h"
#include "store/store.h"

#define IDENTITY_SETTING "auth_service.identity"

static char *identity_text = NULL;      /* the setting's variable */
static const Identity *identity = NULL; /* the same, parsed; NULL without one */
static bool setting_identity = false;   /* true only while we set it ourselves */
static Jsonb *identity_claims = NULL;   /* what jwt() gives, once it was asked for */

PG_FUNCTION_INFO_V1(auth_service_uid);
PG_FUNCTION_INFO_V1(auth_service_role);
PG_FUNCTION_INFO_V1(auth_service_jwt);
PG_FUNCTION_INFO_V1(auth_service_require_admin);

/* The claims of this JSON text, with the role that the database gives. */
Jsonb *
IdentityClaims(const char *claims, UserRole role)
{
    const char *given = psprintf("{\"role\":\"%s\"}", UserRoleName(role));

    return DatumGetJsonbP(
        DirectFunctionCall2(jsonb_concat, DirectFunctionCall1(jsonb_in, CStringGetDatum(claims)),
                            DirectFunctionCall1(jsonb_in, CStringGetDatum(given))));
}

static Identity *
ParseIdentity(const char *value)
{
    char *copy = pstrdup(value);
    char *role = strchr(copy, ' ');
    char *session = role ? strchr(role + 1, ' ') : NULL;
    char *claims = session ? strchr(session + 1, ' ') : NULL;
    Identity *parsed;

    if (claims == NULL)
        return NULL;
    *role++ = *session++ = *claims++ = '\0';
    parsed = CompatGucAlloc(offsetof(Identity, claims) + strlen(claims) + 1);
    if (parsed == NULL)
        return NULL;
    parsed->user_id = strtoll(copy, NULL, 10);
    parsed->role = strcmp(role, "admin") == 0 ? USER_ROLE_ADMIN : USER_ROLE_USER;
    parsed->session_id = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(session)));
    strcpy(parsed->claims, claims);
    pfree(copy);
    return parsed;
}

static bool
IdentityCheck(char **newval, void **extra, GucSource source)
{
    *extra = NULL;
    if (*newval == NULL || **newval == '\0')
        return true;
    if (!setting_identity && !InitializingParallelWorker) {
        GUC_check_errdetail("Only auth.authenticate(access_token) sets an identity.");
        return false;
    }
    *extra = ParseIdentity(*newval);
    return *extra != NULL;
}

static void
IdentityAssign(const char *newval, void *extra)
{
    identity = extra;
    if (identity_claims != NULL)
        pfree(identity_claims);
    identity_claims = NULL;
}

void
IdentityInit(void)
{
    DefineCustomStringVariable(IDENTITY_SETTING,
                               "Holds the identity that auth.authenticate has set.", NULL,
                               &identity_text, /* boot value */ "", PGC_SUSET,
                               GUC_NO_SHOW_ALL | GUC_NO_RESET_ALL | GUC_NOT_IN_SAMPLE |
                                   GUC_DISALLOW_IN_FILE | GUC_SUPERUSER_ONLY,
                               IdentityCheck, IdentityAssign, /* show hook */ NULL);
}

/*
 * The source must be PGC_S_SESSION: a lower one, PGC_S_OVERRIDE too, would set the value to reset to
 * as well, and the identity would outlive the transaction.
 */
static void
SetSetting(const char *value)
{
    setting_identity = true;
    PG_TRY();
    {
        set_config_option(IDENTITY_SETTING, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                          /* changeVal */ true, /* elevel: default */ 0, /* is_reload */ false);
    }
    PG_FINALLY();
    {
        setting_identity = false;
    }
    PG_END_TRY();
}

/* Make this user the identity until the end of the transaction.  claims: JSON text, checked. */
void
IdentitySet(int64 user_id, UserRole role, const pg_uuid_t *session_id, const char *claims)
{
    char *session = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(session_id)));

    SetSetting(psprintf(INT64_FORMAT " %s %s %s", user_id, UserRoleName(role), session, claims));
}

/* End the identity within its transaction, as logout does. */
void
IdentityClear(void)
{
    SetSetting("");
}

/* The identity's user id; 0 without one. */
int64
IdentityUserId(void)
{
    return identity ? identity->user_id : 0;
}

/* The identity; U401A without one. */
const Identity *
RequireIdentity(void)
{
    if (identity == NULL)
        ErrorRaise(AUTH_ERROR_NOT_AUTHENTICATED);
    return identity;
}

/*
 * What the database says of the identity now: in a long transaction it may have been logged out,
 * blocked or demoted since it was authenticated.  U403A or U401B where it does not stand.
 */
static void
LookAgain(const Identity *who, SessionRow *session)
{
    if (!StoreSessionFind(who->user_id, &who->session_id, "", session))
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    if (session->is_blocked)
        ErrorRaise(AUTH_ERROR_BLOCKED);
    if (!IsSessionAlive(session, GetCurrentTimestamp()))
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
}

/* The identity, which still stands; else U401A, U401B or U403A. */
const Identity *
RequireLiveIdentity(void)
{
    const Identity *who = RequireIdentity();
    SessionRow session;

    LookAgain(who, &session);
    return who;
}

/*
 * An operator is a role with the privileges of the extension's owner, asking for itself: inside a
 * SECURITY DEFINER function the caller is somebody else, so nobody is an operator there.
 */
static bool
IsOperator(void)
{
    return !InLocalUserIdChange() && has_privs_of_role(GetUserId(), StoreOwner());
}

/*
 * Whether an admin asks, or an operator without an identity.  U401A where nobody does, U401B or U403A
 * for an identity that no longer stands.
 */
bool
IsAdminAsking(void)
{
    SessionRow session;

    if (identity == NULL) {
        if (!IsOperator())
            ErrorRaise(AUTH_ERROR_NOT_AUTHENTICATED);
        return true;
    }
    LookAgain(identity, &session);
    return session.role == USER_ROLE_ADMIN;
}

/* Pass for an admin, and for an operator without an identity; else U404A, or as above. */
void
RequireAdmin(void)
{
    if (!IsAdminAsking())
        ErrorRaise(AUTH_ERROR_NOT_FOUND);
}

/* SQL function: _require_admin() returns void: RequireAdmin, for fronts that must ask first. */
Datum
auth_service_require_admin(PG_FUNCTION_ARGS)
{
    RequireAdmin();
    PG_RETURN_VOID();
}

/* Pass for an operator; else 42501. */
void
RequireOperator(void)
{
    if (!IsOperator())
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("permission denied: only the owner of auth_service may do this"),
                        errhint("Call it as a role with the privileges of the extension's owner, "
                                "not from a SECURITY DEFINER function.")));
}

/* SQL function: uid() returns bigint: the identity's user id, NULL without one. */
Datum
auth_service_uid(PG_FUNCTION_ARGS)
{
    if (identity == NULL)
        PG_RETURN_NULL();
    PG_RETURN_INT64(identity->user_id);
}

/* SQL function: role() returns auth.user_role: the identity's role, NULL without one. */
Datum
auth_service_role(PG_FUNCTION_ARGS)
{
    Oid *values = fcinfo->flinfo->fn_extra; /* the enum's values, looked up once a call site */

    if (identity == NULL)
        PG_RETURN_NULL();
    if (values == NULL) {
        Oid type = get_func_rettype(fcinfo->flinfo->fn_oid);
        UserRole role;

        values = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, 2 * sizeof(Oid));
        for (role = USER_ROLE_USER; role <= USER_ROLE_ADMIN; role++)
            values[role] = GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(type),
                                           CStringGetDatum(UserRoleName(role)));
        fcinfo->flinfo->fn_extra = values;
    }
    PG_RETURN_OID(values[identity->role]);
}

/*
 * SQL function: jwt() returns jsonb: the claims of the identity's token, NULL without one.
 *
 * Few ask, but those in a policy, for each row: the text is parsed at the first time.
 */
Datum
auth_service_jwt(PG_FUNCTION_ARGS)
{
    Jsonb *copy;

    if (identity == NULL)
        PG_RETURN_NULL();
    if (identity_claims == NULL) {
        Jsonb *claims = IdentityClaims(identity->claims, identity->role);

        identity_claims = MemoryContextAlloc(TopMemoryContext, VARSIZE(claims));
        memcpy(identity_claims, claims, VARSIZE(claims));
    }
    /* A copy: what is returned may outlive the identity. */
    copy = palloc(VARSIZE(identity_claims));
    memcpy(copy, identity_claims, VARSIZE(identity_claims));
    PG_RETURN_JSONB_P(copy);
}
