/* SPDX-License-Identifier: MIT
 *
 * libcrypto_key.c: keys of a pair, by OpenSSL's libcrypto; see libcrypto.h.
 */
#include "postgres.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "miscadmin.h"

#include "keys/libcrypto.h"

#define P256_BYTES            32
#define ED25519_BYTES         32
#define RSA_EXPONENT_BITS_MIN 17 /* 65537, as FIPS 186-5, 5.4 has it */
#define RSA_EXPONENT_BITS_MAX 256

/* ---- What is a key ---------------------------------------------------------------------- */

bool
CryptoHasAlgorithm(const char *algorithm)
{
    return strcmp(algorithm, "ES256") == 0 || strcmp(algorithm, "RS256") == 0 ||
           strcmp(algorithm, "EdDSA") == 0;
}

static bool
IsFitRsa(const EVP_PKEY *key)
{
    BIGNUM *exponent = NULL;
    bool good;

    good = EVP_PKEY_get_bits(key) >= AUTH_RSA_BITS_MIN &&
           EVP_PKEY_get_bits(key) <= AUTH_RSA_BITS_MAX &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
           BN_is_odd(exponent) && BN_num_bits(exponent) >= RSA_EXPONENT_BITS_MIN &&
           BN_num_bits(exponent) <= RSA_EXPONENT_BITS_MAX;
    BN_free(exponent);
    return good;
}

/* P-256 by its name, and not by numbers that say the same or nearly (CVE-2020-0601). */
static bool
IsP256(const EVP_PKEY *key)
{
    char curve[64];
    size_t length;
    int is_explicit = 0;

    return EVP_PKEY_is_a(key, "EC") == 1 &&
           EVP_PKEY_get_group_name(key, curve, sizeof(curve), &length) == 1 &&
           strcmp(curve, "prime256v1") == 0 &&
           EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                                  &is_explicit) == 1 &&
           is_explicit == 0;
}

/*
 * Whether this point of Ed25519 is one of the few of small order, with which everybody can sign; OpenSSL takes
 * them.  Each stands here as its y, in all its forms; the last bit, x's, does not matter.
 */
static bool
IsWeakEd25519(const EVP_PKEY *key)
{
    static const unsigned char weak[][ED25519_BYTES] = {
        {0},
        {1},
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
         0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
         0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
        {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
         0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
         0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}};
    unsigned char point[ED25519_BYTES];
    size_t size = sizeof(point);
    size_t i;

    if (EVP_PKEY_get_raw_public_key(key, point, &size) != 1 || size != sizeof(point))
        return true;
    point[ED25519_BYTES - 1] &= 0x7f;
    for (i = 0; i < lengthof(weak); i++)
        if (memcmp(point, weak[i], sizeof(point)) == 0)
            return true;
    return false;
}

/* Whether this is a key for the algorithm: its kind, its curve or length. */
static bool
IsOfKind(EVP_PKEY *key, const char *algorithm)
{
    if (strcmp(algorithm, "ES256") == 0)
        return IsP256(key);
    if (strcmp(algorithm, "RS256") == 0)
        return EVP_PKEY_is_a(key, "RSA") == 1 && IsFitRsa(key);
    return strcmp(algorithm, "EdDSA") == 0 && EVP_PKEY_is_a(key, "ED25519") == 1 &&
           !IsWeakEd25519(key);
}

/* The same, and its numbers, which for RSA takes milliseconds. */
static bool
IsFit(EVP_PKEY *key, const char *algorithm, bool is_private)
{
    EVP_PKEY_CTX *context;
    bool good;

    if (!IsOfKind(key, algorithm))
        return false;
    context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    good = context != NULL && EVP_PKEY_public_check(context) == 1 &&
           (!is_private || EVP_PKEY_pairwise_check(context) == 1);
    EVP_PKEY_CTX_free(context);
    return good;
}

