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
#include "rpc_function.h"
#include "user.h"

/* An account for the checks of a password; mirrors a part of auth.users. */
typedef struct AccountRow {
    int64 id;
    UserRole role;
    bool is_blocked;
    char *password_hash; /* NULL: nobody can log in with a password */
} AccountRow;

/* So many generations before the previous one a session remembers; their access tokens are good. */
#define AUTH_OLDER_GENERATIONS 16

typedef struct OlderGeneration {
    int64 nonce;
    TimestampTz ended_at; /* when the next one took its place */
} OlderGeneration;

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
    int older_count;
    OlderGeneration older[AUTH_OLDER_GENERATIONS]; /* those before that one, the last first */
} SessionRow;

static inline bool
IsSessionAlive(const SessionRow *session, TimestampTz now)
{
    return session->exists && now < session->expires_at;
}

/* What is counted: SHA-256 of its name. */
typedef struct ThrottleKey {
    unsigned char data[32];
    bool begins_anew; /* with each success; else that takes back its own attempt and nothing more */
} ThrottleKey;

/* So many failures without delay have places of their own; a failure after a delay has none. */
#define THROTTLE_PLACES 1000
#define THROTTLE_TURN   (-1)

/* For a network's text: an IPv6 address and its length. */
#define THROTTLE_NETWORK_CHARS 50

/* A row of auth.login_throttle. */
typedef struct ThrottleAttemptRow {
    ThrottleKey key;
    TimestampTz at;
    int place;
    const char *network; /* from where; NULL: unknown */
    bool was_right;
} ThrottleAttemptRow;

/* The failures of a key that count. */
typedef struct ThrottleState {
    int failures;
    unsigned char places[THROTTLE_PLACES / 8]; /* a bit for each that is taken */
    TimestampTz slow_since; /* the last failure without delay; 0: some are left */
    TimestampTz last_at;
    char network[THROTTLE_NETWORK_CHARS]; /* of the last; empty: unknown */
} ThrottleState;

/* What an introspection tells of an account and its session, which exists where session.exists. */
typedef struct SessionDescription {
    SessionRow session;
    unsigned char refresh_key[AUTH_REFRESH_KEY_BYTES]; /* as it lies in the table */
    SealId sealed_by;
    TimestampTz created_at;
    char *email;
} SessionDescription;

/* The id of identities that have no session: those of imported access tokens. */
extern const pg_uuid_t no_session;

static inline bool
IsNoSession(const pg_uuid_t *id)
{
    return memcmp(id, &no_session, sizeof(*id)) == 0;
}

/* An account, its row locked; mirrors a part of auth.users. */
typedef struct LockedAccount {
    int64 balance;
    UserRole role;
    bool is_blocked;
} LockedAccount;

/* Mirrors auth.audit_log; an id of 0 and a NULL pointer stand for NULL. */
typedef struct AuditRow {
    const char *action;
    int64 actor_id;
    int64 user_id;
    Datum ip;
    bool has_ip;
    text *user_agent;
    text *request_id;
    const char *db_role;
    const char *detail; /* JSON */
} AuditRow;

/* What list_users filters by; a NULL text stands for none. */
typedef struct UserFilter {
    bool has_id;
    int64 id;
    text *email;
    text *first_name;
    text *last_name;
    bool has_role;
    UserRole role;
    bool has_is_blocked;
    bool is_blocked;
} UserFilter;

typedef struct AuditFilter {
    bool has_user_id;
    int64 user_id;
    bool has_actor_id;
    int64 actor_id;
    text *action; /* NULL: any */
} AuditFilter;

typedef enum ListOrder {
    LIST_BY_ID,
    LIST_BY_BALANCE,
    LIST_BY_ACTIVITY,
    LIST_BY_DELETION /* deleted accounts, where the other orders list those that are not */
} ListOrder;

/* A page of a list: so many rows at most, behind the row of the cursor. */
typedef struct ListPage {
    ListOrder sort_by;
    bool is_descending;
    int limit;
    bool has_cursor;
    int64 cursor_value;
    int64 cursor_id;
} ListPage;

/* Takes a row of a list; is_last: none is behind it. */
typedef void (*StoreRowSink)(void *context, const Datum *values, const bool *nulls, bool is_last);

/* A row of the service before us, as its table "users" has it; a NULL text stands for NULL. */
typedef struct ImportRow {
    bool has_id;
    int64 id;
    char *email;
    char *password_hash;
    char *first_name;
    char *last_name;
    bool is_blocked;
    TimestampTz blocked_at;
    bool is_deleted;
    char *role;
    int64 balance;
    TimestampTz created_at;
    TimestampTz updated_at;
    bool has_last_activity_at;
    TimestampTz last_activity_at;
    text *email_normalized; /* for ImportJudge.accept to set */
} ImportRow;

typedef enum ImportOutcome {
    IMPORT_DONE,
    IMPORT_PRESENT, /* the account of this id has this e-mail */
    IMPORT_ID_TAKEN,
    IMPORT_EMAIL_TAKEN
} ImportOutcome;

/* Who judges an import's rows: first each by itself, then what became of those that were accepted. */
typedef struct ImportJudge {
    bool (*accept)(void *context, ImportRow *row);
    void (*settle)(void *context, int64 id, const char *email, ImportOutcome outcome);
    void *context;
} ImportJudge;

/* A function of the application's; mirrors auth.hooks. */
typedef struct HookRow {
    char *schema;
    char *name;
    Datum event; /* jsonb: what it is to be told */
} HookRow;

extern Oid StoreOwner(void);

