/* SPDX-License-Identifier: MIT
 *
 * envelope.c: the key-encryption key, and what it seals.
 *
 * The operator's command (auth_service.key_encryption_command) prints it, and before older ones,
 * one a line; the first seals, all of them open.  A backend runs it once, and again where something was
 * sealed by a key that it does not know.  What is kept, in memory only, is derived of it:
 *
 *   root    = HMAC-SHA-256("auth_service key encryption", the key's bytes)     (as in RFC 5869)
 *   id      = the first 8 bytes of HMAC-SHA-256(root, "id")
 *   secrets = HMAC-SHA-256(root, "signing keys"): AES-256-GCM, bound to kid and algorithm
 *   session = HMAC-SHA-256(root, "sessions"): a refresh token's key is
 *             HMAC-SHA-256(session, the key in the table || session id)
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "utils/timestamp.h"

#include "base/base64url.h"
#include "base/random.h"
#include "base/settings.h"
#include "base/types.h"
#include "keys/command.h"
#include "keys/envelope.h"
#include "keys/libcrypto.h"

#define KEYS_MAX         4
#define KEY_BYTES_MIN    32
#define KEY_BYTES_MAX    512
#define OUTPUT_BYTES_MAX 4096
#define COMMAND_SECONDS  10
#define COMMAND_NAME     "auth_service.key_encryption_command"
/* Something sealed by an unknown key makes a backend run the command once in so many seconds. */
#define LOOK_AGAIN_SECONDS 10

StaticAssertDecl(ENVELOPE_BYTES_MORE == CRYPTO_SEALED_BYTES_MORE, "what sealing adds");
StaticAssertDecl(AUTH_REFRESH_KEY_BYTES == PG_SHA256_DIGEST_LENGTH, "a session's key is an HMAC");

typedef struct Kek {
    KekId id;
    unsigned char secrets[PG_SHA256_DIGEST_LENGTH];
    unsigned char session[PG_SHA256_DIGEST_LENGTH];
} Kek;

static Kek keks[KEYS_MAX];
static int kek_count = 0;
static TimestampTz read_at = 0;

/* ---- Reading it ------------------------------------------------------------------------- */

static void
Derive(const unsigned char *key, Size key_size, const void *input, Size size, unsigned char *digest)
{
    pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);

    if (hmac == NULL || pg_hmac_init(hmac, key, key_size) < 0 ||
        pg_hmac_update(hmac, input, size) < 0 ||
        pg_hmac_final(hmac, digest, PG_SHA256_DIGEST_LENGTH) < 0) {
        pg_hmac_free(hmac);
        elog(ERROR, "could not compute an HMAC");
    }
    pg_hmac_free(hmac);
}

static void
DeriveKey(const unsigned char *bytes, Size size, Kek *key)
{
    static const char label[] = "auth_service key encryption";
    unsigned char root[PG_SHA256_DIGEST_LENGTH];
    unsigned char id[PG_SHA256_DIGEST_LENGTH];

    Derive((const unsigned char *)label, strlen(label), bytes, size, root);
    Derive(root, sizeof(root), "id", 2, id);
    key->id.size = KEK_ID_BYTES;
    memcpy(key->id.data, id, KEK_ID_BYTES);
    Derive(root, sizeof(root), "signing keys", strlen("signing keys"), key->secrets);
    Derive(root, sizeof(root), "sessions", strlen("sessions"), key->session);
    explicit_bzero(root, sizeof(root));
}

static int
HexValue(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* 64 hexadecimal digits, or base64 of either alphabet of 32 bytes and more; their count, or 0. */
static Size
DecodeKey(char *line, unsigned char *bytes)
{
    Size length = strlen(line);
    Size i;
    int size;

    if (length == 2 * KEY_BYTES_MIN && strspn(line, "0123456789abcdefABCDEF") == length) {
        for (i = 0; i < KEY_BYTES_MIN; i++)
            bytes[i] = (unsigned char)(HexValue(line[2 * i]) << 4 | HexValue(line[2 * i + 1]));
        return KEY_BYTES_MIN;
    }
    for (i = 0; i < length; i++)
        line[i] = line[i] == '+' ? '-' : line[i] == '/' ? '_' : line[i];
    while (length > 0 && line[length - 1] == '=')
        length--;
    if (length > KEY_BYTES_MAX * 4 / 3)
        return 0;
    size = Base64UrlDecode(line, length, bytes);
    return size >= KEY_BYTES_MIN ? (Size)size : 0;
}

/* Read the keys out of the command's output; how many, or 0 where a line is none. */
static int
ReadKeys(char *output, Kek *keys)
{
    unsigned char bytes[KEY_BYTES_MAX + 4];
    char *rest;
    char *line;
    int count = 0;

    for (line = strtok_r(output, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest)) {
        Size size = DecodeKey(line, bytes);

        if (size == 0 || count == KEYS_MAX)
            return 0;
        DeriveKey(bytes, size, &keys[count++]);
    }
    explicit_bzero(bytes, sizeof(bytes));
    return count;
}

void
KekForget(void)
{
    explicit_bzero(keks, sizeof(keks));
    kek_count = 0;
    read_at = 0;
}

static void
Load(void)
{
    Kek keys[KEYS_MAX];
    char output[OUTPUT_BYTES_MAX];
    int count;

    /* Also where it fails: a command that hangs must not hold up every statement. */
    read_at = GetCurrentTimestamp();
    CommandOutput(COMMAND_NAME, auth_service_key_encryption_command, output, sizeof(output),
                  COMMAND_SECONDS);
    count = ReadKeys(output, keys);
    explicit_bzero(output, sizeof(output));
    if (count == 0)
        ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
                        errmsg("%s does not print a key", COMMAND_NAME),
                        errdetail("It must print 64 hexadecimal digits or base64 of at least %d "
                                  "bytes, on up to %d lines.",
                                  KEY_BYTES_MIN, KEYS_MAX),
                        errhidestmt(true), errhidecontext(true)));
    memcpy(keks, keys, sizeof(keys));
    explicit_bzero(keys, sizeof(keys));
    kek_count = count;
}

