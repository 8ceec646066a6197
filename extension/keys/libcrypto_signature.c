/* SPDX-License-Identifier: MIT
 *
 * libcrypto_signature.c: signatures of ES256, RS256 and EdDSA, by OpenSSL's libcrypto; see libcrypto.h.
 */
#include "postgres.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "keys/libcrypto.h"

#define P256_BYTES 32

/* Half of the order of P-256's group, rounded down; and the order. */
static const unsigned char p256_half_order[P256_BYTES] = {
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8};
static const unsigned char p256_order[P256_BYTES] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

/* The hash that goes with the algorithm; EdDSA has its own inside. */
static const EVP_MD *
Hash(const char *algorithm)
{
    return strcmp(algorithm, "EdDSA") == 0 ? NULL : EVP_sha256();
}

/* By the name, since OpenSSL's word on a key may be "no" for want of memory. */
static bool
IsEcdsa(const char *algorithm)
{
    return strcmp(algorithm, "ES256") == 0;
}

/*
 * ECDSA's two numbers as JWS has them, 32 bytes each (RFC 7518, 3.4).  Both (r, s) and (r, n - s) are
 * signatures of the same text; ours is the one with the smaller s.
 */
static bool
EcdsaToRaw(const unsigned char *der, Size size, unsigned char *raw)
{
    ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &der, (long)size);
    BIGNUM *order = BN_bin2bn(p256_order, P256_BYTES, NULL);
    bool good;

    good = both != NULL && order != NULL &&
           BN_bn2binpad(ECDSA_SIG_get0_r(both), raw, P256_BYTES) == P256_BYTES &&
           BN_bn2binpad(ECDSA_SIG_get0_s(both), raw + P256_BYTES, P256_BYTES) == P256_BYTES;
    if (good && memcmp(raw + P256_BYTES, p256_half_order, P256_BYTES) > 0)
        good = BN_sub(order, order, ECDSA_SIG_get0_s(both)) == 1 &&
               BN_bn2binpad(order, raw + P256_BYTES, P256_BYTES) == P256_BYTES;
    ECDSA_SIG_free(both);
    BN_free(order);
    return good;
}

/* The same back, as OpenSSL wants it; its size, or 0. */
static Size
EcdsaFromRaw(const unsigned char *raw, unsigned char *der, Size der_size)
{
    ECDSA_SIG *both = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, P256_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(raw + P256_BYTES, P256_BYTES, NULL);
    int size = 0;

    if (both != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(both, r, s) == 1) {
        r = s = NULL; /* they are its own now */
        size = i2d_ECDSA_SIG(both, NULL);
        size = size > 0 && size <= (int)der_size ? i2d_ECDSA_SIG(both, &der) : 0;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(both);
    return size > 0 ? (Size)size : 0;
}

/* Write the key's signature of this text, CRYPTO_SIGNATURE_BYTES_MAX at most. */
bool
CryptoSign(const char *algorithm, EVP_PKEY *key, const char *input, Size input_size,
           unsigned char *signature, Size *size)
{
    unsigned char raw[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t raw_size = sizeof(raw);
    EVP_MD_CTX *context;
    bool good;

    ERR_set_mark();
    context = EVP_MD_CTX_new();
    good = context != NULL && EVP_DigestSignInit(context, NULL, Hash(algorithm), NULL, key) == 1 &&
           EVP_DigestSign(context, raw, &raw_size, (const unsigned char *)input, input_size) == 1;
    EVP_MD_CTX_free(context);
    if (good && IsEcdsa(algorithm)) {
        *size = 2 * P256_BYTES;
        good = EcdsaToRaw(raw, raw_size, signature);
    } else if (good) {
        *size = raw_size;
        memcpy(signature, raw, raw_size);
    }
    ERR_pop_to_mark();
    return good;
}

/*
 * Whether this is the key's signature of this text.  is_canonical: of ECDSA's two only the one that
 * CryptoSign writes; RSA with PKCS #1 and Ed25519 have one each.
 */
bool
CryptoVerify(const char *algorithm, EVP_PKEY *key, const char *input, Size input_size,
             const unsigned char *signature, Size size, bool is_canonical)
{
    unsigned char der[2 * P256_BYTES + 16];
    EVP_MD_CTX *context = NULL;
    bool good;

    ERR_set_mark();
    if (IsEcdsa(algorithm)) {
        good = size == 2 * P256_BYTES &&
               (!is_canonical || memcmp(signature + P256_BYTES, p256_half_order, P256_BYTES) <= 0);
        size = good ? EcdsaFromRaw(signature, der, sizeof(der)) : 0;
        signature = der;
        good = size > 0;
    } else
        good = size == (Size)EVP_PKEY_get_size(key);
    if (good) {
        context = EVP_MD_CTX_new();
        good = context != NULL &&
               EVP_DigestVerifyInit(context, NULL, Hash(algorithm), NULL, key) == 1 &&
               EVP_DigestVerify(context, signature, size, (const unsigned char *)input,
                                input_size) == 1;
    }
    EVP_MD_CTX_free(context);
    ERR_pop_to_mark();
    return good;
}
