/* SPDX-License-Identifier: MIT
 *
 * token.c: access tokens: their form, written and read strictly (RFC 7515, 7519, 8725, 9068).
 */
#include "postgres.h"

#include <time.h>

#include "lib/stringinfo.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base64url.h"
#include "guc.h"
#include "jwt_library.h"
#include "key.h"
#include "random.h"
#include "store.h"
#include "token.h"

#define TOKEN_TYPE       "at+jwt" /* RFC 9068, 2.1 */
#define JTI_RANDOM_BYTES 16
/* A clock that was set back a little, or a standby's, must not refuse fresh tokens. */
#define CLOCK_SKEW_SECONDS 60

/* ---- Issuing ---------------------------------------------------------------------------- */

int
TokenLifetime(void)
{
    return Min(auth_service_access_token_ttl, auth_service_refresh_token_idle_ttl);
}

static void
AppendClaims(StringInfo json, UserRole role, const RefreshToken *refresh)
{
    /* The real clock: now() stands still in a transaction. */
    int64 now = (int64)time(NULL);
    unsigned char random[JTI_RANDOM_BYTES];
    char jti[JTI_RANDOM_BYTES * 4 / 3 + 3];
    int i;

    RandomBytes(random, sizeof(random));
    Base64UrlEncode(random, sizeof(random), jti);

    appendStringInfoString(json, "{\"iss\":");
    escape_json(json, auth_service_issuer);
    if (auth_service_audience[0] != '\0') {
        appendStringInfoString(json, ",\"aud\":");
        escape_json(json, auth_service_audience);
    }
    appendStringInfo(json,
                     ",\"sub\":\"" INT64_FORMAT "\",\"iat\":" INT64_FORMAT ",\"exp\":" INT64_FORMAT
                     ",\"jti\":\"%s\",\"role\":\"%s\",\"sid\":\"",
                     refresh->user_id, now, now + TokenLifetime(), jti, UserRoleName(role));
    for (i = 0; i < UUID_LEN; i++)
        appendStringInfo(json, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                         refresh->session_id.data[i]);
    appendStringInfo(json, "\",\"gen\":\"" INT64_FORMAT "." INT64_FORMAT "\"}",
                     refresh->generation.counter, refresh->generation.nonce);
}

static void
AppendBase64Url(StringInfo token, const StringInfoData *part)
{
    enlargeStringInfo(token, part->len * 4 / 3 + 3);
    Base64UrlEncode((unsigned char *)part->data, (Size)part->len, token->data + token->len);
    token->len += (int)strlen(token->data + token->len);
}

/* A new access token, of the same user, session and generation as this refresh token. */
char *
TokenIssue(SigningKey *key, UserRole role, const RefreshToken *refresh)
{
    char signature[KEY_SIGNATURE_CHARS_MAX + 1];
    StringInfoData part;
    StringInfoData token;

    JwtOpen();
    initStringInfo(&token);
    initStringInfo(&part);
    appendStringInfo(&part, "{\"alg\":\"%s\",\"typ\":\"" TOKEN_TYPE "\",\"kid\":", key->algorithm);
    escape_json(&part, key->kid);
    appendStringInfoChar(&part, '}');
    AppendBase64Url(&token, &part);
    appendStringInfoChar(&token, '.');
    resetStringInfo(&part);
    AppendClaims(&part, role, refresh);
    AppendBase64Url(&token, &part);
    if (!KeySign(key, token.data, signature))
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not sign an access token")));
    appendStringInfo(&token, ".%s", signature);

    /* A long issuer or audience must not make tokens that nobody accepts. */
    if (token.len > AUTH_ACCESS_TOKEN_BYTES_MAX)
        ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                        errmsg("access token is longer than %d bytes", AUTH_ACCESS_TOKEN_BYTES_MAX),
                        errhint("Shorten auth_service.issuer or auth_service.audience.")));
    return token.data;
}

/* ---- Verifying -------------------------------------------------------------------------- */

/* A number as we write it, decimal, no sign, no leading zero; the character behind it, or NULL. */
static const char *
ReadNumber(const char *given, int64 *number)
{
    const char *c = given;
    uint64 value = 0;

    for (; *c >= '0' && *c <= '9'; c++) {
        if (c - given >= 19 || (c > given && *given == '0'))
            return NULL;
        value = value * 10 + (uint64)(*c - '0');
    }
    *number = (int64)value;
    return c > given && value <= PG_INT64_MAX ? c : NULL;
}

