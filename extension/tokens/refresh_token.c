/* SPDX-License-Identifier: MIT
 *
 * refresh_token.c: the form of refresh tokens.
 *
 *   base64url( version 1 || user id 8 || session id 16 || counter 8 || nonce 8 || tag 16 )
 *
 * 76 characters; numbers are big-endian.  The tag is HMAC-SHA-256 over all before it, with the
 * session's own key, cut to 16 bytes (RFC 2104, 5).  So one row a session is enough to know a token
 * that was issued from one that was invented, and an old one from the current one; no token is
 * stored.  The scheme is that of the second refresh algorithm of supabase/auth, with a nonce: there a
 * successor can be computed before it is committed.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "port/pg_bswap.h"

#include "base/base64url.h"
#include "base/types.h"
#include "tokens/refresh_token.h"

#define VERSION     1
#define TAG_BYTES   16
#define BODY_BYTES  (1 + 8 + UUID_LEN + 8 + 8)
#define TOKEN_BYTES (BODY_BYTES + TAG_BYTES)
#define TOKEN_CHARS AUTH_REFRESH_TOKEN_CHARS

StaticAssertDecl(TOKEN_CHARS == (TOKEN_BYTES * 4 + 2) / 3, "a refresh token has another length");

static void
PutInt64(unsigned char *to, int64 value)
{
    uint64 swapped = pg_hton64((uint64)value);

    memcpy(to, &swapped, 8);
}

static int64
GetInt64(const unsigned char *from)
{
    uint64 swapped;

    memcpy(&swapped, from, 8);
    return (int64)pg_ntoh64(swapped);
}

static void
PutTag(unsigned char *body, const unsigned char *key)
{
    unsigned char digest[PG_SHA256_DIGEST_LENGTH];
    pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);

    if (hmac == NULL || pg_hmac_init(hmac, key, AUTH_REFRESH_KEY_BYTES) < 0 ||
        pg_hmac_update(hmac, body, BODY_BYTES) < 0 ||
        pg_hmac_final(hmac, digest, sizeof(digest)) < 0) {
        pg_hmac_free(hmac);
        elog(ERROR, "could not compute an HMAC");
    }
    pg_hmac_free(hmac);
    memcpy(body + BODY_BYTES, digest, TAG_BYTES);
}

/* The token's text, in palloc'ed memory. */
char *
RefreshTokenEncode(const RefreshToken *token, const unsigned char *key)
{
    unsigned char raw[TOKEN_BYTES];
    char *encoded = palloc(TOKEN_CHARS + 1);

    raw[0] = VERSION;
    PutInt64(raw + 1, token->user_id);
    memcpy(raw + 9, token->session_id.data, UUID_LEN);
    PutInt64(raw + 9 + UUID_LEN, token->generation.counter);
    PutInt64(raw + 17 + UUID_LEN, token->generation.nonce);
    PutTag(raw, key);
    Base64UrlEncode(raw, sizeof(raw), encoded);
    return encoded;
}

/* Read a token's parts; false where it has not our form.  They are hearsay until authentic. */
bool
RefreshTokenDecode(const char *given, Size size, RefreshToken *token)
{
    unsigned char raw[TOKEN_BYTES + 2];

    if (size != TOKEN_CHARS || Base64UrlDecode(given, size, raw) != TOKEN_BYTES ||
        raw[0] != VERSION)
        return false;
    token->user_id = GetInt64(raw + 1);
    memcpy(token->session_id.data, raw + 9, UUID_LEN);
    token->generation.counter = GetInt64(raw + 9 + UUID_LEN);
    token->generation.nonce = GetInt64(raw + 17 + UUID_LEN);
    return true;
}

/* Whether we issued this text, with this key.  The time taken tells nothing of the tag. */
bool
RefreshTokenIsAuthentic(const char *given, Size size, const RefreshToken *token,
                        const unsigned char *key)
{
    char *expected = RefreshTokenEncode(token, key);
    unsigned char difference = 0;
    Size i;

    if (size != TOKEN_CHARS)
        return false;
    for (i = 0; i < size; i++)
        difference |= (unsigned char)(expected[i] ^ given[i]);
    pfree(expected);
    return difference == 0;
}
