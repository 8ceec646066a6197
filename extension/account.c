/* SPDX-License-Identifier: MIT
 *
 * account.c: accounts: registration, profile, role.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "email.h"
#include "errors.h"
#include "identity.h"
#include "password.h"
#include "store.h"

#define NAME_CHARS_MAX 255

PG_FUNCTION_INFO_V1(auth_service_register);
PG_FUNCTION_INFO_V1(auth_service_me);
PG_FUNCTION_INFO_V1(auth_service_update_profile);
PG_FUNCTION_INFO_V1(auth_service_set_role);

static bool
IsName(text *name)
{
    const char *c = VARDATA_ANY(name);
    Size size = VARSIZE_ANY_EXHDR(name);
    Size i;

    for (i = 0; i < size; i++)
        if ((unsigned char)c[i] < 0x20 || c[i] == 0x7F)
            return false;
    return size > 0 && pg_mbstrlen_with_len(c, (int)size) <= NAME_CHARS_MAX;
}

static void
CheckName(text *name, const char *field, FieldProblems *problems)
{
    if (name != NULL && !IsName(name))
        ProblemAdd(problems, field, AUTH_ERROR_NAME_INVALID, NULL, "value_error");
}

static text *
TextArgument(FunctionCallInfo fcinfo, int number)
{
    return PG_ARGISNULL(number) ? NULL : PG_GETARG_TEXT_PP(number);
}

/* The e-mail's normal form; NULL, and a problem, where it is none. */
static text *
CheckEmail(text *email, FieldProblems *problems)
{
    if (email == NULL)
        ProblemAdd(problems, "email", AUTH_ERROR_ARGUMENT, "Field required", "missing");
    else if (!EmailIsValid(text_to_cstring(email)))
        ProblemAdd(problems, "email", AUTH_ERROR_EMAIL_INVALID, NULL, "value_error");
    else
        return EmailNormalize(email);
    return NULL;
}

/*
 * SQL function: register(email text, password text, first_name text, last_name text) returns bigint
 *
 * The new account's id.  U400A where a living account has the e-mail; a deleted one does not count.
 */
Datum
auth_service_register(PG_FUNCTION_ARGS)
{
    text *email = TextArgument(fcinfo, 0);
    text *password = TextArgument(fcinfo, 1);
    text *first_name = TextArgument(fcinfo, 2);
    text *last_name = TextArgument(fcinfo, 3);
    FieldProblems problems = {0};
    text *email_normalized = CheckEmail(email, &problems);
    AccountRow account;
    int64 id;

    if (password == NULL)
        ProblemAdd(&problems, "password", AUTH_ERROR_ARGUMENT, "Field required", "missing");
    else
        PasswordCheckRules(password, "password", &problems);
    CheckName(first_name, "first_name", &problems);
    CheckName(last_name, "last_name", &problems);
    ProblemsRaise(&problems);

    /* Looked up first to spare the hash; the unique index is what decides. */
    if (StoreAccountByEmail(email_normalized, &account))
        ErrorRaise(AUTH_ERROR_EMAIL_TAKEN);
    StoreCommitDurably();
    id = StoreAccountInsert(email, email_normalized, PasswordHash(password), first_name, last_name,
                            GetCurrentTimestamp());
    if (id == 0)
        ErrorRaise(AUTH_ERROR_EMAIL_TAKEN);
    PG_RETURN_INT64(id);
}

/* SQL function: me() returns auth.profile: the identity's own. */
Datum
auth_service_me(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireIdentity();
    Datum profile =
        StoreProfileFind(identity->user_id, &identity->session_id, GetCurrentTimestamp());

    if (profile == 0) {
        RequireLiveIdentity(); /* tells why */
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    }
    return profile;
}

/*
 * SQL function: update_profile(first_name text, last_name text) returns auth.profile
 *
 * U400B where one of the names is missing or empty.
 */
Datum
auth_service_update_profile(PG_FUNCTION_ARGS)
{
    const Identity *identity = RequireLiveIdentity();
    text *first_name = TextArgument(fcinfo, 0);
    text *last_name = TextArgument(fcinfo, 1);
    FieldProblems problems = {0};
    Datum profile;

    if (first_name == NULL || last_name == NULL || VARSIZE_ANY_EXHDR(first_name) == 0 ||
        VARSIZE_ANY_EXHDR(last_name) == 0)
        ErrorRaise(AUTH_ERROR_PROFILE_NOT_UPDATED);
    CheckName(first_name, "first_name", &problems);
    CheckName(last_name, "last_name", &problems);
    ProblemsRaise(&problems);
    StoreCommitDurably();
    profile = StoreProfileUpdate(identity->user_id, first_name, last_name, GetCurrentTimestamp());
    StoreRequireSeen(profile != 0);
    if (profile == 0)
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    return profile;
}

static UserRole
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
 *
 * Whether there is such a user.  For admins and operators.  The next authenticate sees the change.
 */
Datum
auth_service_set_role(PG_FUNCTION_ARGS)
{
    RequireAdmin();
    StoreCommitDurably();
    PG_RETURN_BOOL(StoreRoleUpdate(PG_GETARG_INT64(0), RoleFromDatum(PG_GETARG_OID(1)),
                                   GetCurrentTimestamp()));
}
