/* SPDX-License-Identifier: MIT
 *
 * token.c: access tokens, by TokenVerify.  The first byte says how the rest is meant:
 *
 *   'r'         a token as it came
 *   'h' 'i' 'e' header, NUL, payload, which are encoded and signed here with the HS256 key of ours, the
 *               imported one, or the EdDSA one; so what lies behind the signature is reached
 *
 * No bytes are a good token that a key of ours has not signed as they stand.
 */
#include "postgres.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "utils/timestamp.h"

#include "base/base64url.h"
#include "fuzz.h"
#include "keys/libjwt.h"
#include "server.h"
#include "store/session.h"
#include "tokens/access_token.h"
#include "tokens/claims.h"

#define SECRET_OURS     "0123456789abcdef0123456789abcdef"
#define SECRET_IMPORTED "the secret of the service before us"

const pg_uuid_t no_session = {{0}};

static CryptoBytes ed_private = {0};
static CryptoBytes ed_public = {0};
static CryptoBytes ec_public = {0};

static void
MakeKeys(void)
{
    struct evp_pkey_st *key = CryptoGenerate("EdDSA");

    REQUIRE(CryptoWritePrivate(key, &ed_private) && CryptoWritePublic(key, &ed_public));
    CryptoRelease(key);
    key = CryptoGenerate("ES256");
    REQUIRE(CryptoWritePublic(key, &ec_public));
    CryptoRelease(key);
}

/* ---- Instead of the tables ---------------------------------------------------------------- */

static void
FillRow(KeyRow *row, const char *algorithm, const char *secret, const CryptoBytes *public_key)
{
    strcpy(row->algorithm, algorithm);
    if (secret != NULL)
        row->secret = ServerText((const uint8_t *)secret, strlen(secret));
    if (public_key != NULL)
        row->public_key = ServerText(public_key->data, public_key->size);
}

bool
StoreKeyFind(const char *kid, KeyRow *row)
{
    memset(row, 0, sizeof(*row));
    strlcpy(row->kid, kid, sizeof(row->kid));
    if (strcmp(kid, "hs") == 0)
        FillRow(row, "HS256", SECRET_OURS, NULL);
    else if (strcmp(kid, "ed") == 0)
        FillRow(row, "EdDSA", NULL, &ed_public);
    else if (strcmp(kid, "es") == 0)
        FillRow(row, "ES256", NULL, &ec_public);
    else if (strcmp(kid, "imported-1") == 0) {
        FillRow(row, "HS256", SECRET_IMPORTED, NULL);
        row->imported_until = time_t_to_timestamptz(SERVER_NOW + 86400);
    } else
        return false;
    return true;
}

char *
StoreImportedKids(TimestampTz now)
{
    return pstrdup("imported-0 imported-1");
}

/* ---- Signing, not by the code that is tested ------------------------------------------------- */

static void
Hmac(const char *secret, const char *input, size_t size, unsigned char *digest)
{
    unsigned int length = 32;

    REQUIRE(HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)input, size,
                 digest, &length) != NULL &&
            length == 32);
}

static char *
Encode(const uint8_t *data, size_t size)
{
    char *encoded = palloc(size * 4 / 3 + 3);

    Base64UrlEncode(data, size, encoded);
    return encoded;
}

static char *
Signed(char kind, const uint8_t *data, size_t size)
{
    const uint8_t *nul = memchr(data, '\0', size);
    size_t header_size = nul != NULL ? (size_t)(nul - data) : size;
    char *input = psprintf("%s.%s", Encode(data, header_size),
                           nul != NULL ? Encode(nul + 1, size - header_size - 1) : "");
    unsigned char signature[CRYPTO_SIGNATURE_BYTES_MAX];
    Size signature_size = 32;

    if (kind == 'e') {
        struct evp_pkey_st *key = CryptoReadPrivate("EdDSA", ed_private.data, ed_private.size);

        REQUIRE(CryptoSign("EdDSA", key, input, strlen(input), signature, &signature_size));
        CryptoRelease(key);
    } else
        Hmac(kind == 'h' ? SECRET_OURS : SECRET_IMPORTED, input, strlen(input), signature);
    return psprintf("%s.%s", input, Encode(signature, signature_size));
}

