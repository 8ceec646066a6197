/* SPDX-License-Identifier: MIT
 *
 * store.h: the tables.  One function a statement; the callers see structs, and no SPI.
 *
 * All run as the extension's owner, whoever called; palloc'ed results live in the caller's context.
 */
#ifndef AUTH_SERVICE_STORE_H
#define AUTH_SERVICE_STORE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "key.h"
#include "refresh_token.h"
#include "user.h"

/* An account for the checks of a password; mirrors a part of auth.users. */
typedef struct AccountRow {
    int64 id;
    UserRole role;
    bool is_blocked;
    char *password_hash; /* NULL: nobody can log in with a password */
} AccountRow;

/* A session with what decides whether it still stands; mirrors parts of auth.sessions and users. */
typedef struct SessionRow {
    UserRole role;
    bool is_blocked;
    bool exists;       /* false: the account is there, the session is not */
    bool key_verifies; /* the signing key asked for is there and not retired */
    TimestampTz expires_at;
    TimestampTz last_activity_at;
    TimestampTz last_used_at;
    Generation generation;
    int64 previous_nonce; /* of the generation before; generation's own where there was none */
} SessionRow;

static inline bool
IsSessionAlive(const SessionRow *session, TimestampTz now)
{
    return session->exists && now < session->expires_at;
}

/* One member of a JSON object; value is NULL for a JSON null. */
typedef struct JsonMember {
    char *name;
    char *type;
    char *value;
} JsonMember;

extern Oid StoreOwner(void);

extern bool StoreAccountByEmail(text *email_normalized, AccountRow *account);
extern int64 StoreAccountInsert(text *email, text *email_normalized, const char *password_hash,
                                text *first_name, text *last_name, TimestampTz now);
extern bool StoreAccountEnter(int64 id, const char *old_hash, const char *new_hash, TimestampTz now,
                              AccountRow *account);
extern bool StorePasswordUpdate(int64 id, const char *old_hash, const char *new_hash,
                                TimestampTz now);
extern bool StoreRoleUpdate(int64 id, UserRole role, TimestampTz now);
extern bool StoreAccountLock(int64 id);
extern void StoreActivityUpdate(int64 id, TimestampTz now, TimestampTz before);
extern Datum StoreProfileFind(int64 id, const pg_uuid_t *session_id, TimestampTz now);
extern Datum StoreProfileUpdate(int64 id, text *first_name, text *last_name, TimestampTz now);

extern void StoreSessionInsert(const RefreshToken *token, const unsigned char *refresh_key,
                               TimestampTz now, TimestampTz expires_at, text *user_agent, Datum ip,
                               bool has_ip);
extern bool StoreSessionFind(int64 user_id, const pg_uuid_t *id, const char *kid,
                             SessionRow *session);
extern bool StoreSessionKey(int64 user_id, const pg_uuid_t *id, unsigned char *refresh_key);
extern bool StoreSessionLock(int64 user_id, const pg_uuid_t *id, SessionRow *session);
extern void StoreSessionStep(const RefreshToken *token, TimestampTz now);
extern void StoreSessionTouch(int64 user_id, const pg_uuid_t *id, TimestampTz now);
extern bool StoreSessionDelete(int64 user_id, const pg_uuid_t *id);
extern void StoreSessionsDelete(int64 user_id);

extern bool StoreKeyFind(const char *kid, SigningKey *key);
extern bool StoreKeyActive(SigningKey *key);
extern bool StoreKeyInsert(const SigningKey *key);

extern List *StoreJsonMembers(text *json);
extern void StoreCommitDurably(void);
extern void StoreRequireSeen(bool seen);
extern void StoreCommand(const char *sql);

#endif
