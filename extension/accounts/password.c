/* SPDX-License-Identifier: MIT
 *
 * password.c: the rules for passwords, and bcrypt by pgcrypto.
 *
 * pgcrypto's C functions are taken from its library, not looked up in SQL: so it does not matter
 * into which schema pgcrypto was installed, and no function of a caller's can stand in for them.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "accounts/password.h"
#include "audit/audit.h"
#include "base/compat.h"
#include "base/email.h"
#include "base/errors.h"
#include "base/settings.h"
#include "protection/throttle.h"
#include "store/account.h"
#include "store/session.h"
#include "store/store.h"

#define HASH_CHARS 60 /* "$2a$" cost "$" 22 of salt, 31 of hash */

PG_FUNCTION_INFO_V1(auth_service_change_password);

/* ---- Rules ------------------------------------------------------------------------------ */

static bool
HasOneOf(const char *from, Size size, const char *set)
{
    Size i;

    for (i = 0; i < size; i++)
        if (from[i] != '\0' && strchr(set, from[i]) != NULL)
            return true;
    return false;
}

/*
 * Collect the rules that a new password breaks.  The length is counted in characters, the upper
 * limit in bytes, because bcrypt ignores what is behind the 72nd; letters and digits are ASCII's.
 */
void
PasswordCheckRules(text *password, const char *field, FieldProblems *problems)
{
    const char *value = VARDATA_ANY(password);
    Size size = VARSIZE_ANY_EXHDR(password);
    const char *type = "value_error";

    if (size > AUTH_PASSWORD_BYTES_MAX) {
        ProblemAdd(problems, field, AUTH_ERROR_PASSWORD_TOO_LONG, NULL, type);
        return;
    }
    if (pg_mbstrlen_with_len(value, (int)size) < auth_service_password_min_length)
        ProblemAdd(
            problems, field, AUTH_ERROR_PASSWORD_TOO_SHORT,
            psprintf("Password must have at least %d characters", auth_service_password_min_length),
            type);
    if (auth_service_password_require_lower && !HasOneOf(value, size, "abcdefghijklmnopqrstuvwxyz"))
        ProblemAdd(problems, field, AUTH_ERROR_PASSWORD_NO_LOWER, NULL, type);
    if (auth_service_password_require_upper && !HasOneOf(value, size, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        ProblemAdd(problems, field, AUTH_ERROR_PASSWORD_NO_UPPER, NULL, type);
    if (auth_service_password_require_digit && !HasOneOf(value, size, "0123456789"))
        ProblemAdd(problems, field, AUTH_ERROR_PASSWORD_NO_DIGIT, NULL, type);
    if (HasOneOf(value, size, auth_service_password_forbidden_characters))
        ProblemAdd(problems, field, AUTH_ERROR_PASSWORD_FORBIDDEN, NULL, type);
}

/* ---- Hashes ----------------------------------------------------------------------------- */

static PGFunction
CryptoFunction(const char *name)
{
    return (PGFunction)load_external_function("$libdir/pgcrypto", name, /* signalNotFound */ true,
                                              NULL);
}

/* SQL function of pgcrypto: crypt(password text, salt text) returns text */
static char *
Crypt(text *password, const char *salt)
{
    static PGFunction crypt = NULL;

    if (crypt == NULL)
        crypt = CryptoFunction("pg_crypt");
    return text_to_cstring(DatumGetTextPP(
        DirectFunctionCall2(crypt, PointerGetDatum(password), CStringGetTextDatum(salt))));
}

/* SQL function of pgcrypto: gen_salt(type text, iter_count integer) returns text */
static char *
MakeSalt(int cost)
{
    static PGFunction gen_salt = NULL;

    if (gen_salt == NULL)
        gen_salt = CryptoFunction("pg_gen_salt_rounds");
    return text_to_cstring(DatumGetTextPP(
        DirectFunctionCall2(gen_salt, CStringGetTextDatum("bf"), Int32GetDatum(cost))));
}

/* A new hash with the cost of today's setting. */
char *
PasswordHash(text *password)
{
    return Crypt(password, MakeSalt(auth_service_bcrypt_cost));
}

/*
 * The cost of a hash, or 0 where it is none of ours.  pgcrypto takes "$2a$" alone for bcrypt: with
 * "$2b$" it would compute traditional DES, of eight characters, without a word.
 */
static int
HashCost(const char *hash)
{
    int cost;

    if (hash == NULL || strlen(hash) != HASH_CHARS || strncmp(hash, "$2a$", 4) != 0 ||
        hash[4] < '0' || hash[4] > '9' || hash[5] < '0' || hash[5] > '9' || hash[6] != '$')
        return 0;
    cost = (hash[4] - '0') * 10 + hash[5] - '0';
    return cost >= AUTH_BCRYPT_COST_MIN && cost <= AUTH_BCRYPT_COST_MAX ? cost : 0;
}

/*
 * Another service's hash in the form that pgcrypto computes; NULL where it is no bcrypt hash that we
 * take.  "$2b$" and "$2y$" are "$2a$" under other names, for passwords up to 72 bytes.
 */
char *
PasswordHashImport(const char *hash)
{
    static const char alphabet[] =
        "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char *copy;

    if (hash == NULL || strlen(hash) != HASH_CHARS || strncmp(hash, "$2", 2) != 0 ||
        (hash[2] != 'a' && hash[2] != 'b' && hash[2] != 'y'))
        return NULL;
    copy = pstrdup(hash);
    copy[2] = 'a';
    return HashCost(copy) > 0 && copy[7 + strspn(copy + 7, alphabet)] == '\0' ? copy : NULL;
}

bool
PasswordNeedsRenewal(const char *hash)
{
    return HashCost(hash) != auth_service_bcrypt_cost;
}

/*
 * Whether the password has this hash.  "No" takes as long for any hash, NULL included, as for one
 * of today's cost: 2^cost rounds are what is left of them after 2^c, 2^c + 2^(c+1) + ... rounds.
 * (A hash of a higher cost than today's takes longer; it is renewed at the next login.)
 */
static bool
PasswordVerify(text *password, const char *hash)
{
    int cost = HashCost(hash);
    bool good = false;

    if (VARSIZE_ANY_EXHDR(password) > AUTH_PASSWORD_BYTES_MAX) {
        cost = 0; /* nobody's: it cannot have been set */
        password = cstring_to_text_with_len(VARDATA_ANY(password), AUTH_PASSWORD_BYTES_MAX);
    }
    if (cost > 0) {
        const char *computed = Crypt(password, hash);
        unsigned char difference = strlen(computed) != HASH_CHARS;
        int i;

        for (i = 0; i < HASH_CHARS && computed[i] != '\0'; i++)
            difference |= (unsigned char)(computed[i] ^ hash[i]);
        good = difference == 0;
    }
    if (!good) {
        if (cost == 0)
            Crypt(password, MakeSalt(auth_service_bcrypt_cost));
        for (; cost > 0 && cost < auth_service_bcrypt_cost; cost++)
            Crypt(password, MakeSalt(cost));
    }
    return good;
}

/* ---- Accounts --------------------------------------------------------------------------- */

bool
PasswordVerifyCredentials(text *email, text *password, AccountRow *account)
{
    bool found;
    bool good;

    account->id = 0;
    found = VARSIZE_ANY_EXHDR(email) <= AUTH_EMAIL_BYTES_MAX &&
            StoreAccountByEmail(EmailNormalize(email), account);
    good = PasswordVerify(password, found ? account->password_hash : NULL);
    return found && good;
}

/*
 * SQL function: change_password(email text, old_password text, new_password text) returns boolean
 *
 * False where e-mail and old password do not fit.  True ends every session of the user.  U429A as login.
 */
Datum
auth_service_change_password(PG_FUNCTION_ARGS)
{
    FieldProblems problems = {0};
    ThrottleAttempt attempt;
    AccountRow account;
    int tries;

    if (PG_ARGISNULL(2))
        ProblemAdd(&problems, "new_password", AUTH_ERROR_ARGUMENT, "Field required", "missing");
    else
        PasswordCheckRules(PG_GETARG_TEXT_PP(2), "new_password", &problems);
    ProblemsRaise(&problems);
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
        PG_RETURN_BOOL(false);

    ThrottleEnter(&attempt, PG_GETARG_TEXT_PP(0));
    /* No lock is held while hashing, so the account may have changed: then look again. */
    for (tries = 0; tries < AUTH_PASSWORD_TRIES; tries++) {
        TimestampTz now;

        if (!PasswordVerifyCredentials(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), &account))
            break;
        if (account.is_blocked) {
            ThrottlePass(&attempt);
            ErrorRaise(AUTH_ERROR_BLOCKED);
        }
        now = GetCurrentTimestamp();
        StoreCommitDurably();
        if (StorePasswordUpdate(account.id, account.password_hash,
                                PasswordHash(PG_GETARG_TEXT_PP(2)), now)) {
            ThrottlePass(&attempt);
            StoreSessionsDelete(account.id);
            AuditRecord(
                &(AuditEvent){.action = "change_password", .user_id = account.id, .is_own = true});
            PG_RETURN_BOOL(true);
        }
    }
    StoreRequireSeen(tries < AUTH_PASSWORD_TRIES);
    ThrottleFail(&attempt, account.id);
    AuditRecord(&(AuditEvent){.action = "change_password_failed", .user_id = account.id});
    PG_RETURN_BOOL(false);
}