static bool
ReadUserId(const char *given, int64 *user_id)
{
    const char *end = given ? ReadNumber(given, user_id) : NULL;

    return end != NULL && *end == '\0' && *user_id > 0;
}

/* "counter.nonce" */
static bool
ReadGeneration(const char *given, Generation *generation)
{
    const char *dot = given ? ReadNumber(given, &generation->counter) : NULL;
    const char *end = dot && *dot == '.' ? ReadNumber(dot + 1, &generation->nonce) : NULL;

    return end != NULL && *end == '\0';
}

/* A session id as we write it: lower-case hexadecimal with its four hyphens. */
static bool
ReadSessionId(const char *given, pg_uuid_t *session_id)
{
    int digits = 0;
    int i;

    if (given == NULL || strlen(given) != 36)
        return false;
    memset(session_id, 0, sizeof(*session_id));
    for (i = 0; i < 36; i++) {
        char c = given[i];
        int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-')
                return false;
            continue;
        }
        if (value < 0)
            return false;
        session_id->data[digits / 2] |= (unsigned char)(digits % 2 ? value : value << 4);
        digits++;
    }
    return true;
}

/* RFC 7519, 4.1.3: "aud" names us, alone or among others; without a setting there is none. */
static bool
IsOurAudience(const struct json_t *payload)
{
    if (auth_service_audience[0] == '\0')
        return !JsonHas(payload, "aud");
    return JsonNames(payload, "aud", auth_service_audience);
}

/* Whether all times are numbers without a fraction, and now is between them. */
static bool
IsInTime(const struct json_t *payload)
{
    int64 now = (int64)time(NULL);
    int64 exp;
    int64 iat;
    int64 nbf = now;

    if (!JsonInteger(payload, "exp", &exp) || !JsonInteger(payload, "iat", &iat) ||
        (JsonHas(payload, "nbf") && !JsonInteger(payload, "nbf", &nbf)))
        return false;
    return exp > now && iat <= now + CLOCK_SKEW_SECONDS && nbf <= now + CLOCK_SKEW_SECONDS;
}

static bool
ReadPayload(const char *json, Size size, TokenClaims *claims)
{
    struct json_t *payload = JsonParseObject(json, size);
    const char *iss;
    const char *jti;
    bool good;

    if (payload == NULL)
        return false;
    iss = JsonString(payload, "iss");
    jti = JsonString(payload, "jti");
    good = iss != NULL && strcmp(iss, auth_service_issuer) == 0 && jti != NULL && jti[0] != '\0' &&
           IsOurAudience(payload) && IsInTime(payload) &&
           ReadUserId(JsonString(payload, "sub"), &claims->user_id) &&
           ReadSessionId(JsonString(payload, "sid"), &claims->session_id) &&
           ReadGeneration(JsonString(payload, "gen"), &claims->generation);
    JsonRelease(payload);
    return good;
}

/*
 * The payload of a token of the service before us, which has "sub" and "exp" and need not have more.
 * One that expires after the key's last day would be a refresh token, which looks the same there.
 */
static bool
ReadImportedPayload(const char *json, Size size, TimestampTz until, TokenClaims *claims)
{
    struct json_t *payload = JsonParseObject(json, size);
    int64 now = (int64)time(NULL);
    int64 exp = 0;
    int64 nbf = now;
    bool good;

    if (payload == NULL)
        return false;
    good = JsonInteger(payload, "exp", &exp) && exp > now &&
           exp <= (int64)timestamptz_to_time_t(until) &&
           (!JsonHas(payload, "nbf") || JsonInteger(payload, "nbf", &nbf)) &&
           nbf <= now + CLOCK_SKEW_SECONDS &&
           ReadUserId(JsonString(payload, "sub"), &claims->user_id);
    JsonRelease(payload);
    return good;
}

/*
 * The header's kid, and its alg for comparison with the key's; nothing in it is obeyed.  Tokens of the
 * service before us have no kid, which is "" then.
 */
