/* SPDX-License-Identifier: MIT
 *
 * libcrypto.h: what we take of OpenSSL's libcrypto: keys of a pair, their signatures, and AES-GCM.  Only
 * crypto_*.c know it.
 *
 * libjwt could sign with RSA and elliptic curves too.  Its functions for that read the key's PEM again
 * for each token, take any curve for ES256 and any length for RS256, accept both forms of an ECDSA
 * signature, and ask the terminal for the passphrase of an encrypted key; and libjwt 1.10 and 1.17 know
 * no EdDSA.  libcrypto is what libjwt stands on, and the server has it loaded.
 *
 * Nothing here raises an error: false and NULL mean that it was not done, for whatever reason.  Each
 * function leaves OpenSSL's queue of errors as it was, since the server's own TLS reads it.
 */
#ifndef AUTH_SERVICE_KEYS_LIBCRYPTO_H
#define AUTH_SERVICE_KEYS_LIBCRYPTO_H

/* RSA's, for RS256 (RFC 7518, 3.3); what we make, and the most that a token has room for. */
#define AUTH_RSA_BITS_MIN     2048
#define AUTH_RSA_BITS_DEFAULT 2048
#define AUTH_RSA_BITS_MAX     4096

/* A signature is as long as RSA's modulus at most; a private key of that size has 2.4 KB. */
#define CRYPTO_SIGNATURE_BYTES_MAX (AUTH_RSA_BITS_MAX / 8)
#define CRYPTO_KEY_BYTES_MAX       4096

/* AES-256-GCM: nonce, the text, tag. */
#define CRYPTO_SECRET_BYTES      32
#define CRYPTO_NONCE_BYTES       12
#define CRYPTO_TAG_BYTES         16
#define CRYPTO_SEALED_BYTES_MORE (CRYPTO_NONCE_BYTES + CRYPTO_TAG_BYTES)

struct evp_pkey_st;

typedef struct CryptoBytes {
    Size size;
    unsigned char data[CRYPTO_KEY_BYTES_MAX];
} CryptoBytes;

/* Numbers of a public key as a JWK has them (RFC 7518, 6; RFC 8037, 2): x and y, or n and e. */
typedef struct CryptoNumbers {
    const char *type;  /* kty */
    const char *curve; /* crv; NULL for RSA */
    const char *names[2];
    CryptoBytes values[2]; /* the second has size 0 for Ed25519 */
} CryptoNumbers;

/* Whether it is ES256, RS256 or EdDSA. */
extern bool CryptoHasAlgorithm(const char *algorithm);

extern struct evp_pkey_st *CryptoGenerate(const char *algorithm);
extern struct evp_pkey_st *CryptoReadPrivate(const char *algorithm, const unsigned char *der,
                                             Size size);
extern struct evp_pkey_st *CryptoReadPublic(const char *algorithm, const unsigned char *der,
                                            Size size);
extern struct evp_pkey_st *CryptoReadPublished(const char *algorithm, const unsigned char *der,
                                               Size size);
extern bool CryptoReadPem(const char *algorithm, const char *pem, Size size,
                          CryptoBytes *public_key);
extern bool CryptoWritePrivate(const struct evp_pkey_st *key, CryptoBytes *der);
extern bool CryptoWritePublic(const struct evp_pkey_st *key, CryptoBytes *der);
extern bool CryptoReadNumbers(const char *algorithm, const struct evp_pkey_st *key,
                              CryptoNumbers *numbers);
extern bool CryptoIsPair(const struct evp_pkey_st *private_key,
                         const struct evp_pkey_st *public_key);
extern void CryptoRelease(struct evp_pkey_st *key);

extern bool CryptoSign(const char *algorithm, struct evp_pkey_st *key, const char *input,
                       Size input_size, unsigned char *signature, Size *size);
extern bool CryptoVerify(const char *algorithm, struct evp_pkey_st *key, const char *input,
                         Size input_size, const unsigned char *signature, Size size,
                         bool is_canonical);

extern bool CryptoSeal(const unsigned char *secret, const unsigned char *nonce, const char *bound,
                       Size bound_size, const unsigned char *plain, Size size,
                       unsigned char *sealed);
extern bool CryptoOpen(const unsigned char *secret, const char *bound, Size bound_size,
                       const unsigned char *sealed, Size sealed_size, unsigned char *plain);

#endif
