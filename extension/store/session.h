/* SPDX-License-Identifier: MIT
 *
 * session.h: auth.sessions.
 */
#ifndef AUTH_SERVICE_STORE_SESSION_H
#define AUTH_SERVICE_STORE_SESSION_H

#include "datatype/timestamp.h"

#include "base/types.h"
#include "store/store.h"

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

/* What an introspection tells of an account and its session, which exists where session.exists. */
typedef struct SessionDescription {
    SessionRow session;
    unsigned char refresh_key[AUTH_REFRESH_KEY_BYTES]; /* as it lies in the table */
    KekId sealed_by;
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

extern void StoreSessionInsert(const RefreshToken *token, const unsigned char *refresh_key,
                               const KekId *sealed_by, TimestampTz now, TimestampTz expires_at,
                               text *user_agent, Datum ip, bool has_ip);
extern bool StoreSessionFind(int64 user_id, const pg_uuid_t *id, const char *kid,
                             SessionRow *session);
extern bool StoreSessionKey(int64 user_id, const pg_uuid_t *id, unsigned char *refresh_key,
                            KekId *sealed_by);
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

#endif
