/* SPDX-License-Identifier: MIT
 *
 * libcrypto_aead.c: AES-256-GCM, by OpenSSL's libcrypto; see libcrypto.h.
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "keys/libcrypto.h"

/*
 * Write nonce, text and tag, size + CRYPTO_SEALED_BYTES_MORE bytes.  What is bound is not written, but
 * has to be the same for CryptoOpen.  A nonce is used once.
 */
bool
CryptoSeal(const unsigned char *secret, const unsigned char *nonce, const char *bound,
           Size bound_size, const unsigned char *plain, Size size, unsigned char *sealed)
{
    unsigned char *middle = sealed + CRYPTO_NONCE_BYTES;
    EVP_CIPHER_CTX *context;
    int written = 0;
    bool good;

    ERR_set_mark();
    memcpy(sealed, nonce, CRYPTO_NONCE_BYTES);
    context = EVP_CIPHER_CTX_new();
    good =
        context != NULL &&
        EVP_EncryptInit_ex2(context, EVP_aes_256_gcm(), secret, nonce, NULL) == 1 &&
        EVP_EncryptUpdate(context, NULL, &written, (const unsigned char *)bound, (int)bound_size) ==
            1 &&
        EVP_EncryptUpdate(context, middle, &written, plain, (int)size) == 1 &&
        (Size)written == size && EVP_EncryptFinal_ex(context, middle + size, &written) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG_BYTES, middle + size) == 1;
    EVP_CIPHER_CTX_free(context);
    ERR_pop_to_mark();
    return good;
}

/* Write the text, sealed_size - CRYPTO_SEALED_BYTES_MORE bytes; false: it was sealed otherwise. */
bool
CryptoOpen(const unsigned char *secret, const char *bound, Size bound_size,
           const unsigned char *sealed, Size sealed_size, unsigned char *plain)
{
    const unsigned char *middle = sealed + CRYPTO_NONCE_BYTES;
    Size size = sealed_size - CRYPTO_SEALED_BYTES_MORE;
    unsigned char tag[CRYPTO_TAG_BYTES];
    EVP_CIPHER_CTX *context;
    int written = 0;
    bool good;

    if (sealed_size <= CRYPTO_SEALED_BYTES_MORE)
        return false;
    ERR_set_mark();
    memcpy(tag, middle + size, sizeof(tag));
    context = EVP_CIPHER_CTX_new();
    good = context != NULL &&
           EVP_DecryptInit_ex2(context, EVP_aes_256_gcm(), secret, sealed, NULL) == 1 &&
           EVP_DecryptUpdate(context, NULL, &written, (const unsigned char *)bound,
                             (int)bound_size) == 1 &&
           EVP_DecryptUpdate(context, plain, &written, middle, (int)size) == 1 &&
           (Size)written == size &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(context, plain + size, &written) == 1;
    EVP_CIPHER_CTX_free(context);
    ERR_pop_to_mark();
    return good;
}
