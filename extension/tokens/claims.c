/* SPDX-License-Identifier: MIT
 *
 * claims.c: see claims.h.
 */
#include "postgres.h"

#include <time.h>

#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/base64url.h"
#include "base/random.h"
#include "base/settings.h"
#include "base/types.h"
#include "keys/libjwt.h"
#include "tokens/access_token.h"
#include "tokens/claims.h"

#define JTI_RANDOM_BYTES 16
#define JTI_CHARS        22
/* A clock that was set back a little, or a standby's, must not refuse fresh tokens. */
#define CLOCK_SKEW_SECONDS 60

/* What stands between the values of claims as we write them. */
#define BEFORE_IAT  "\",\"iat\":"
#define BEFORE_EXP  ",\"exp\":"
#define BEFORE_JTI  ",\"jti\":\""
#define BEFORE_ROLE "\",\"role\":\""
#define BEFORE_SID  "\",\"sid\":\""
#define BEFORE_GEN  "\",\"gen\":\""
#define AT_THE_END  "\"}"

/* ---- Writing ---------------------------------------------------------------------------- */

/* What claims begin with: issuer and audience, up to the value of "sub". */
static void
AppendBeginning(StringInfo json)
{
    appendStringInfoString(json, "{\"iss\":");
    escape_json(json, auth_service_issuer);
    if (auth_service_audience[0] != '\0') {
        appendStringInfoString(json, ",\"aud\":");
        escape_json(json, auth_service_audience);
    }
    appendStringInfoString(json, ",\"sub\":\"");
}

/* A session's id as uuid's output has it. */
static void
AppendSessionId(StringInfo json, const pg_uuid_t *id)
{
    static const char digits[] = "0123456789abcdef";
    int i;

    for (i = 0; i < UUID_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            appendStringInfoCharMacro(json, '-');
        appendStringInfoCharMacro(json, digits[id->data[i] >> 4]);
        appendStringInfoCharMacro(json, digits[id->data[i] & 15]);
    }
}

void
TokenClaimsAppend(StringInfo json, UserRole role, const RefreshToken *refresh, int lifetime)
{
    /* The real clock: now() stands still in a transaction. */
    int64 now = (int64)time(NULL);
    unsigned char random[JTI_RANDOM_BYTES];
    char jti[JTI_RANDOM_BYTES * 4 / 3 + 3];

    RandomBytes(random, sizeof(random));
    Base64UrlEncode(random, sizeof(random), jti);

    AppendBeginning(json);
    appendStringInfo(json,
                     INT64_FORMAT BEFORE_IAT INT64_FORMAT BEFORE_EXP INT64_FORMAT BEFORE_JTI
                     "%s" BEFORE_ROLE "%s" BEFORE_SID,
                     refresh->user_id, now, now + lifetime, jti, UserRoleName(role));
    AppendSessionId(json, &refresh->session_id);
    appendStringInfo(json, BEFORE_GEN INT64_FORMAT "." INT64_FORMAT AT_THE_END,
                     refresh->generation.counter, refresh->generation.nonce);
}

/* ---- Reading values --------------------------------------------------------------------- */

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

static const char *
ReadUserId(const char *given, int64 *user_id)
{
    const char *end = ReadNumber(given, user_id);

    return end != NULL && *user_id > 0 ? end : NULL;
}

/* "counter.nonce" */
static const char *
ReadGeneration(const char *given, Generation *generation)
{
    const char *dot = ReadNumber(given, &generation->counter);

    return dot != NULL && *dot == '.' ? ReadNumber(dot + 1, &generation->nonce) : NULL;
}

/* A session id as we write it: lower-case hexadecimal with its four hyphens. */
static const char *
ReadSessionId(const char *given, pg_uuid_t *session_id)
{
    int digits = 0;
    int i;

    memset(session_id, 0, sizeof(*session_id));
    for (i = 0; i < 36; i++) {
        char c = given[i];
        int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-')
                return NULL;
            continue;
        }
        if (value < 0)
            return NULL;
        session_id->data[digits / 2] |= (unsigned char)(digits % 2 ? value : value << 4);
        digits++;
    }
    return given + i;
}

/* Whether a reader has come to the end of the text. */
static bool
IsEnd(const char *end)
{
    return end != NULL && *end == '\0';
}

/* Whether now is between these times. */
static bool
IsNow(int64 iat, int64 nbf, int64 exp)
{
    int64 now = (int64)time(NULL);

    return exp > now && iat <= now + CLOCK_SKEW_SECONDS && nbf <= now + CLOCK_SKEW_SECONDS;
}

