/* SPDX-License-Identifier: MIT
 *
 * password.h: passwords, their rules and hashes.
 */
#ifndef AUTH_SERVICE_ACCOUNTS_PASSWORD_H
#define AUTH_SERVICE_ACCOUNTS_PASSWORD_H

#include "base/errors.h"
#include "store/account.h"

/* How often a password is verified anew because its account's hash has changed meanwhile. */
#define AUTH_PASSWORD_TRIES 3

extern void PasswordCheckRules(text *password, const char *field, FieldProblems *problems);
extern char *PasswordHash(text *password);
extern char *PasswordHashImport(const char *hash);
extern bool PasswordNeedsRenewal(const char *hash);

/*
 * The account of these credentials; false where they do not fit, after the same work.  Its id is that
 * of the e-mail's account then, or 0.
 */
extern bool PasswordVerifyCredentials(text *email, text *password, AccountRow *account);

#endif
