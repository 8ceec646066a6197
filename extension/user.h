/* SPDX-License-Identifier: MIT
 *
 * user.h: small types that several rooms share.
 */
#ifndef AUTH_SERVICE_USER_H
#define AUTH_SERVICE_USER_H

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

static inline const char *
UserRoleName(UserRole role)
{
    return role == USER_ROLE_ADMIN ? "admin" : "user";
}

#endif
