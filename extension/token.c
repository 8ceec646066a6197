/* SPDX-License-Identifier: MIT
 *
 * token.c: access tokens; the only file that knows libjwt and its JSON library, jansson.
 *
 * libjwt is not linked but opened, with RTLD_DEEPBIND: jansson and the postgres binary both export
 * a function json_object, and linked the ordinary way libjwt calls PostgreSQL's and the backend
 * dies.
 *
 * libjwt makes and checks the signature; the token around it is written and read here.  Its own
 * jwt_encode and jwt_decode will not do: 1.10 writes and accepts no "typ" but "JWT", and both obey
 * the token's "alg", skip bad base64 and take the last of duplicate members.  So we use what they
 * are made of, jwt_sign_sha_hmac and jwt_verify_sha_hmac, which the library exports without
 * declaring them; a test vector at the first use makes sure that they are what we take them for.
 *
 * Between an allocation of libjwt's or jansson's and its release nothing may ereport: it would leak.
 */
#include "postgres.h"

#include <dlfcn.h>
#include <jansson.h>
#include <jwt.h>
#include <time.h>

#include "common/sha2.h"
#include "lib/stringinfo.h"
#include "utils/json.h"

#include "base64url.h"
#include "guc.h"
#include "key.h"
#include "token.h"

#define TOKEN_TYPE       "at+jwt" /* RFC 9068, 2.1 */
#define JTI_RANDOM_BYTES 16
#define SIGNATURE_CHARS  43 /* base64url of an HS256 signature */
/* A clock that was set back a little, or a standby's, must not refuse fresh tokens. */
#define CLOCK_SKEW_SECONDS 60

/* Exported by libjwt, in no header of it; 1.10 takes NUL-terminated text, 1.17 text and length. */
#if AUTH_LIBJWT_MINOR >= 13
extern int jwt_sign_sha_hmac(jwt_t *jwt, char **out, unsigned int *len, const char *str,
                             unsigned int str_len);
extern int jwt_verify_sha_hmac(jwt_t *jwt, const char *head, unsigned int head_len,
                               const char *sig);
#define TEXT_AND_LENGTH(text) text, (unsigned int)strlen(text)
#else
extern int jwt_sign_sha_hmac(jwt_t *jwt, char **out, unsigned int *len, const char *str);
extern int jwt_verify_sha_hmac(jwt_t *jwt, const char *head, const char *sig);
#define TEXT_AND_LENGTH(text) text
#endif

#define JWT_FUNCTIONS(X)                                                                           \
    X(jwt_new)                                                                                     \
    X(jwt_free)                                                                                    \
    X(jwt_set_alg)                                                                                 \
    X(jwt_sign_sha_hmac)                                                                           \
    X(jwt_verify_sha_hmac)                                                                         \
    X(json_loadb)                                                                                  \
    X(json_delete)                                                                                 \
    X(json_object_get)                                                                             \
    X(json_string_value)                                                                           \
    X(json_integer_value)                                                                          \
    X(json_array_size)                                                                             \
    X(json_array_get)

static struct {
    void *handle;
#define JWT_MEMBER(name) __typeof__(name) *name;
    JWT_FUNCTIONS(JWT_MEMBER)
#undef JWT_MEMBER
} lib;

static bool Sign(struct jwt *handle, const char *input, char *signature);
static struct jwt *NewHandle(const unsigned char *secret, int size);

/* The vector of RFC 7515, A.1, signed and verified. */
static void
CheckLibrary(void)
{
    static const unsigned char secret[] = {
        3,   35,  53, 75,  43,  15, 165, 188, 131, 126, 6,   101, 119, 123, 166, 143,
        90,  179, 40, 230, 240, 84, 201, 40,  169, 15,  132, 178, 210, 80,  46,  191,
        211, 251, 90, 146, 210, 6,  71,  239, 150, 138, 180, 195, 119, 98,  61,  34,
        61,  46,  33, 114, 5,   46, 79,  8,   192, 205, 154, 245, 103, 208, 128, 163};
    static const char input[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
        "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    static const char expected[] = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    char wrong[] = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXg";
    char signature[SIGNATURE_CHARS + 1];
    jwt_t *handle = NewHandle(secret, sizeof(secret));
    bool good = handle != NULL && Sign(handle, input, signature) &&
                strcmp(signature, expected) == 0 &&
                lib.jwt_verify_sha_hmac(handle, TEXT_AND_LENGTH(input), expected) == 0 &&
                lib.jwt_verify_sha_hmac(handle, TEXT_AND_LENGTH(input), wrong) != 0;

    if (handle != NULL)
        lib.jwt_free(handle);
    if (!good)
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR),
                 errmsg("library \"%s\" does not sign as RFC 7515 demands", AUTH_LIBJWT_SONAME)));
}

/* Open libjwt, once a backend.  dlsym searches its dependencies too, so jansson is found. */
static void
OpenLibrary(void)
{
    void *handle;

    if (lib.handle != NULL)
        return;
    handle = dlopen(AUTH_LIBJWT_SONAME, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (handle == NULL)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE),
                        errmsg("could not load library \"%s\"", AUTH_LIBJWT_SONAME),
                        errdetail_log("%s", dlerror()), errhint("Install the package libjwt.")));