static bool
IsSet(void)
{
    return auth_service_key_encryption_command[0] != '\0';
}

static const Kek *
Find(const KekId *id)
{
    int i;

    for (i = 0; i < kek_count; i++)
        if (memcmp(keks[i].id.data, id->data, KEK_ID_BYTES) == 0)
            return &keks[i];
    return NULL;
}

/* The key that sealed something; raises where we have it not. */
static const Kek *
Require(const KekId *id)
{
    const Kek *key = NULL;

    if (IsSet()) {
        if (kek_count == 0)
            Load();
        key = Find(id);
        if (key == NULL && GetCurrentTimestamp() >= read_at + LOOK_AGAIN_SECONDS * USECS_PER_SEC) {
            Load();
            key = Find(id);
        }
    }
    if (key == NULL)
        ereport(
            ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("a key in the database is sealed with a key-encryption key that is not here"),
             IsSet() ? errdetail("%s prints another one.", COMMAND_NAME)
                     : errdetail("%s is not set.", COMMAND_NAME),
             errhint("Give it the key-encryption key of this database, or see docs/keys.md for "
                     "how to go on without."),
             errhidestmt(true), errhidecontext(true)));
    return key;
}

/* Raise where this key-encryption key is not here, now: for what asks seldom. */
void
KekRequire(const KekId *id)
{
    if (IsSet() && Find(id) == NULL)
        Load();
    Require(id);
}

/* Whether it is here. */
bool
KekLoad(const KekId *id)
{
    return id->size == 0 || (KekCurrent().size > 0 && Find(id) != NULL);
}

KekId
KekCurrent(void)
{
    if (!IsSet())
        return (KekId){.size = 0};
    if (kek_count == 0)
        Load();
    return keks[0].id;
}

/* ---- What it seals ---------------------------------------------------------------------- */

/* What a sealed secret is bound to: "kid algorithm", of which neither has a blank. */
static char *
Bound(const char *kid, const char *algorithm)
{
    return psprintf("%s %s", kid, algorithm);
}

void
EnvelopeWrap(const KekId *id, const char *kid, const char *algorithm, const unsigned char *plain,
             Size size, unsigned char *sealed)
{
    const Kek *key = Require(id);
    char *bound = Bound(kid, algorithm);
    unsigned char nonce[CRYPTO_NONCE_BYTES];

    RandomBytes(nonce, sizeof(nonce));
    if (!CryptoSeal(key->secrets, nonce, bound, strlen(bound), plain, size, sealed))
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not seal a signing key")));
    pfree(bound);
}

void
EnvelopeUnwrap(const KekId *id, const char *kid, const char *algorithm, const unsigned char *sealed,
               Size sealed_size, unsigned char *plain)
{
    const Kek *key = Require(id);
    char *bound = Bound(kid, algorithm);

    if (!CryptoOpen(key->secrets, bound, strlen(bound), sealed, sealed_size, plain))
        ereport(ERROR,
                (errcode(ERRCODE_DATA_CORRUPTED), errmsg("a sealed signing key does not open"),
                 errdetail("It was changed after it was sealed."), errhidestmt(true),
                 errhidecontext(true)));
    pfree(bound);
}

void
EnvelopeSessionKey(const KekId *id, const pg_uuid_t *session_id, unsigned char *key)
{
    unsigned char both[AUTH_REFRESH_KEY_BYTES + UUID_LEN];

    if (id->size == 0)
        return;
    memcpy(both, key, AUTH_REFRESH_KEY_BYTES);
    memcpy(both + AUTH_REFRESH_KEY_BYTES, session_id->data, UUID_LEN);
    Derive(Require(id)->session, PG_SHA256_DIGEST_LENGTH, both, sizeof(both), key);
    explicit_bzero(both, sizeof(both));
}
