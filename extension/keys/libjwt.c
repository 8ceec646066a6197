/* SPDX-License-Identifier: MIT
 *
 * libjwt.c: the only file that knows libjwt and its JSON library, jansson.
 *
 * libjwt is not linked but opened, with RTLD_DEEPBIND: jansson and the postgres binary both export
 * a function json_object, and linked the ordinary way libjwt calls PostgreSQL's and the backend
 * dies.
 *
 * libjwt makes and checks signatures; the token around them is written and read in tokens/access_token.c.  Its
 * own jwt_encode and jwt_decode will not do: 1.10 writes and accepts no "typ" but "JWT", and both
 * obey the token's "alg", skip bad base64 and take the last of duplicate members.  So we use what
 * they are made of, jwt_sign_sha_hmac and jwt_verify_sha_hmac, which the library exports without
 * declaring them; a test vector at the first use makes sure that they are what we take them for.
 *
 * Between an allocation of libjwt's or jansson's and its release nothing may ereport: it would leak.
 */
#include "postgres.h"

#include <dlfcn.h>
#include <jansson.h>
#include <jwt.h>

#include "base/base64url.h"
#include "keys/key.h"
#include "keys/libjwt.h"

/* Exported by libjwt, in no header of it; 1.10 takes NUL-terminated text, 1.17 text and length. */
#if AUTH_LIBJWT_MINOR >= 13
extern int jwt_sign_sha_hmac(jwt_t *jwt, char **out, unsigned int *len, const char *str,
                             unsigned int str_len);
extern int jwt_verify_sha_hmac(jwt_t *jwt, const char *head, unsigned int head_len,
                               const char *sig);
#define TEXT_AND_LENGTH(text) text, (unsigned int)strlen(text)
#else
extern int jwt_sign_sha_hmac(jwt_t *jwt, char **out, unsigned int *len, const char *str);
extern int jwt_verify_sha_hmac(jwt_t *jwt, const char *head, const char *sig);
#define TEXT_AND_LENGTH(text) text
#endif

#define JWT_FUNCTIONS(X)                                                                           \
    X(jwt_new)                                                                                     \
    X(jwt_free)                                                                                    \
    X(jwt_set_alg)                                                                                 \
    X(jwt_sign_sha_hmac)                                                                           \
    X(jwt_verify_sha_hmac)                                                                         \
    X(json_loadb)                                                                                  \
    X(json_delete)                                                                                 \
    X(json_object_get)                                                                             \
    X(json_string_value)                                                                           \
    X(json_integer_value)                                                                          \
    X(json_array_size)                                                                             \
    X(json_array_get)

static struct {
    void *handle;
#define JWT_MEMBER(name) __typeof__(name) *name;
    JWT_FUNCTIONS(JWT_MEMBER)
#undef JWT_MEMBER
} lib;

/* ---- Signatures ------------------------------------------------------------------------- */

/* A handle of libjwt's for an HS256 key, or NULL out of memory. */
static struct jwt *
NewHandle(const unsigned char *secret, int size)
{
    jwt_t *handle = NULL;

    if (lib.jwt_new(&handle) != 0)
        return NULL;
    if (lib.jwt_set_alg(handle, JWT_ALG_HS256, secret, size) != 0) {
        lib.jwt_free(handle);
        return NULL;
    }
    return handle;
}

/* Write the signature of this text in base64url; false where libjwt failed. */
static bool
Sign(struct jwt *handle, const char *input, char *signature)
{
    char *raw = NULL;
    unsigned int size = 0;
    bool good;

    good = lib.jwt_sign_sha_hmac(handle, &raw, &size, TEXT_AND_LENGTH(input)) == 0 && raw != NULL &&
           size == JWT_SIGNATURE_BYTES;
    if (good)
        Base64UrlEncode((unsigned char *)raw, size, signature);
    free(raw);
    return good;
}

/* The vector of RFC 7515, A.1, signed and verified. */
static void
CheckLibrary(void)
{
    static const unsigned char secret[] = {
        3,   35,  53, 75,  43,  15, 165, 188, 131, 126, 6,   101, 119, 123, 166, 143,
        90,  179, 40, 230, 240, 84, 201, 40,  169, 15,  132, 178, 210, 80,  46,  191,
        211, 251, 90, 146, 210, 6,  71,  239, 150, 138, 180, 195, 119, 98,  61,  34,
        61,  46,  33, 114, 5,   46, 79,  8,   192, 205, 154, 245, 103, 208, 128, 163};
    static const char input[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
        "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    static const char expected[] = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    char wrong[] = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXg";
    char signature[JWT_SIGNATURE_CHARS + 1];
    jwt_t *handle = NewHandle(secret, sizeof(secret));
    bool good = handle != NULL && Sign(handle, input, signature) &&
                strcmp(signature, expected) == 0 &&
                lib.jwt_verify_sha_hmac(handle, TEXT_AND_LENGTH(input), expected) == 0 &&
                lib.jwt_verify_sha_hmac(handle, TEXT_AND_LENGTH(input), wrong) != 0;

    if (handle != NULL)
        lib.jwt_free(handle);
    if (!good)
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR),
                 errmsg("library \"%s\" does not sign as RFC 7515 demands", AUTH_LIBJWT_SONAME)));
}

