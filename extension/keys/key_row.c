/* SPDX-License-Identifier: MIT
 *
 * key_row.c: signing keys as the table has them: made, imported, sealed and opened.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "base/random.h"
#include "base/types.h"
#include "keys/envelope.h"
#include "keys/key.h"
#include "keys/libcrypto.h"
#include "store/key.h"

#define KID_RANDOM_BYTES 12

/* ---- From a row to a key and back ------------------------------------------------------- */

bool
KeyIsHmac(const char *algorithm)
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
    if (algorithm == NULL || (!KeyIsHmac(algorithm) && !CryptoHasAlgorithm(algorithm)))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("the algorithm must be HS256, ES256, RS256 or EdDSA"),
                        errhidestmt(true), errhidecontext(true)));
    return algorithm;
}

void
KeyRaiseDamaged(void)
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
void
KeyReadSecret(const KeyRow *row, CryptoBytes *plain)
{
    Size size = row->secret ? VARSIZE_ANY_EXHDR(row->secret) : 0;
    const unsigned char *data = row->secret ? (unsigned char *)VARDATA_ANY(row->secret) : NULL;

    if (size == 0 || size > sizeof(plain->data) ||
        (row->sealed_by.size > 0 && size <= ENVELOPE_BYTES_MORE))
        KeyRaiseDamaged();
    if (row->sealed_by.size == 0) {
        plain->size = size;
        memcpy(plain->data, data, size);
    } else {
        plain->size = size - ENVELOPE_BYTES_MORE;
        EnvelopeUnwrap(&row->sealed_by, row->kid, row->algorithm, data, size, plain->data);
    }
}

/* Set the row's secret, sealed with this key-encryption key if there is one. */
static void
WriteSecret(KeyRow *row, const CryptoBytes *plain, const KekId *id)
{
    unsigned char sealed[CRYPTO_KEY_BYTES_MAX + ENVELOPE_BYTES_MORE];

    row->sealed_by = *id;
    if (id->size == 0) {
        row->secret = MakeBytea(plain->data, plain->size);
        return;
    }
    EnvelopeWrap(id, row->kid, row->algorithm, plain->data, plain->size, sealed);
    row->secret = MakeBytea(sealed, plain->size + ENVELOPE_BYTES_MORE);
}

/* Seal the row's secret with this key, whatever sealed it before. */
void
KeyWrap(KeyRow *row, const KekId *id)
{
    CryptoBytes plain = {0};

    KeyReadSecret(row, &plain);
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
    if (!KeyIsHmac(one->algorithm))
        return VARSIZE_ANY_EXHDR(one->public_key) == VARSIZE_ANY_EXHDR(other->public_key) &&
               memcmp(VARDATA_ANY(one->public_key), VARDATA_ANY(other->public_key),
                      VARSIZE_ANY_EXHDR(one->public_key)) == 0;
    /* Whoever cannot tell takes them for two. */
    if (!KekLoad(&one->sealed_by) || !KekLoad(&other->sealed_by))
        return false;
    KeyReadSecret(one, &secrets[0]);
    KeyReadSecret(other, &secrets[1]);
    same = secrets[0].size == secrets[1].size &&
           memcmp(secrets[0].data, secrets[1].data, secrets[0].size) == 0;
    explicit_bzero(secrets, sizeof(secrets));
    return same;
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
KekId
KeyKekId(void)
{
    KekId id = KekCurrent();
    KeyRow newest;

    if (id.size == 0 || !StoreKeyNewest(&newest) || newest.sealed_by.size == 0)
        return id;
    KekRequire(&newest.sealed_by);
    return newest.sealed_by;
}

/* A new key of this algorithm, of those that KeyReadAlgorithm answers; for HS256 256 bits (RFC 7518, 3.2). */
void
KeyMake(const char *algorithm, KeyRow *row)
{
    KekId id = KeyKekId();
    CryptoBytes plain = {0};
    CryptoBytes public_key = {0};

    StartKey(row, algorithm, "");
    if (KeyIsHmac(algorithm)) {
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
    if (KeyIsHmac(algorithm)) {
        KekId id = KeyKekId();

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