/* The key if it is fit; released and NULL if not. */
static EVP_PKEY *
KeepFit(EVP_PKEY *key, const char *algorithm, bool is_private)
{
    if (key == NULL || IsFit(key, algorithm, is_private))
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

/* OpenSSL asks this now and then while it looks for primes; 0 makes it stop. */
static int
GoOn(EVP_PKEY_CTX *context)
{
    return ProcDiePending || QueryCancelPending ? 0 : 1;
}

/* A new key of a pair; NULL where that failed or was interrupted. */
EVP_PKEY *
CryptoGenerate(const char *algorithm)
{
    EVP_PKEY_CTX *context;
    EVP_PKEY *key = NULL;
    bool good;

    ERR_set_mark();
    context = EVP_PKEY_CTX_new_from_name(NULL,
                                         strcmp(algorithm, "ES256") == 0   ? "EC"
                                         : strcmp(algorithm, "RS256") == 0 ? "RSA"
                                                                           : "ED25519",
                                         NULL);
    good = context != NULL && EVP_PKEY_keygen_init(context) == 1;
    if (good && strcmp(algorithm, "ES256") == 0)
        good = EVP_PKEY_CTX_set_group_name(context, "prime256v1") == 1;
    if (good && strcmp(algorithm, "RS256") == 0) {
        EVP_PKEY_CTX_set_cb(context, GoOn);
        good = EVP_PKEY_CTX_set_rsa_keygen_bits(context, AUTH_RSA_BITS_DEFAULT) == 1;
    }
    if (good && EVP_PKEY_generate(context, &key) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    key = KeepFit(key, algorithm, true);
    ERR_pop_to_mark();
    return key;
}

/* A private key out of its PKCS #8 form; NULL where it is none for the algorithm. */
EVP_PKEY *
CryptoReadPrivate(const char *algorithm, const unsigned char *der, Size size)
{
    const unsigned char *end = der;
    PKCS8_PRIV_KEY_INFO *info;
    EVP_PKEY *key;

    ERR_set_mark();
    info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &end, (long)size);
    key = info != NULL && end == der + size ? EVP_PKCS82PKEY(info) : NULL;
    PKCS8_PRIV_KEY_INFO_free(info);
    key = KeepFit(key, algorithm, true);
    ERR_pop_to_mark();
    return key;
}

/* A public key of this kind out of its SubjectPublicKeyInfo, its numbers not looked at. */
static EVP_PKEY *
ReadPublic(const char *algorithm, const unsigned char *der, Size size)
{
    const unsigned char *end = der;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &end, (long)size);

    if (key != NULL && end == der + size && IsOfKind(key, algorithm))
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

/* A public key out of its SubjectPublicKeyInfo; NULL where it is none for the algorithm. */
EVP_PKEY *
CryptoReadPublic(const char *algorithm, const unsigned char *der, Size size)
{
    EVP_PKEY *key;

    ERR_set_mark();
    key = KeepFit(ReadPublic(algorithm, der, size), algorithm, false);
    ERR_pop_to_mark();
    return key;
}

/* The same of a key that we have made, to publish it and not to trust it: everybody may ask for that. */
EVP_PKEY *
CryptoReadPublished(const char *algorithm, const unsigned char *der, Size size)
{
    EVP_PKEY *key;

    ERR_set_mark();
    key = ReadPublic(algorithm, der, size);
    ERR_pop_to_mark();
    return key;
}

/* Without this OpenSSL asks the terminal for the passphrase of an encrypted key. */
static int
GiveNoPassphrase(char *buffer, int size, int is_writing, void *context)
{
    return -1;
}

/* The public half of the key, public or private, in a PEM text; false where it is none for the algorithm. */
bool
CryptoReadPem(const char *algorithm, const char *pem, Size size, CryptoBytes *public_key)
{
    BIO *bio;
    EVP_PKEY *key = NULL;
    bool is_private = false;
    bool good;

    ERR_set_mark();
    bio = BIO_new_mem_buf(pem, (int)size);
    if (bio != NULL)
        key = PEM_read_bio_PUBKEY(bio, NULL, GiveNoPassphrase, NULL);
    if (bio != NULL && key == NULL && BIO_reset(bio) == 1) {
        key = PEM_read_bio_PrivateKey(bio, NULL, GiveNoPassphrase, NULL);
        is_private = true;
    }
    BIO_free(bio);
    key = KeepFit(key, algorithm, is_private);
    good = key != NULL && CryptoWritePublic(key, public_key);
    EVP_PKEY_free(key);
    ERR_pop_to_mark();
    return good;
}

/* Write the private key's PKCS #8 form. */
bool
CryptoWritePrivate(const EVP_PKEY *key, CryptoBytes *der)
{
    PKCS8_PRIV_KEY_INFO *info;
    unsigned char *to = der->data;
    int size;

    ERR_set_mark();
    info = EVP_PKEY2PKCS8(key);
    size = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
    if (size > (int)sizeof(der->data) || (size > 0 && i2d_PKCS8_PRIV_KEY_INFO(info, &to) != size))
        size = -1;
    PKCS8_PRIV_KEY_INFO_free(info);
    ERR_pop_to_mark();
    der->size = size > 0 ? (Size)size : 0;
    return size > 0;
}

/* Write the key's SubjectPublicKeyInfo. */
bool
CryptoWritePublic(const EVP_PKEY *key, CryptoBytes *der)
{
    unsigned char *to = der->data;
    int size;

    ERR_set_mark();
    size = i2d_PUBKEY(key, NULL);
    if (size > (int)sizeof(der->data) || (size > 0 && i2d_PUBKEY(key, &to) != size))
        size = -1;
    ERR_pop_to_mark();
    der->size = size > 0 ? (Size)size : 0;
    return size > 0;
}

/* Write a number of the key, in so many bytes, or where that is 0 in as many as it takes. */
static bool
ReadNumber(const EVP_PKEY *key, const char *name, int size, CryptoBytes *bytes)
{
    BIGNUM *number = NULL;
    int written = -1;

    if (EVP_PKEY_get_bn_param(key, name, &number) == 1) {
        int wanted = size > 0 ? size : BN_num_bytes(number);

        if (wanted > 0 && wanted <= (int)sizeof(bytes->data))
            written = BN_bn2binpad(number, bytes->data, wanted);
    }
    BN_free(number);
    bytes->size = written > 0 ? (Size)written : 0;
    return written > 0;
}

bool
CryptoReadNumbers(const char *algorithm, const EVP_PKEY *key, CryptoNumbers *numbers)
{
    bool good;

    ERR_set_mark();
    *numbers = (CryptoNumbers){.names = {"x", "y"}};
    if (strcmp(algorithm, "ES256") == 0) {
        numbers->type = "EC";
        numbers->curve = "P-256";
        good = ReadNumber(key, OSSL_PKEY_PARAM_EC_PUB_X, P256_BYTES, &numbers->values[0]) &&
               ReadNumber(key, OSSL_PKEY_PARAM_EC_PUB_Y, P256_BYTES, &numbers->values[1]);
    } else if (strcmp(algorithm, "RS256") == 0) {
        numbers->type = "RSA";
        numbers->names[0] = "n";
        numbers->names[1] = "e";
        good = ReadNumber(key, OSSL_PKEY_PARAM_RSA_N, 0, &numbers->values[0]) &&
               ReadNumber(key, OSSL_PKEY_PARAM_RSA_E, 0, &numbers->values[1]);
    } else {
        numbers->type = "OKP";
        numbers->curve = "Ed25519";
        numbers->values[0].size = ED25519_BYTES;
        good = EVP_PKEY_get_raw_public_key(key, numbers->values[0].data,
                                           &numbers->values[0].size) == 1;
    }
    ERR_pop_to_mark();
    return good;
}

/* Whether these are the two halves of one key. */
bool
CryptoIsPair(const EVP_PKEY *private_key, const EVP_PKEY *public_key)
{
    bool good;

    ERR_set_mark();
    good = EVP_PKEY_eq(private_key, public_key) == 1;
    ERR_pop_to_mark();
    return good;
}

void
CryptoRelease(EVP_PKEY *key)
{
    EVP_PKEY_free(key);
}
