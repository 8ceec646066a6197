/* SPDX-License-Identifier: MIT
 *
 * key.c: the signing keys.
 *
 * The backend keeps the keys that it has met, read and checked.  That cannot go stale: a key's material
 * never changes under its kid.  Which key signs, and whether a key may still verify, does change, and is
 * not kept here: each token that is made asks for the one (StoreKeySigning), and the statement that looks
 * up session and account for the other (StoreSessionFind).
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base64url.h"
#include "compat.h"
#include "jwt_library.h"
#include "key.h"
#include "random.h"
#include "store.h"

#define KEY_CACHE_SIZE   16
#define KID_RANDOM_BYTES 12

static SigningKey key_cache[KEY_CACHE_SIZE];
static int key_cache_next = 0;

/* ---- From a row to a key and back ------------------------------------------------------- */

static bool
IsHmac(const char *algorithm)
{
    return strcmp(algorithm, "HS256") == 0;
}

/* The name of an algorithm that we know; 22023 for any other. */
char *
KeyReadAlgorithm(const text *given)
{
    char *algorithm = NULL;

    if (VARSIZE_ANY_EXHDR(given) <= AUTH_ALGORITHM_BYTES_MAX)
        algorithm = text_to_cstring(given);
    if (algorithm == NULL || (!IsHmac(algorithm) && !CryptoHasAlgorithm(algorithm)))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("the algorithm must be HS256, ES256, RS256 or EdDSA"),
                        errhidestmt(true), errhidecontext(true)));
    return algorithm;
}

static void
RaiseDamaged(void)
{
    ereport(ERROR,
            (errcode(ERRCODE_DATA_CORRUPTED), errmsg("a signing key is none for its algorithm"),
             errhidestmt(true), errhidecontext(true)));
}

static bytea *
MakeBytea(const unsigned char *bytes, Size size)
{
    bytea *copy = palloc(VARHDRSZ + size);

    SET_VARSIZE(copy, VARHDRSZ + size);
    memcpy(VARDATA(copy), bytes, size);
    return copy;
}

/* The secret as it is, opened if it was sealed. */
static void
ReadSecret(const KeyRow *row, CryptoBytes *plain)
{
    Size size = row->secret ? VARSIZE_ANY_EXHDR(row->secret) : 0;
    const unsigned char *data = row->secret ? (unsigned char *)VARDATA_ANY(row->secret) : NULL;

    if (size == 0 || size > sizeof(plain->data) ||
        (row->sealed_by.size > 0 && size <= SEAL_BYTES_MORE))
        RaiseDamaged();
    if (row->sealed_by.size == 0) {
        plain->size = size;
        memcpy(plain->data, data, size);
    } else {
        plain->size = size - SEAL_BYTES_MORE;
        SealOpen(&row->sealed_by, row->kid, row->algorithm, data, size, plain->data);
    }
}

/* Set the row's secret, sealed with this key-encryption key if there is one. */
static void
WriteSecret(KeyRow *row, const CryptoBytes *plain, const SealId *id)
{
    unsigned char sealed[CRYPTO_KEY_BYTES_MAX + SEAL_BYTES_MORE];

    row->sealed_by = *id;
    if (id->size == 0) {
        row->secret = MakeBytea(plain->data, plain->size);
        return;
    }
    SealSecret(id, row->kid, row->algorithm, plain->data, plain->size, sealed);
    row->secret = MakeBytea(sealed, plain->size + SEAL_BYTES_MORE);
}

/* Seal the row's secret with this key, whatever sealed it before. */
void
KeySeal(KeyRow *row, const SealId *id)
{
    CryptoBytes plain = {0};

    ReadSecret(row, &plain);
    WriteSecret(row, &plain, id);
    explicit_bzero(&plain, sizeof(plain));
}

/* Whether they are of one algorithm and material. */
bool
KeyIsSame(const KeyRow *one, const KeyRow *other)
{
    CryptoBytes secrets[2] = {{0}};
    bool same;

    if (strcmp(one->algorithm, other->algorithm) != 0)
        return false;
    if (!IsHmac(one->algorithm))
        return VARSIZE_ANY_EXHDR(one->public_key) == VARSIZE_ANY_EXHDR(other->public_key) &&
               memcmp(VARDATA_ANY(one->public_key), VARDATA_ANY(other->public_key),
                      VARSIZE_ANY_EXHDR(one->public_key)) == 0;
    /* Whoever cannot tell takes them for two. */
    if (!SealHas(&one->sealed_by) || !SealHas(&other->sealed_by))
        return false;
    ReadSecret(one, &secrets[0]);
    ReadSecret(other, &secrets[1]);
    same = secrets[0].size == secrets[1].size &&
           memcmp(secrets[0].data, secrets[1].data, secrets[0].size) == 0;
    explicit_bzero(secrets, sizeof(secrets));
    return same;
}

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

    if (IsHmac(row->algorithm)) {
        CryptoBytes plain = {0};

        ReadSecret(row, &plain);
        if (plain.size < AUTH_HMAC_KEY_BYTES_MIN || plain.size > AUTH_HMAC_KEY_BYTES_MAX)
            RaiseDamaged();
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
            RaiseDamaged();
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

    if (IsHmac(key->algorithm) || key->private_key != NULL)
        return;
    if (!StoreKeyFind(key->kid, &row))
        RaiseDamaged();
    ReadSecret(&row, &plain);
    key->private_key = CryptoReadPrivate(key->algorithm, plain.data, plain.size);
    explicit_bzero(&plain, sizeof(plain));
    if (key->private_key != NULL && CryptoIsPair(key->private_key, key->public_key))
        return;
    CryptoRelease(key->private_key);
    key->private_key = NULL;
    RaiseDamaged();
}

