/* SPDX-License-Identifier: MIT
 *
 * types.h: types that several rooms share.
 */
#ifndef AUTH_SERVICE_BASE_TYPES_H
#define AUTH_SERVICE_BASE_TYPES_H

#include "utils/uuid.h"

/* Mirrors the SQL type auth.user_role. */
typedef enum UserRole { USER_ROLE_USER, USER_ROLE_ADMIN } UserRole;

/*
 * Which of a session's successive token pairs: a counter, and a number drawn for it.  A pair whose
 * transaction rolled back was never stored; its counter comes again, its nonce does not.
 */
typedef struct Generation {
    int64 counter;
    int64 nonce;
} Generation;

/* A generation of a session's tokens, by whose session it is. */
typedef struct RefreshToken {
    int64 user_id;
    pg_uuid_t session_id;
    Generation generation;
} RefreshToken;

/* The HMAC key that a session's refresh tokens are made with. */
#define AUTH_REFRESH_KEY_BYTES 32

/* By these bytes a key-encryption key is told from others; they tell nothing of it. */
#define KEK_ID_BYTES 8

/* What sealed something; size is 0 where it is not sealed, and KEK_ID_BYTES where it is. */
typedef struct KekId {
    int size;
    unsigned char data[KEK_ID_BYTES];
} KekId;

static inline const char *
UserRoleName(UserRole role)
{
    return role == USER_ROLE_ADMIN ? "admin" : "user";
}

#endif
