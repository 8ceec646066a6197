/* SPDX-License-Identifier: MIT
 *
 * identity.h: who asks, in this transaction.
 */
#ifndef AUTH_SERVICE_IDENTITY_H
#define AUTH_SERVICE_IDENTITY_H

#include "utils/jsonb.h"

#include "base/types.h"

typedef struct Identity {
    int64 user_id;
    UserRole role; /* the database's, read by authenticate, not the token's */
    pg_uuid_t session_id;
    char claims[FLEXIBLE_ARRAY_MEMBER]; /* the token's: JSON text */
} Identity;

extern void IdentityInit(void);
extern void IdentitySet(int64 user_id, UserRole role, const pg_uuid_t *session_id,
                        const char *claims);
extern void IdentityClear(void);
extern Jsonb *IdentityClaims(const char *claims, UserRole role);
extern int64 IdentityUserId(void);
extern const Identity *RequireIdentity(void);
extern const Identity *RequireLiveIdentity(void);
extern bool IsAdminAsking(void);
extern void RequireAdmin(void);
extern void RequireOperator(void);

#endif