#define JWT_LOAD(name)                                                                             \
    if ((lib.name = (__typeof__(name) *)dlsym(handle, #name)) == NULL)                             \
        ereport(ERROR,                                                                             \
                (errcode(ERRCODE_UNDEFINED_FUNCTION),                                              \
                 errmsg("library \"%s\" has no function \"%s\"", AUTH_LIBJWT_SONAME, #name)));
    JWT_FUNCTIONS(JWT_LOAD)
#undef JWT_LOAD
    CheckLibrary();
    lib.handle = handle;
}

static void
JsonRelease(json_t *json)
{
    /* json_decref is an inline function of jansson's that calls json_delete by its name. */
    if (json != NULL && json->refcount != (size_t)-1 && JSON_INTERNAL_DECREF(json) == 0)
        lib.json_delete(json);
}

/* ---- Issuing ---------------------------------------------------------------------------- */

static void
AppendClaims(StringInfo json, int64 user_id, UserRole role, const pg_uuid_t *session_id)
{
    /* The real clock: now() stands still in a transaction. */
    int64 now = (int64)time(NULL);
    unsigned char random[JTI_RANDOM_BYTES];
    char jti[JTI_RANDOM_BYTES * 4 / 3 + 3];
    int i;

    if (!pg_strong_random(random, sizeof(random)))
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes")));
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
                     user_id, now, now + auth_service_access_token_ttl, jti, UserRoleName(role));
    for (i = 0; i < UUID_LEN; i++)
        appendStringInfo(json, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                         session_id->data[i]);
    appendStringInfoString(json, "\"}");
}

/* A handle of libjwt's for an HS256 key, or NULL out of memory. */
static struct jwt *
NewHandle(const unsigned char *secret, int size)
{
    jwt_t *handle = NULL;

    if (lib.jwt_new(&handle) != 0)
        return NULL;
    if (lib.jwt_set_alg(handle, JWT_ALG_HS256, secret, size) != 0) {
        lib.jwt_free(handle);
        return NULL;
    }
    return handle;
}

/* The key's handle, made at its first use and kept with it. */
static struct jwt *
KeyHandle(SigningKey *key)
{
    if (key->secret_size < AUTH_HMAC_KEY_BYTES_MIN || strcmp(key->algorithm, "HS256") != 0)
        elog(ERROR, "a signing key is none for HS256");
    if (key->handle == NULL)
        key->handle = NewHandle(key->secret, key->secret_size);
    if (key->handle == NULL)
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    return key->handle;
}

/* Let go of what this file keeps with a key. */
void
TokenKeyRelease(SigningKey *key)
{
    if (key->handle != NULL)
        lib.jwt_free(key->handle);
    key->handle = NULL;
}

/* Write the signature of this text in base64url; false where libjwt failed. */
static bool
Sign(struct jwt *handle, const char *input, char *signature)
{
    char *raw = NULL;
    unsigned int size = 0;
    bool good;

    good = lib.jwt_sign_sha_hmac(handle, &raw, &size, TEXT_AND_LENGTH(input)) == 0 && raw != NULL &&
           size == PG_SHA256_DIGEST_LENGTH;
    if (good)
        Base64UrlEncode((unsigned char *)raw, size, signature);
    free(raw);
    return good;
}

static void
AppendBase64Url(StringInfo token, const StringInfoData *part)
{
    enlargeStringInfo(token, part->len * 4 / 3 + 3);
    Base64UrlEncode((unsigned char *)part->data, (Size)part->len, token->data + token->len);
    token->len += (int)strlen(token->data + token->len);
}

/* A new access token of this user and session, signed with this key. */
char *
TokenIssue(SigningKey *key, int64 user_id, UserRole role, const pg_uuid_t *session_id)
{
    char signature[SIGNATURE_CHARS + 1];
    StringInfoData part;
    StringInfoData token;

    OpenLibrary();
    initStringInfo(&token);
    initStringInfo(&part);
    appendStringInfo(&part, "{\"alg\":\"%s\",\"typ\":\"" TOKEN_TYPE "\",\"kid\":", key->algorithm);
    escape_json(&part, key->kid);
    appendStringInfoChar(&part, '}');
    AppendBase64Url(&token, &part);
    appendStringInfoChar(&token, '.');
    resetStringInfo(&part);
    AppendClaims(&part, user_id, role, session_id);
    AppendBase64Url(&token, &part);
    if (!Sign(KeyHandle(key), token.data, signature))
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

static const json_t *
Member(const json_t *object, const char *name, json_type type)
{
    json_t *value = lib.json_object_get(object, name);

    return value != NULL && json_typeof(value) == type ? value : NULL;
}

static const char *
StringMember(const json_t *object, const char *name)
{
    const json_t *value = Member(object, name, JSON_STRING);

    return value != NULL ? lib.json_string_value(value) : NULL;
}

static bool
HasMember(const json_t *object, const char *name)
{
    return lib.json_object_get(object, name) != NULL;
}

/* A user id as we write it: decimal, no sign, no leading zero, at most 2^63 - 1. */
static bool
ReadUserId(const char *given, int64 *user_id)
{
    uint64 value = 0;
    const char *c = given;

    if (given == NULL || *given < '1' || *given > '9')
        return false;
    for (; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || c - given >= 19)
            return false;
        value = value * 10 + (uint64)(*c - '0');
    }
    *user_id = (int64)value;
    return value <= PG_INT64_MAX;
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
IsOurAudience(const json_t *payload)
{
    const json_t *list = Member(payload, "aud", JSON_ARRAY);
    const char *one = StringMember(payload, "aud");
    size_t i;

    if (auth_service_audience[0] == '\0')
        return !HasMember(payload, "aud");
    if (one != NULL)
        return strcmp(one, auth_service_audience) == 0;
    for (i = 0; list != NULL && i < lib.json_array_size(list); i++) {
        const json_t *entry = lib.json_array_get(list, i);

        if (json_typeof(entry) == JSON_STRING &&
            strcmp(lib.json_string_value(entry), auth_service_audience) == 0)
            return true;
    }
    return false;
}

/* Whether all times are numbers without a fraction, and now is between them. */
static bool
IsInTime(const json_t *payload, TokenClaims *claims)
{
    const json_t *exp = Member(payload, "exp", JSON_INTEGER);
    const json_t *iat = Member(payload, "iat", JSON_INTEGER);
    const json_t *nbf = Member(payload, "nbf", JSON_INTEGER);
    int64 now = (int64)time(NULL);

    if (exp == NULL || iat == NULL || (nbf == NULL && HasMember(payload, "nbf")))
        return false;
    claims->expires_at = lib.json_integer_value(exp);
    return claims->expires_at > now && lib.json_integer_value(iat) <= now + CLOCK_SKEW_SECONDS &&
           (nbf == NULL || lib.json_integer_value(nbf) <= now + CLOCK_SKEW_SECONDS);
}

static bool
ReadPayload(const char *json, Size size, TokenClaims *claims)
{
    json_t *payload = lib.json_loadb(json, size, JSON_REJECT_DUPLICATES, NULL);
    const char *iss;
    const char *jti;
    bool good = false;

    if (payload != NULL && json_typeof(payload) == JSON_OBJECT) {
        iss = StringMember(payload, "iss");
        jti = StringMember(payload, "jti");
        good = iss != NULL && strcmp(iss, auth_service_issuer) == 0 && jti != NULL &&
               jti[0] != '\0' && IsOurAudience(payload) && IsInTime(payload, claims) &&
               ReadUserId(StringMember(payload, "sub"), &claims->user_id) &&
               ReadSessionId(StringMember(payload, "sid"), &claims->session_id);
    }
    JsonRelease(payload);
    return good;
}

/* The header's kid, and its alg for comparison with the key's; nothing in it is obeyed. */
static bool
ReadHeader(const char *json, Size size, char *kid, char *algorithm)
{
    json_t *header = lib.json_loadb(json, size, JSON_REJECT_DUPLICATES, NULL);
    const char *typ;
    const char *alg;
    const char *id;
    bool good = false;

    if (header != NULL && json_typeof(header) == JSON_OBJECT) {
        typ = StringMember(header, "typ");
        alg = StringMember(header, "alg");
        id = StringMember(header, "kid");
        /* RFC 7515, 4.1.11: we understand no critical extension. */
        good = !HasMember(header, "crit") && typ != NULL && strcmp(typ, TOKEN_TYPE) == 0 &&
               alg != NULL && strlen(alg) <= AUTH_ALGORITHM_BYTES_MAX && id != NULL &&
               id[0] != '\0' && strlen(id) <= AUTH_KID_BYTES_MAX;
        if (good) {
            strlcpy(kid, id, AUTH_KID_BYTES_MAX + 1);
            strlcpy(algorithm, alg, AUTH_ALGORITHM_BYTES_MAX + 1);
        }
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
    Size signature_size = 0;
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
    OpenLibrary();
    header = DecodePart(copy, (Size)(dot1 - copy), &header_size);
    claims->json = DecodePart(dot1 + 1, (Size)(dot2 - dot1 - 1), &payload_size);
    if (header == NULL || claims->json == NULL ||
        DecodePart(dot2 + 1, size - (Size)(dot2 + 1 - copy), &signature_size) == NULL ||
        signature_size != PG_SHA256_DIGEST_LENGTH ||
        !ReadHeader(header, header_size, claims->kid, algorithm))
        return false;

    /* The algorithm is the key's; the token must only agree.  Both parts before dot2 are signed. */
    key = KeyFind(claims->kid);
    if (key == NULL || strcmp(algorithm, key->algorithm) != 0)
        return false;
    *dot2 = '\0';
    return lib.jwt_verify_sha_hmac(KeyHandle(key), TEXT_AND_LENGTH(copy), dot2 + 1) == 0 &&
           ReadPayload(claims->json, payload_size, claims);
}
