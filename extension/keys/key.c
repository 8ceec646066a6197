/* SPDX-License-Identifier: MIT
 *
 * key.c: the signing keys.
 *
 * The backend keeps the keys that it has met, read and checked.  That cannot go stale: a key's material
 * never changes under its kid.  Which key signs, and whether a key may still verify, does change, and is
 * not kept here: each token that is made asks for the one (StoreKeySigning), and what looks
 * up session and account for the other (StoreSessionFind).
 */
#include "postgres.h"

#include "common/hmac.h"
#include "common/sha2.h"
#include "utils/timestamp.h"

#include "base/base64url.h"
#include "base/compat.h"
#include "keys/key.h"
#include "keys/libcrypto.h"
#include "keys/libjwt.h"
#include "store/key.h"

#define KEY_CACHE_SIZE 16

static SigningKey key_cache[KEY_CACHE_SIZE];
static int key_cache_next = 0;

/* ---- The keys that this backend has met --------------------------------------------------- */

static SigningKey *
CacheFind(const char *kid)
{
    int i;

    for (i = 0; i < KEY_CACHE_SIZE; i++)
        if (strcmp(key_cache[i].kid, kid) == 0 && kid[0] != '\0')
            return &key_cache[i];
    return NULL;
}

/* A free place; what it held is released. */
static SigningKey *
CacheSlot(void)
{
    SigningKey *slot = &key_cache[key_cache_next];

    key_cache_next = (key_cache_next + 1) % KEY_CACHE_SIZE;
    JwtKeyRelease(slot);
    CryptoRelease(slot->public_key);
    CryptoRelease(slot->private_key);
    explicit_bzero(slot, sizeof(*slot));
    return slot;
}

/* Make the row a key that can verify. */
static SigningKey *
Load(const KeyRow *row)
{
    SigningKey *slot = CacheSlot();

    if (KeyIsHmac(row->algorithm)) {
        CryptoBytes plain = {0};

        KeyReadSecret(row, &plain);
        if (plain.size < AUTH_HMAC_KEY_BYTES_MIN || plain.size > AUTH_HMAC_KEY_BYTES_MAX)
            KeyRaiseDamaged();
        slot->secret_size = (int)plain.size;
        memcpy(slot->secret, plain.data, plain.size);
        explicit_bzero(&plain, sizeof(plain));
    } else {
        slot->public_key =
            row->public_key
                ? CryptoReadPublic(row->algorithm, (unsigned char *)VARDATA_ANY(row->public_key),
                                   VARSIZE_ANY_EXHDR(row->public_key))
                : NULL;
        if (slot->public_key == NULL)
            KeyRaiseDamaged();
    }
    slot->imported_until = row->imported_until;
    strlcpy(slot->algorithm, row->algorithm, sizeof(slot->algorithm));
    /* Last, since it is what CacheFind looks for. */
    strlcpy(slot->kid, row->kid, sizeof(slot->kid));
    return slot;
}

/* The key with this kid, to verify with; NULL where there is none.  It stays until 16 others were met. */
SigningKey *
KeyFind(const char *kid)
{
    SigningKey *kept = CacheFind(kid);
    KeyRow row;

    if (kept != NULL)
        return kept;
    return StoreKeyFind(kid, &row) ? Load(&row) : NULL;
}

/*
 * The key that has verified a token with this very header; NULL: none that is known.  All tokens of a key
 * have the same, so it is read once.
 */
SigningKey *
KeyOfHeader(const char *header, Size size)
{
    int i;

    for (i = 0; i < KEY_CACHE_SIZE; i++)
        if (key_cache[i].header_size == size && size > 0 &&
            memcmp(key_cache[i].header, header, size) == 0)
            return &key_cache[i];
    return NULL;
}

/* Note that the key, one of ours, has verified a token with this header, which names it. */
void
KeyNoteHeader(SigningKey *key, const char *header, Size size)
{
    if (key->header_size > 0 || size > sizeof(key->header))
        return;
    memcpy(key->header, header, size);
    key->header_size = size;
}

