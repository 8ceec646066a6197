/* SPDX-License-Identifier: MIT
 *
 * account.h: auth.users.
 */
#ifndef AUTH_SERVICE_STORE_ACCOUNT_H
#define AUTH_SERVICE_STORE_ACCOUNT_H

#include "datatype/timestamp.h"

#include "base/types.h"

/* An account for the checks of a password; mirrors a part of auth.users. */
typedef struct AccountRow {
    int64 id;
    UserRole role;
    bool is_blocked;
    char *password_hash; /* NULL: nobody can log in with a password */
} AccountRow;

/* An account, its row locked; mirrors a part of auth.users. */
typedef struct LockedAccount {
    int64 balance;
    UserRole role;
    bool is_blocked;
} LockedAccount;

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

#endif