/* ---- Making keys ------------------------------------------------------------------------ */

/* A row without material, its kid this prefix and a random number. */
static void
StartKey(KeyRow *row, const char *algorithm, const char *kid_prefix)
{
    unsigned char random[KID_RANDOM_BYTES];
    int i;

    memset(row, 0, sizeof(*row));
    strlcpy(row->algorithm, algorithm, sizeof(row->algorithm));
    strlcpy(row->kid, kid_prefix, sizeof(row->kid));
    RandomBytes(random, sizeof(random));
    for (i = 0; i < KID_RANDOM_BYTES; i++)
        snprintf(row->kid + strlen(kid_prefix) + 2 * i, 3, "%02x", random[i]);
}

/* Both halves of a new key. */
static bool
Generate(const char *algorithm, CryptoBytes *private_key, CryptoBytes *public_key)
{
    struct evp_pkey_st *key = CryptoGenerate(algorithm);
    bool good =
        key != NULL && CryptoWritePrivate(key, private_key) && CryptoWritePublic(key, public_key);

    CryptoRelease(key);
    return good;
}

/*
 * What seals new keys and sessions: what sealed the newest key, so that all backends change together, when
 * seal_signing_keys has; and a command that prints a key of another database seals nothing.
 */
SealId
KeySealId(void)
{
    SealId id = SealCurrent();
    KeyRow newest;

    if (id.size == 0 || !StoreKeyNewest(&newest) || newest.sealed_by.size == 0)
        return id;
    SealRequire(&newest.sealed_by);
    return newest.sealed_by;
}

/* A new key of this algorithm, of those that KeyReadAlgorithm answers; for HS256 256 bits (RFC 7518, 3.2). */
void
KeyMake(const char *algorithm, KeyRow *row)
{
    SealId id = KeySealId();
    CryptoBytes plain = {0};
    CryptoBytes public_key = {0};

    StartKey(row, algorithm, "");
    if (IsHmac(algorithm)) {
        plain.size = AUTH_HMAC_KEY_BYTES_MIN;
        RandomBytes(plain.data, plain.size);
    } else {
        bool good = Generate(algorithm, &plain, &public_key);

        CHECK_FOR_INTERRUPTS();
        if (!good)
            ereport(ERROR,
                    (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not make a signing key")));
        row->public_key = MakeBytea(public_key.data, public_key.size);
    }
    WriteSecret(row, &plain, &id);
    explicit_bzero(&plain, sizeof(plain));
}

/*
 * Whether this is the text of a key of a pair: as a secret it would be none, since the public half is
 * everybody's (RFC 8725, 2.1), and so is a private one's place not here.
 */
static bool
IsKeyText(const char *secret)
{
    return strstr(secret, "-----BEGIN ") != NULL || strncmp(secret, "ssh-", 4) == 0 ||
           strncmp(secret, "ecdsa-sha2-", 11) == 0;
}

/*
 * Another service's key: for HS256 its secret, else its public key in PEM, of which only that half is kept
 * where it is a private one.  False where it is none for the algorithm.
 */
bool
KeyImport(const char *algorithm, const char *secret, KeyRow *row)
{
    Size size = strlen(secret);
    CryptoBytes bytes = {0};

    StartKey(row, algorithm, AUTH_KID_IMPORTED);
    if (IsHmac(algorithm)) {
        SealId id = KeySealId();

        if (size < AUTH_HMAC_KEY_BYTES_MIN || size > AUTH_HMAC_KEY_BYTES_MAX || IsKeyText(secret))
            return false;
        bytes.size = size;
        memcpy(bytes.data, secret, size);
        WriteSecret(row, &bytes, &id);
        explicit_bzero(&bytes, sizeof(bytes));
        return true;
    }
    if (size > AUTH_PEM_BYTES_MAX || !CryptoReadPem(algorithm, secret, size, &bytes))
        return false;
    row->public_key = MakeBytea(bytes.data, bytes.size);
    return true;
}

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

    if (IsHmac(key->algorithm))
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
    if (IsHmac(key->algorithm))
        return JwtVerify(key, input, signature) && size == JWT_SIGNATURE_BYTES &&
               HmacAgrees(key, input, decoded);
    return CryptoVerify(key->algorithm, key->public_key, input, strlen(input), decoded, size,
                        key->imported_until == 0);
}