/* Read the private half too, which lies sealed in the table while only others' tokens are looked at. */
static void
LoadPrivate(SigningKey *key)
{
    CryptoBytes plain = {0};
    KeyRow row;

    if (KeyIsHmac(key->algorithm) || key->private_key != NULL)
        return;
    if (!StoreKeyFind(key->kid, &row))
        KeyRaiseDamaged();
    KeyReadSecret(&row, &plain);
    key->private_key = CryptoReadPrivate(key->algorithm, plain.data, plain.size);
    explicit_bzero(&plain, sizeof(plain));
    if (key->private_key != NULL && CryptoIsPair(key->private_key, key->public_key))
        return;
    CryptoRelease(key->private_key);
    key->private_key = NULL;
    KeyRaiseDamaged();
}

/* ---- The key that signs ----------------------------------------------------------------- */

/*
 * The key that signs.  The first one is made here, on first use, and not by CREATE EXTENSION: a
 * restored dump brings its own.  Of two first logins one makes the key, and the other one finds it.
 */
SigningKey *
KeyActive(void)
{
    char kid[AUTH_KID_BYTES_MAX + 1];
    SigningKey *key;

    if (!StoreKeySigning(GetCurrentTimestamp(), kid)) {
        KeyRow row;

        KeyMake("HS256", &row);
        StoreKeyInsert(&row, DT_NOBEGIN);
        if (!StoreKeySigning(GetCurrentTimestamp(), kid))
            ereport(ERROR,
                    (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                     errmsg("the signing keys were changed meanwhile"), errhint("Try again.")));
    }
    key = KeyFind(kid);
    if (key == NULL)
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("the signing keys were changed meanwhile"), errhint("Try again.")));
    LoadPrivate(key);
    return key;
}

/* ---- Signatures ------------------------------------------------------------------------- */

/*
 * Whether these bytes are the HMAC of this text, by the server's own.  libjwt does not look whether its HMAC
 * was computed: where it was not, for want of memory, it takes whatever lay there before, which may be that
 * of another token.  So what libjwt says has to be said twice.  Raises where there is no memory to tell.
 */
static bool
HmacAgrees(const SigningKey *key, const char *input, const unsigned char *bytes)
{
    unsigned char digest[PG_SHA256_DIGEST_LENGTH];
    unsigned char difference = 0;
    pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);
    bool good;
    Size i;

    good = hmac != NULL && pg_hmac_init(hmac, key->secret, (Size)key->secret_size) >= 0 &&
           pg_hmac_update(hmac, (const uint8 *)input, strlen(input)) >= 0 &&
           pg_hmac_final(hmac, digest, sizeof(digest)) >= 0;
    pg_hmac_free(hmac);
    if (!good)
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    for (i = 0; i < sizeof(digest); i++)
        difference |= (unsigned char)(digest[i] ^ bytes[i]);
    return difference == 0;
}

/* Write the key's signature of this text in base64url; false where that failed. */
bool
KeySign(SigningKey *key, const char *input, char *signature)
{
    unsigned char raw[CRYPTO_SIGNATURE_BYTES_MAX];
    Size size;

    if (KeyIsHmac(key->algorithm))
        return JwtSign(key, input, signature) &&
               Base64UrlDecode(signature, strlen(signature), raw) == JWT_SIGNATURE_BYTES &&
               HmacAgrees(key, input, raw);
    if (key->private_key == NULL ||
        !CryptoSign(key->algorithm, key->private_key, input, strlen(input), raw, &size))
        return false;
    Base64UrlEncode(raw, size, signature);
    return true;
}

/*
 * Whether this is the key's signature of this text, given as it came and decoded.  Of ours there is one
 * form; other services' need not take the smaller of ECDSA's two.
 */
bool
KeyVerify(SigningKey *key, const char *input, const char *signature, const unsigned char *decoded,
          Size size)
{
    if (KeyIsHmac(key->algorithm))
        return JwtVerify(key, input, signature) && size == JWT_SIGNATURE_BYTES &&
               HmacAgrees(key, input, decoded);
    return CryptoVerify(key->algorithm, key->public_key, input, strlen(input), decoded, size,
                        key->imported_until == 0);
}