/* Open libjwt, once a backend.  dlsym searches its dependencies too, so jansson is found. */
void
JwtOpen(void)
{
    void *handle;

    if (lib.handle != NULL)
        return;
    handle = dlopen(AUTH_LIBJWT_SONAME, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (handle == NULL)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE),
                        errmsg("could not load library \"%s\"", AUTH_LIBJWT_SONAME),
                        errdetail_log("%s", dlerror()), errhint("Install the package libjwt.")));
#define JWT_LOAD(name)                                                                             \
    if ((lib.name = (__typeof__(name) *)dlsym(handle, #name)) == NULL)                             \
        ereport(ERROR,                                                                             \
                (errcode(ERRCODE_UNDEFINED_FUNCTION),                                              \
                 errmsg("library \"%s\" has no function \"%s\"", AUTH_LIBJWT_SONAME, #name)));
    JWT_FUNCTIONS(JWT_LOAD)
#undef JWT_LOAD
    CheckLibrary();
    lib.handle = handle;
}

/* The key's handle, made at its first use and kept with it. */
static struct jwt *
KeyHandle(SigningKey *key)
{
    if (key->secret_size < AUTH_HMAC_KEY_BYTES_MIN || strcmp(key->algorithm, "HS256") != 0)
        elog(ERROR, "a signing key is none for HS256");
    if (key->handle == NULL)
        key->handle = NewHandle(key->secret, key->secret_size);
    if (key->handle == NULL)
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    return key->handle;
}

/* Let go of what this file keeps with a key. */
void
JwtKeyRelease(SigningKey *key)
{
    if (key->handle != NULL)
        lib.jwt_free(key->handle);
    key->handle = NULL;
}

/* Write the key's signature of this text; false where libjwt failed. */
bool
JwtSign(SigningKey *key, const char *input, char *signature)
{
    return Sign(KeyHandle(key), input, signature);
}

/* Whether this is the key's signature of this text. */
bool
JwtVerify(SigningKey *key, const char *input, const char *signature)
{
    return lib.jwt_verify_sha_hmac(KeyHandle(key), TEXT_AND_LENGTH(input), signature) == 0;
}

/* ---- JSON ------------------------------------------------------------------------------- */

/*
 * Read a JSON object strictly: no duplicate member, no NUL in a string, valid UTF-8, nothing behind
 * it.  NULL where it is none; release it with JsonRelease, and raise nothing until then.
 */
json_t *
JsonParseObject(const char *from, Size size)
{
    json_t *json = lib.json_loadb(from, size, JSON_REJECT_DUPLICATES, NULL);

    if (json != NULL && json_typeof(json) == JSON_OBJECT)
        return json;
    JsonRelease(json);
    return NULL;
}

void
JsonRelease(json_t *json)
{
    /* json_decref is an inline function of jansson's that calls json_delete by its name. */
    if (json != NULL && json->refcount != (size_t)-1 && JSON_INTERNAL_DECREF(json) == 0)
        lib.json_delete(json);
}

bool
JsonHas(const json_t *object, const char *name)
{
    return lib.json_object_get(object, name) != NULL;
}

/* The member's value, living as long as the object; NULL where it is missing or no string. */
const char *
JsonString(const json_t *object, const char *name)
{
    const json_t *value = lib.json_object_get(object, name);

    return value != NULL && json_typeof(value) == JSON_STRING ? lib.json_string_value(value) : NULL;
}

/* False where the member is missing or no integer; a number with a fraction or exponent is none. */
bool
JsonInteger(const json_t *object, const char *name, int64 *integer)
{
    const json_t *value = lib.json_object_get(object, name);

    if (value == NULL || json_typeof(value) != JSON_INTEGER)
        return false;
    *integer = lib.json_integer_value(value);
    return true;
}

/* Whether the member is this string, or an array with it. */
bool
JsonNames(const json_t *object, const char *name, const char *wanted)
{
    const json_t *value = lib.json_object_get(object, name);
    size_t i;

    if (value == NULL)
        return false;
    if (json_typeof(value) == JSON_STRING)
        return strcmp(lib.json_string_value(value), wanted) == 0;
    for (i = 0; json_typeof(value) == JSON_ARRAY && i < lib.json_array_size(value); i++) {
        const json_t *entry = lib.json_array_get(value, i);

        if (json_typeof(entry) == JSON_STRING && strcmp(lib.json_string_value(entry), wanted) == 0)
            return true;
    }
    return false;
}