static bool
ReadHeader(const char *json, Size size, char *kid, char *algorithm)
{
    struct json_t *header = JsonParseObject(json, size);
    const char *typ;
    const char *alg;
    const char *id;
    bool good;

    if (header == NULL)
        return false;
    typ = JsonString(header, "typ");
    alg = JsonString(header, "alg");
    id = JsonString(header, "kid");
    /* RFC 7515, 4.1.11: we understand no critical extension. */
    good = !JsonHas(header, "crit") && alg != NULL && strlen(alg) <= AUTH_ALGORITHM_BYTES_MAX;
    if (JsonHas(header, "kid"))
        good = good && typ != NULL && strcmp(typ, TOKEN_TYPE) == 0 && id != NULL && id[0] != '\0' &&
               strlen(id) <= AUTH_KID_BYTES_MAX;
    else
        good = good && (!JsonHas(header, "typ") || (typ != NULL && strcmp(typ, "JWT") == 0));
    if (good) {
        strlcpy(kid, id ? id : "", AUTH_KID_BYTES_MAX + 1);
        strlcpy(algorithm, alg, AUTH_ALGORITHM_BYTES_MAX + 1);
    }
    JsonRelease(header);
    return good;
}

/* Decode one part of the token into palloc'ed memory with a NUL behind it; NULL where it is bad. */
static char *
DecodePart(const char *from, Size size, Size *decoded)
{
    char *part = palloc(size + 1);
    int length = size > 0 ? Base64UrlDecode(from, size, (unsigned char *)part) : -1;

    if (length <= 0)
        return NULL;
    part[length] = '\0';
    *decoded = (Size)length;
    return part;
}

/* A token's last part, as it came and decoded. */
typedef struct Signature {
    const char *text;
    const unsigned char *bytes;
    Size size;
} Signature;

/* Try the keys of the service before us on a token without a kid. */
static bool
VerifyImported(const char *algorithm, const char *input, const Signature *signature,
               Size payload_size, TokenClaims *claims)
{
    char *kid = StoreImportedKids(GetCurrentTimestamp());
    char *rest;

    claims->is_imported = true;
    claims->session_id = no_session;
    claims->generation = (Generation){0, 0};
    for (kid = strtok_r(kid, " ", &rest); kid != NULL; kid = strtok_r(NULL, " ", &rest)) {
        SigningKey *key = KeyFind(kid);

        if (key == NULL || strcmp(algorithm, key->algorithm) != 0 ||
            !KeyVerify(key, input, signature->text, signature->bytes, signature->size))
            continue;
        strlcpy(claims->kid, kid, sizeof(claims->kid));
        return ReadImportedPayload(claims->json, payload_size, key->imported_until, claims);
    }
    return false;
}

/*
 * Read a token.  True: we issued it, it has not expired, and claims holds what it says.  Whether
 * its session and account still stand, and its key may still verify, is for the caller to ask.
 */
bool
TokenVerify(const char *token, Size size, TokenClaims *claims)
{
    char copy[AUTH_ACCESS_TOKEN_BYTES_MAX + 1];
    char algorithm[AUTH_ALGORITHM_BYTES_MAX + 1];
    char *dot1;
    char *dot2;
    char *header;
    Size header_size = 0;
    Size payload_size = 0;
    Signature signature;
    SigningKey *key;

    if (size == 0 || size > AUTH_ACCESS_TOKEN_BYTES_MAX)
        return false;
    memcpy(copy, token, size);
    copy[size] = '\0';
    dot1 = strchr(copy, '.');
    dot2 = dot1 ? strchr(dot1 + 1, '.') : NULL;
    if (dot2 == NULL)
        return false;

    /* A further dot is no character of base64url, so it fails here. */
    JwtOpen();
    header = DecodePart(copy, (Size)(dot1 - copy), &header_size);
    claims->json = DecodePart(dot1 + 1, (Size)(dot2 - dot1 - 1), &payload_size);
    signature.text = dot2 + 1;
    signature.bytes =
        (unsigned char *)DecodePart(dot2 + 1, size - (Size)(dot2 + 1 - copy), &signature.size);
    if (header == NULL || claims->json == NULL || signature.bytes == NULL ||
        !ReadHeader(header, header_size, claims->kid, algorithm))
        return false;

    /* The algorithm is the key's; the token must only agree.  Both parts before dot2 are signed. */
    *dot2 = '\0';
    if (claims->kid[0] == '\0')
        return VerifyImported(algorithm, copy, &signature, payload_size, claims);
    key = KeyFind(claims->kid);
    if (key == NULL || key->imported_until != 0 || strcmp(algorithm, key->algorithm) != 0)
        return false;
    claims->is_imported = false;
    return KeyVerify(key, copy, signature.text, signature.bytes, signature.size) &&
           ReadPayload(claims->json, payload_size, claims);
}
