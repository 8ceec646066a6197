/* SPDX-License-Identifier: MIT
 *
 * rotation.c: what operators do with signing keys, and what everybody may know of them.
 *
 * A key of our own is at first to come, where it was made ahead; then it signs; then a newer one does, and
 * it verifies until every token that it can have signed has expired.  docs/keys.md has the table.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "audit/audit.h"
#include "base/base64url.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/types.h"
#include "identity/identity.h"
#include "keys/envelope.h"
#include "keys/key.h"
#include "keys/libcrypto.h"
#include "store/key.h"
#include "store/store.h"

/* A key can be made so long before it signs. */
#define ACTIVE_IN_DAYS_MAX 30

/*
 * So long a key verifies that signs no longer: the longest life that a token can have, whatever the setting
 * is for whom, and a day for transactions that began before and clocks that differ.
 */
#define RETIRING_USECS (((int64)AUTH_ACCESS_TOKEN_TTL_MAX + 24 * 60 * 60) * USECS_PER_SEC)

PG_FUNCTION_INFO_V1(auth_service_rotate_signing_key);
PG_FUNCTION_INFO_V1(auth_service_drop_signing_key);
PG_FUNCTION_INFO_V1(auth_service_seal_signing_keys);
PG_FUNCTION_INFO_V1(auth_service_jwks);
PG_FUNCTION_INFO_V1(auth_service_issuer_url);

/* ---- Rotation --------------------------------------------------------------------------- */

/* The algorithm asked for, or that of the newest key. */
static const char *
ChooseAlgorithm(text *argument)
{
    KeyRow newest;

    if (argument == NULL)
        return StoreKeyNewest(&newest) ? pstrdup(newest.algorithm) : "HS256";
    return KeyReadAlgorithm(argument);
}

static TimestampTz
After(TimestampTz now, Datum active_in)
{
    TimestampTz then = DatumGetTimestampTz(
        DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), active_in));

    if (TIMESTAMP_NOT_FINITE(then) || then < now || then > now + ACTIVE_IN_DAYS_MAX * USECS_PER_DAY)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("active_in must be 0 to %d days", ACTIVE_IN_DAYS_MAX)));
    return then;
}

/*
 * SQL function: rotate_signing_key(algorithm text, active_in interval) returns text
 *
 * The kid of a new key, which signs from the commit on, or later by active_in: by then whoever keeps a copy
 * of jwks() has it.  The key before it goes on verifying until its tokens have expired.  A key that was
 * made ahead and has not signed yet never will.  For operators.  22023 for an algorithm or time that is
 * none.
 */
Datum
auth_service_rotate_signing_key(PG_FUNCTION_ARGS)
{
    char signing_kid[AUTH_KID_BYTES_MAX + 1];
    TimestampTz now;
    TimestampTz signs_from;
    KeyRow key;

    RequireOperator();
    StoreCommitDurably();
    /* One rotation after the other. */
    StoreKeysLock();
    KeyMake(ChooseAlgorithm(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0)), &key);
    now = GetCurrentTimestamp();
    signs_from = PG_ARGISNULL(1) ? now : After(now, PG_GETARG_DATUM(1));
    if (StoreKeySigning(now, signing_kid))
        StoreKeysRetire(signing_kid, now, signs_from + RETIRING_USECS);
    else
        signs_from = DT_NOBEGIN; /* somebody has to sign */
    if (!StoreKeyInsert(&key, signs_from))
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("the signing keys were changed meanwhile"), errhint("Try again.")));
    AuditRecord(
        &(AuditEvent){.action = "rotate_signing_key", .detail = TextToJson("kid", key.kid)});
    PG_RETURN_TEXT_P(cstring_to_text(key.kid));
}

/*
 * SQL function: drop_signing_key(kid text) returns boolean
 *
 * Whether there was such a key.  Its tokens are refused from the commit on, in every session.  For
 * operators.  55000 for the key that signs, and for one that is to come: rotate first.
 */
Datum
auth_service_drop_signing_key(PG_FUNCTION_ARGS)
{
    text *argument = PG_GETARG_TEXT_PP(0);
    char *kid;
    char signing_kid[AUTH_KID_BYTES_MAX + 1];
    TimestampTz now;
    KeyRow newest;
    KeyRow key;
    bool dropped;

    RequireOperator();
    if (VARSIZE_ANY_EXHDR(argument) > AUTH_KID_BYTES_MAX)
        PG_RETURN_BOOL(false);
    kid = text_to_cstring(argument);
    StoreCommitDurably();
    StoreKeysLock();
    now = GetCurrentTimestamp();
    if ((StoreKeySigning(now, signing_kid) && strcmp(kid, signing_kid) == 0) ||
        (StoreKeyNewest(&newest) && strcmp(kid, newest.kid) == 0))
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("this key signs, or is to sign next"),
                        errhint("Call auth.rotate_signing_key() first.")));
    dropped = StoreKeyDrop(kid, now);
    if (!dropped && StoreKeyFind(kid, &key))
        StoreRequireSeen(false);
    if (dropped)
        AuditRecord(&(AuditEvent){.action = "drop_signing_key", .detail = TextToJson("kid", kid)});
    PG_RETURN_BOOL(dropped);
}

