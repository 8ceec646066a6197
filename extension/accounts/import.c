/* SPDX-License-Identifier: MIT
 *
 * import.c: taking another service's users and signing key over, so that nobody notices the move.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "accounts/password.h"
#include "audit/audit.h"
#include "base/compat.h"
#include "base/email.h"
#include "base/text.h"
#include "identity/identity.h"
#include "keys/key.h"
#include "keys/libcrypto.h"
#include "store/account.h"
#include "store/import.h"
#include "store/key.h"
#include "store/store.h"

/* JavaScript's integers end at 2^53, and new ids go on behind the greatest one. */
#define ID_MAX INT64CONST(4503599627370496)

PG_FUNCTION_INFO_V1(auth_service_import_users);
PG_FUNCTION_INFO_V1(auth_service_import_signing_key);

/* ---- Users ------------------------------------------------------------------------------ */

typedef struct Import {
    ReturnSetInfo *result;
    int64 imported;
    int64 present;
    int64 refused;
} Import;

/* Report a row that was not added. */
static void
AddNote(Import *import, bool has_id, int64 id, const char *email, bool is_refused,
        const char *reason)
{
    Datum values[] = {Int64GetDatum(id), email ? CStringGetTextDatum(email) : (Datum)0,
                      BoolGetDatum(is_refused), CStringGetTextDatum(reason)};
    bool nulls[] = {!has_id, email == NULL, false, false};

    tuplestore_putvalues(import->result->setResult, import->result->setDesc, values, nulls);
    if (is_refused)
        import->refused++;
    else
        import->present++;
}

static bool
IsImportableName(const char *name)
{
    return name == NULL || TextIsPrintable(cstring_to_text(name), AUTH_NAME_CHARS_MAX);
}

/* RFC 3339 has four digits for the year, and so has every client's date. */
static bool
IsImportableTime(TimestampTz time)
{
    struct pg_tm tm;
    fsec_t fsec;

    return !TIMESTAMP_NOT_FINITE(time) && timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) == 0 &&
           tm.tm_year >= 1 && tm.tm_year <= 9999;
}

/* Why this row cannot become an account; NULL where it can. */
static const char *
RowProblem(const ImportRow *row)
{
    if (!row->has_id || row->id <= 0 || row->id > ID_MAX)
        return "the id is not a number from 1 to 2^52";
    if (row->email == NULL || !EmailIsValid(row->email))
        return "the e-mail is not a valid address";
    if (row->role == NULL || (strcmp(row->role, "user") != 0 && strcmp(row->role, "admin") != 0))
        return "the role is neither user nor admin";
    if (row->balance < 0)
        return "the balance is below zero";
    if (!IsImportableTime(row->created_at) || !IsImportableTime(row->updated_at) ||
        !IsImportableTime(row->blocked_at) || !IsImportableTime(row->last_activity_at))
        return "a time is not between the years 1 and 9999";
    if (!IsImportableName(row->first_name) || !IsImportableName(row->last_name))
        return "a name is over 255 characters or has a control character";
    if (row->password_hash == NULL)
        return "the password hash is none of bcrypt, $2a$, $2b$ or $2y$, with a cost from 4 to 16";
    return NULL;
}

/* An ImportJudge's accept. */
static bool
AcceptRow(void *context, ImportRow *row)
{
    const char *problem;

    row->password_hash = PasswordHashImport(row->password_hash);
    problem = RowProblem(row);
    if (problem != NULL)
        AddNote(context, row->has_id, row->id, row->email, true, problem);
    else
        row->email_normalized = EmailNormalize(cstring_to_text(row->email));
    return problem == NULL;
}

/* An ImportJudge's settle. */
static void
SettleRow(void *context, int64 id, const char *email, ImportOutcome outcome)
{
    Import *import = context;

    switch (outcome) {
    case IMPORT_DONE:
        import->imported++;
        break;
    case IMPORT_PRESENT:
        AddNote(import, true, id, email, false, "the account is here already");
        break;
    case IMPORT_ID_TAKEN:
        AddNote(import, true, id, email, true, "another account has this id");
        break;
    case IMPORT_EMAIL_TAKEN:
        AddNote(import, true, id, email, true, "another account has this e-mail");
        break;
    }
}