/* Whether the token ends in this secret's signature of all before it. */
static bool
IsSignedWith(const char *secret, const char *token, size_t size)
{
    unsigned char digest[32];
    const char *dot = memrchr(token, '.', size);
    char *expected;

    REQUIRE(dot != NULL);
    Hmac(secret, token, (size_t)(dot - token), digest);
    expected = Encode(digest, sizeof(digest));
    return strlen(expected) == (size_t)(token + size - dot - 1) &&
           memcmp(dot + 1, expected, strlen(expected)) == 0;
}

/* ---- The two ways to read claims -------------------------------------------------------------- */

static bool
IsSame(const TokenClaims *one, const TokenClaims *other)
{
    return one->user_id == other->user_id &&
           memcmp(&one->session_id, &other->session_id, sizeof(pg_uuid_t)) == 0 &&
           one->generation.counter == other->generation.counter &&
           one->generation.nonce == other->generation.nonce;
}

/* What the short one takes for ours is that to the JSON parser too, and says the same. */
static void
CompareForms(const uint8_t *payload, size_t size)
{
    char *json = palloc0(size + 1);
    TokenClaims claims[2];
    TokenForm form;
    bool is_good;

    JwtOpen();
    memcpy(json, payload, size);
    memset(claims, 0, sizeof(claims));
    form = TokenClaimsReadOurs(json, size, &claims[0]);
    is_good = TokenClaimsReadAny(json, size, &claims[1]);
    REQUIRE(form != TOKEN_FORM_OURS || (is_good && IsSame(&claims[0], &claims[1])));
    REQUIRE(form != TOKEN_FORM_OUR_EXPIRED || !is_good);
}

/* And it takes what TokenClaimsAppend writes. */
static void
CheckOurForm(void *nothing)
{
    RefreshToken token = {.user_id = 42, .generation = {3, 1234567890}};
    TokenClaims claims = {.user_id = 0};
    StringInfoData json;

    initStringInfo(&json);
    TokenClaimsAppend(&json, USER_ROLE_ADMIN, &token, 900);
    REQUIRE(TokenClaimsReadOurs(json.data, (Size)json.len, &claims) == TOKEN_FORM_OURS);
    REQUIRE(claims.user_id == 42 && claims.generation.nonce == 1234567890);
}

/* ---- A run ---------------------------------------------------------------------------------- */

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

static void
Verify(void *context)
{
    const Input *input = context;
    char kind = (char)input->data[0];
    bool is_raw = memchr("hie", kind, 3) == NULL;
    char *token = is_raw ? palloc(input->size) : Signed(kind, input->data + 1, input->size - 1);
    size_t size = is_raw ? input->size - 1 : strlen(token);
    const uint8_t *payload = is_raw ? NULL : memchr(input->data, '\0', input->size);
    TokenClaims claims;

    if (payload != NULL)
        CompareForms(payload + 1, (size_t)(input->data + input->size - payload - 1));
    if (is_raw)
        memcpy(token, input->data + 1, size);
    if (!TokenVerify(token, size, &claims))
        return;
    REQUIRE(size <= AUTH_ACCESS_TOKEN_BYTES_MAX && claims.user_id > 0 && claims.json != NULL);
    REQUIRE(strstr(claims.json, "\"sub\"") != NULL || strchr(claims.json, '\\') != NULL);
    REQUIRE(claims.is_imported == (strcmp(claims.kid, "imported-1") == 0));
    if (strcmp(claims.kid, "hs") == 0)
        REQUIRE(IsSignedWith(SECRET_OURS, token, size));
    else if (claims.is_imported)
        REQUIRE(IsSignedWith(SECRET_IMPORTED, token, size));
    else
        REQUIRE(strcmp(claims.kid, "ed") == 0 && kind == 'e');
    if (claims.is_imported)
        REQUIRE(IsNoSession(&claims.session_id));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = {data, size};

    if (ed_private.size == 0) {
        MakeKeys();
        ServerRun(CheckOurForm, NULL);
    }
    if (size > 1)
        ServerRun(Verify, &input);
    return 0;
}