/*
 * SQL function: seal_signing_keys() returns integer
 *
 * Seals every signing key with the current key-encryption key, also one that another sealed before, and
 * answers how many that were.  For operators.  55000 where no key-encryption key is set.
 */
Datum
auth_service_seal_signing_keys(PG_FUNCTION_ARGS)
{
    KekId id;
    ListCell *cell;
    int count = 0;

    RequireOperator();
    StoreCommitDurably();
    KekForget(); /* the command may print another one by now */
    id = KekCurrent();
    if (id.size == 0)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("auth_service.key_encryption_command is not set")));
    StoreKeysLock();
    foreach (cell, StoreKeysSecret()) {
        KeyRow *key = lfirst(cell);

        if (key->sealed_by.size > 0 && memcmp(key->sealed_by.data, id.data, KEK_ID_BYTES) == 0)
            continue;
        KeyWrap(key, &id);
        StoreKeyWrap(key);
        count++;
    }
    AuditRecord(
        &(AuditEvent){.action = "seal_signing_keys", .detail = psprintf("{\"sealed\":%d}", count)});
    PG_RETURN_INT32(count);
}

/* ---- Published -------------------------------------------------------------------------- */

/* Add a JWK (RFC 7517, 4); false where the key's numbers could not be read. */
static bool
AppendJwk(StringInfo json, const KeyRow *row, CryptoNumbers *numbers)
{
    struct evp_pkey_st *key =
        CryptoReadPublished(row->algorithm, (unsigned char *)VARDATA_ANY(row->public_key),
                            VARSIZE_ANY_EXHDR(row->public_key));
    bool good = key != NULL && CryptoReadNumbers(row->algorithm, key, numbers);
    int i;

    CryptoRelease(key);
    if (!good)
        return false;
    appendStringInfo(json, "{\"kid\":");
    escape_json(json, row->kid);
    appendStringInfo(json, ",\"use\":\"sig\",\"alg\":\"%s\",\"kty\":\"%s\"", row->algorithm,
                     numbers->type);
    if (numbers->curve != NULL)
        appendStringInfo(json, ",\"crv\":\"%s\"", numbers->curve);
    for (i = 0; i < 2 && numbers->values[i].size > 0; i++) {
        char *number = palloc(numbers->values[i].size * 4 / 3 + 3);

        Base64UrlEncode(numbers->values[i].data, numbers->values[i].size, number);
        appendStringInfo(json, ",\"%s\":\"%s\"", numbers->names[i], number);
    }
    appendStringInfoChar(json, '}');
    return true;
}

/*
 * SQL function: jwks() returns jsonb
 *
 * The public keys with which access tokens can be verified now or soon, as a JWK set (RFC 7517, 5).  HS256
 * has none.
 */
Datum
auth_service_jwks(PG_FUNCTION_ARGS)
{
    CryptoNumbers *numbers = palloc(sizeof(CryptoNumbers));
    const char *separator = "";
    StringInfoData json;
    ListCell *cell;

    initStringInfo(&json);
    appendStringInfoString(&json, "{\"keys\":[");
    foreach (cell, StoreKeysPublished(GetCurrentTimestamp())) {
        appendStringInfoString(&json, separator);
        if (!AppendJwk(&json, lfirst(cell), numbers))
            ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                            errmsg("a signing key is none for its algorithm")));
        separator = ",";
    }
    appendStringInfoString(&json, "]}");
    PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

/*
 * SQL function: _issuer() returns text, for fronts
 *
 * The issuer, where it is a URL that a front can publish (RFC 8414, 2: https, without query and fragment);
 * else NULL.
 */
Datum
auth_service_issuer_url(PG_FUNCTION_ARGS)
{
    static const char scheme[] = "https://";
    char *issuer = pstrdup(auth_service_issuer);
    Size length = strlen(issuer);

    if (length <= strlen(scheme) || strncmp(issuer, scheme, strlen(scheme)) != 0 ||
        strpbrk(issuer, "?#\"\\<> ") != NULL || issuer[strlen(scheme)] == '/')
        PG_RETURN_NULL();
    PG_RETURN_TEXT_P(cstring_to_text(issuer));
}