/*
 * SQL function: import_users(users json) returns setof auth.import_note
 *
 * Adds the accounts of an array of objects with the columns of the service before us: id, email,
 * hashed_password, first_name, last_name, is_blocked, blocked_at, is_deleted, role, balance,
 * created_at, updated_at, last_activity_at.  An account that is here is left as it is, so the call can
 * be repeated.  Ids given to new accounts go on behind the greatest one.  For operators.
 */
Datum
auth_service_import_users(PG_FUNCTION_ARGS)
{
    Import import = {0};
    ImportJudge judge = {.accept = AcceptRow, .settle = SettleRow, .context = &import};

    RequireOperator();
    InitMaterializedSRF(fcinfo, 0);
    import.result = (ReturnSetInfo *)fcinfo->resultinfo;
    StoreCommitDurably();
    StoreImportUsers(PG_GETARG_TEXT_PP(0), GetCurrentTimestamp(), &judge);
    AuditRecord(
        &(AuditEvent){.action = "import_users",
                      .detail = psprintf("{\"imported\":" INT64_FORMAT ",\"present\":" INT64_FORMAT
                                         ",\"refused\":" INT64_FORMAT "}",
                                         import.imported, import.present, import.refused)});
    return (Datum)0;
}

/* ---- The signing key -------------------------------------------------------------------- */

/* Make the arguments a key, or raise. */
static void
ReadKey(const text *algorithm_given, const text *secret_given, KeyRow *key)
{
    char *algorithm = KeyReadAlgorithm(algorithm_given);
    bool is_good = VARSIZE_ANY_EXHDR(secret_given) <= AUTH_PEM_BYTES_MAX;

    if (is_good) {
        char *given = text_to_cstring(secret_given);
        char *secret = pg_server_to_any(given, (int)strlen(given), PG_UTF8);

        is_good = KeyImport(algorithm, secret, key);
    }
    if (is_good)
        return;
    if (strcmp(algorithm, "HS256") == 0)
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("the secret must have %d to %d bytes, and not be the text of another "
                        "algorithm's key",
                        AUTH_HMAC_KEY_BYTES_MIN, AUTH_HMAC_KEY_BYTES_MAX),
                 errdetail("A shorter one can be found by trying (RFC 7518, 3.2)."),
                 errhint("Do not import it: users log in again when their access token expires."),
                 errhidestmt(true), errhidecontext(true)));
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
             errmsg("the secret must be a PEM text with a key for the algorithm"),
             errdetail("ES256 goes with P-256, RS256 with RSA of %d to %d bits and an exponent of "
                       "65537 or more, EdDSA with Ed25519; the key must not be encrypted.",
                       AUTH_RSA_BITS_MIN, AUTH_RSA_BITS_MAX),
             errhidestmt(true), errhidecontext(true)));
}

/*
 * SQL function: import_signing_key(algorithm text, secret text, valid_for interval) returns text
 *
 * The kid under which the key is kept.  From now on access tokens of the service before us, signed
 * with this secret, are good for imported accounts: until they expire, until the user logs out or
 * changes the password, and for so long at most.  A token that expires later than that is refused: it
 * would be a refresh token, which that service's look like.  Another service's secret ends the tokens of
 * the one before; its own users take its tokens where they are imported after it.  For operators.  22023 for an algorithm other
 * than HS256, a secret that is no HMAC key (RFC 7518, 3.2: 32 bytes at least), or a time that is none.
 */
Datum
auth_service_import_signing_key(PG_FUNCTION_ARGS)
{
    TimestampTz now = GetCurrentTimestamp();
    TimestampTz until = DatumGetTimestampTz(
        DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), PG_GETARG_DATUM(2)));
    KeyRow key;
    KeyRow before;

    RequireOperator();
    if (until <= now || TIMESTAMP_NOT_FINITE(until))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("valid_for must be more than nothing"), errhidestmt(true),
                        errhidecontext(true)));
    StoreCommitDurably();
    ReadKey(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), &key);
    /* Users of two services may have the same id: the tokens of one must not be good for the other's. */
    if (StoreKeyLastImported(&before) && !KeyIsSame(&before, &key))
        StoreAllImportedTokensEnd();
    StoreKeyImport(&key, until);
    AuditRecord(
        &(AuditEvent){.action = "import_signing_key", .detail = TextToJson("kid", key.kid)});
    PG_RETURN_TEXT_P(cstring_to_text(key.kid));
}
