/* SPDX-License-Identifier: MIT
 *
 * key.c: the signing keys.
 *
 * The backend keeps the material of the keys that it has met.  That cannot go stale: a key's
 * material never changes under its kid.  Whether a key may still verify does change, and is not
 * kept here: the statement that looks up session and account asks for it (StoreSessionFind).
 */
#include "postgres.h"

#include "jwt_library.h"
#include "key.h"
#include "random.h"
#include "store.h"

#define KEY_CACHE_SIZE   8
#define KID_RANDOM_BYTES 12

static SigningKey key_cache[KEY_CACHE_SIZE];
static int key_cache_next = 0;

static SigningKey *
CacheFind(const char *kid)
{
    int i;

    for (i = 0; i < KEY_CACHE_SIZE; i++)
        if (key_cache[i].secret_size > 0 && strcmp(key_cache[i].kid, kid) == 0)
            return &key_cache[i];
    return NULL;
}

/* The kept copy of this key; it stays valid until as many other keys were met. */
static SigningKey *
CachePut(const SigningKey *key)
{
    SigningKey *slot = CacheFind(key->kid);

    if (slot == NULL) {
        slot = &key_cache[key_cache_next];
        key_cache_next = (key_cache_next + 1) % KEY_CACHE_SIZE;
        JwtKeyRelease(slot);
        *slot = *key;
    }
    return slot;
}

/* The key with this kid; NULL where there is none. */
SigningKey *
KeyFind(const char *kid)
{
    SigningKey *kept = CacheFind(kid);
    SigningKey key;

    if (kept != NULL)
        return kept;
    return StoreKeyFind(kid, &key) ? CachePut(&key) : NULL;
}

/* An HS256 key without its secret, its kid this prefix and a random number. */
static void
StartKey(SigningKey *key, const char *kid_prefix)
{
    unsigned char random[KID_RANDOM_BYTES];
    int i;

    memset(key, 0, sizeof(*key));
    strlcpy(key->algorithm, "HS256", sizeof(key->algorithm));
    strlcpy(key->kid, kid_prefix, sizeof(key->kid));
    RandomBytes(random, sizeof(random));
    for (i = 0; i < KID_RANDOM_BYTES; i++)
        snprintf(key->kid + strlen(kid_prefix) + 2 * i, 3, "%02x", random[i]);
}

/* A new key: 256 bits of secret (RFC 7518, 3.2). */
static void
MakeKey(SigningKey *key)
{
    StartKey(key, "");
    key->secret_size = AUTH_HMAC_KEY_BYTES_MIN;
    RandomBytes(key->secret, key->secret_size);
}

/* Another service's key; the secret's length was checked. */
void
KeyImport(const char *secret, SigningKey *key)
{
    StartKey(key, AUTH_KID_IMPORTED);
    key->secret_size = (int)strlen(secret);
    memcpy(key->secret, secret, (Size)key->secret_size);
}

/*
 * The key that signs.  The first one is made here, on first use, and not by CREATE EXTENSION: a
 * restored dump brings its own.  Of two first logins one makes the key, and the other one finds it.
 */
SigningKey *
KeyActive(void)
{
    SigningKey key;

    if (StoreKeyActive(&key))
        return CachePut(&key);
    MakeKey(&key);
    if (!StoreKeyInsert(&key) && !StoreKeyActive(&key))
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("the signing keys were changed meanwhile"), errhint("Try again.")));
    return CachePut(&key);
}