extern bool StoreAccountByEmail(text *email_normalized, AccountRow *account);
extern int64 StoreAccountInsert(text *email, text *email_normalized, const char *password_hash,
                                text *first_name, text *last_name, TimestampTz now);
extern bool StoreAccountEnter(int64 id, const char *old_hash, const char *new_hash, TimestampTz now,
                              AccountRow *account);
extern bool StorePasswordUpdate(int64 id, const char *old_hash, const char *new_hash,
                                TimestampTz now);
extern bool StoreAccountExists(int64 id);
extern bool StoreRoleUpdate(int64 id, UserRole role, TimestampTz now);
extern bool StoreBlockUpdate(int64 id, bool block, TimestampTz now);
extern bool StoreAccountDelete(int64 id, TimestampTz now);
extern bool StoreAccountRestore(int64 id, TimestampTz now);
extern bool StoreImportedTokensEnd(int64 id);
extern void StoreAllImportedTokensEnd(void);
extern bool StoreAccountLock(int64 id, LockedAccount *account);
extern void StoreActivityUpdate(int64 id, TimestampTz now, TimestampTz before);
extern Datum StoreProfileFind(int64 id, const pg_uuid_t *session_id, TimestampTz now);
extern Datum StoreProfileUpdate(int64 id, text *first_name, text *last_name, TimestampTz now);

extern bool StoreBalanceFind(int64 user_id, const pg_uuid_t *session_id, TimestampTz now,
                             int64 *balance);
extern bool StoreEntryFind(int64 user_id, int64 actor_id, text *idempotency_key, int64 *amount,
                           int64 *balance);
extern void StoreEntryInsert(int64 user_id, int64 amount, int64 balance, text *idempotency_key,
                             int64 actor_id, TimestampTz now);

extern void StoreBalanceUpdate(int64 user_id, int64 balance, TimestampTz now);

extern void StoreAuditInsert(const AuditRow *row, TimestampTz now);
extern int StoreRefusedCount(int64 user_id, int newest, TimestampTz since);

extern void StoreListUsers(const UserFilter *filter, const ListPage *page, StoreRowSink sink,
                           void *context);
extern void StoreListAudit(const AuditFilter *filter, const ListPage *page, StoreRowSink sink,
                           void *context);

extern void StoreSessionInsert(const RefreshToken *token, const unsigned char *refresh_key,
                               const SealId *sealed_by, TimestampTz now, TimestampTz expires_at,
                               text *user_agent, Datum ip, bool has_ip);
extern bool StoreSessionFind(int64 user_id, const pg_uuid_t *id, const char *kid,
                             SessionRow *session);
extern bool StoreSessionKey(int64 user_id, const pg_uuid_t *id, unsigned char *refresh_key,
                            SealId *sealed_by);
extern bool StoreSessionLock(int64 user_id, const pg_uuid_t *id, SessionRow *session);
extern void StoreSessionStep(const RefreshToken *token, TimestampTz now);
extern void StoreSessionTouch(int64 user_id, const pg_uuid_t *id, TimestampTz now);
extern bool StoreSessionDelete(int64 user_id, const pg_uuid_t *id);
extern void StoreSessionsDelete(int64 user_id);

extern bool StoreSessionDescribe(int64 user_id, const pg_uuid_t *id,
                                 SessionDescription *description);
extern void StoreListSessions(int64 user_id, const pg_uuid_t *current, TimestampTz now,
                              TimestampTz idle_since, StoreRowSink sink, void *context);
extern int64 StoreOtherSessionsDelete(int64 user_id, const pg_uuid_t *kept, TimestampTz now,
                                      TimestampTz idle_since);
extern int64 StoreSessionsLimit(int64 user_id, int64 kept, TimestampTz now, TimestampTz idle_since);

/* A step of maintain deletes so many rows of a kind at most. */
#define AUTH_STEP_ROWS 1000

extern int64 StoreSessionsExpire(TimestampTz now);
extern int64 StoreSessionsIdle(TimestampTz idle_since);
extern int64 StoreAuditExpire(TimestampTz before);
extern int64 StoreThrottleExpire(TimestampTz before);

extern bool StoreKeyFind(const char *kid, KeyRow *key);
extern bool StoreKeySigning(TimestampTz now, char *kid);
extern bool StoreKeyNewest(KeyRow *key);
extern bool StoreKeyInsert(const KeyRow *key, TimestampTz signs_from);
extern List *StoreKeysPublished(TimestampTz now);
extern List *StoreKeysSecret(void);
extern void StoreKeysLock(void);
extern void StoreKeysRetire(const char *signing_kid, TimestampTz now, TimestampTz verify_until);
extern bool StoreKeyDrop(const char *kid, TimestampTz now);
extern void StoreKeySeal(const KeyRow *key);

extern bool StoreKeyLastImported(KeyRow *key);
extern void StoreKeyImport(const KeyRow *key, TimestampTz until);
extern char *StoreImportedKids(TimestampTz now);

extern void StoreImportUsers(text *users, TimestampTz now, const ImportJudge *judge);

extern bool StoreHookFind(const char *event, int64 user_id, HookRow *hook);
extern void StoreHookSet(const char *event, const char *schema, const char *name);
extern void StoreHookDelete(const char *event);

extern char *StoreRpc(RpcInvocation *invocation);

extern void StoreCommitDurably(void);
extern void StoreRequireSeen(bool seen);
extern void StoreCommand(const char *sql);

/* auth.login_throttle */
extern void StoreThrottleRead(const ThrottleKey *key, TimestampTz stale_before, int free_failures,
                              ThrottleState *state);
extern void StoreThrottleAdd(const ThrottleAttemptRow *attempt);
extern bool StoreThrottleKnows(text *email_normalized, const char *network);

#endif