/* ---- Claims as we write them ------------------------------------------------------------ */

/* Behind this text, where it comes next; else NULL. */
static const char *
Skip(const char *at, const char *expected)
{
    Size size = strlen(expected);

    return at != NULL && strncmp(at, expected, size) == 0 ? at + size : NULL;
}

static const char *
SkipJti(const char *at)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    return at != NULL && strspn(at, alphabet) == JTI_CHARS ? at + JTI_CHARS : NULL;
}

TokenForm
TokenClaimsReadOurs(const char *json, Size size, TokenClaims *claims)
{
    StringInfoData beginning;
    const char *at;
    const char *role;
    int64 iat = 0;
    int64 exp = 0;

    initStringInfo(&beginning);
    AppendBeginning(&beginning);
    at = Skip(json, beginning.data);
    at = at ? ReadUserId(at, &claims->user_id) : NULL;
    at = Skip(at, BEFORE_IAT);
    at = at ? ReadNumber(at, &iat) : NULL;
    at = Skip(at, BEFORE_EXP);
    at = at ? ReadNumber(at, &exp) : NULL;
    at = Skip(SkipJti(Skip(at, BEFORE_JTI)), BEFORE_ROLE);
    role = Skip(at, UserRoleName(USER_ROLE_USER));
    at = Skip(role ? role : Skip(at, UserRoleName(USER_ROLE_ADMIN)), BEFORE_SID);
    at = at ? ReadSessionId(at, &claims->session_id) : NULL;
    at = Skip(at, BEFORE_GEN);
    at = at ? ReadGeneration(at, &claims->generation) : NULL;
    at = Skip(at, AT_THE_END);
    if (at != json + size)
        return TOKEN_FORM_OTHER;
    return IsNow(iat, 0, exp) ? TOKEN_FORM_OURS : TOKEN_FORM_OUR_EXPIRED;
}

/* ---- Claims in any form ----------------------------------------------------------------- */

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
    int64 exp;
    int64 iat;
    int64 nbf = 0;

    return JsonInteger(payload, "exp", &exp) && JsonInteger(payload, "iat", &iat) &&
           (!JsonHas(payload, "nbf") || JsonInteger(payload, "nbf", &nbf)) && IsNow(iat, nbf, exp);
}

bool
TokenClaimsReadAny(const char *json, Size size, TokenClaims *claims)
{
    struct json_t *payload = JsonParseObject(json, size);
    const char *iss;
    const char *jti;
    const char *sub;
    const char *sid;
    const char *gen;
    bool good;

    if (payload == NULL)
        return false;
    iss = JsonString(payload, "iss");
    jti = JsonString(payload, "jti");
    sub = JsonString(payload, "sub");
    sid = JsonString(payload, "sid");
    gen = JsonString(payload, "gen");
    good = iss != NULL && strcmp(iss, auth_service_issuer) == 0 && jti != NULL && jti[0] != '\0' &&
           IsOurAudience(payload) && IsInTime(payload) && sub != NULL &&
           IsEnd(ReadUserId(sub, &claims->user_id)) && sid != NULL &&
           IsEnd(ReadSessionId(sid, &claims->session_id)) && gen != NULL &&
           IsEnd(ReadGeneration(gen, &claims->generation));
    JsonRelease(payload);
    return good;
}

bool
TokenClaimsRead(const char *json, Size size, TokenClaims *claims)
{
    TokenForm form = TokenClaimsReadOurs(json, size, claims);

    return form == TOKEN_FORM_OURS ||
           (form == TOKEN_FORM_OTHER && TokenClaimsReadAny(json, size, claims));
}

bool
TokenClaimsReadImported(const char *json, Size size, TimestampTz until, TokenClaims *claims)
{
    struct json_t *payload = JsonParseObject(json, size);
    const char *sub;
    int64 exp = 0;
    int64 nbf = 0;
    bool good;

    if (payload == NULL)
        return false;
    sub = JsonString(payload, "sub");
    good = JsonInteger(payload, "exp", &exp) && exp <= (int64)timestamptz_to_time_t(until) &&
           (!JsonHas(payload, "nbf") || JsonInteger(payload, "nbf", &nbf)) && IsNow(0, nbf, exp) &&
           sub != NULL && IsEnd(ReadUserId(sub, &claims->user_id));
    JsonRelease(payload);
    return good;
}
