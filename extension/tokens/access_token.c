/* SPDX-License-Identifier: MIT
 *
 * access_token.c: access tokens: their form, written and read strictly (RFC 7515, 7519, 8725, 9068).
 */
#include "postgres.h"

#include <time.h>

#include "lib/stringinfo.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/base64url.h"
#include "base/settings.h"
#include "base/types.h"
#include "keys/key.h"
#include "keys/libjwt.h"
#include "store/key.h"
#include "store/session.h"
#include "tokens/access_token.h"
#include "tokens/claims.h"

#define TOKEN_TYPE "at+jwt" /* RFC 9068, 2.1 */

/* ---- Issuing ---------------------------------------------------------------------------- */

int
TokenLifetime(void)
{
    return Min(auth_service_access_token_ttl, auth_service_refresh_token_idle_ttl);
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
    TokenClaimsAppend(&part, role, refresh, TokenLifetime());
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
 * The header's kid, and its alg for comparison with the key's; nothing in it is obeyed.  Tokens of the
 * service before us have no kid, which is "" then.
 */
static bool
ReadHeader(const char *encoded, Size encoded_size, char *kid, char *algorithm)
{
    Size size;
    char *json = DecodePart(encoded, encoded_size, &size);
    struct json_t *header = json ? JsonParseObject(json, size) : NULL;
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
        return TokenClaimsReadImported(claims->json, payload_size, key->imported_until, claims);
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
    claims->json = DecodePart(dot1 + 1, (Size)(dot2 - dot1 - 1), &payload_size);
    signature.text = dot2 + 1;
    signature.bytes =
        (unsigned char *)DecodePart(dot2 + 1, size - (Size)(dot2 + 1 - copy), &signature.size);
    if (claims->json == NULL || signature.bytes == NULL)
        return false;

    /* Both parts before dot2 are signed. */
    *dot2 = '\0';
    key = KeyOfHeader(copy, (Size)(dot1 - copy));
    if (key == NULL) {
        if (!ReadHeader(copy, (Size)(dot1 - copy), claims->kid, algorithm))
            return false;
        if (claims->kid[0] == '\0')
            return VerifyImported(algorithm, copy, &signature, payload_size, claims);
        /* The algorithm is the key's; the token must only agree. */
        key = KeyFind(claims->kid);
        if (key == NULL || key->imported_until != 0 || strcmp(algorithm, key->algorithm) != 0)
            return false;
    }
    strlcpy(claims->kid, key->kid, sizeof(claims->kid));
    claims->is_imported = false;
    if (!KeyVerify(key, copy, signature.text, signature.bytes, signature.size))
        return false;
    KeyNoteHeader(key, copy, (Size)(dot1 - copy));
    return TokenClaimsRead(claims->json, payload_size, claims);
}
