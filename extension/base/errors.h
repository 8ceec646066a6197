/* SPDX-License-Identifier: MIT
 *
 * errors.h: every error that the extension can raise, on one screen.
 *
 * A SQLSTATE is 'U', the HTTP status that a front answers with, and a letter; so a front needs no
 * table.  A code that is no longer used is never given to another error.
 *
 *   X(name, SQLSTATE, message, hint or NULL)
 *
 * Hints are for people at psql; the HTTP front passes on message and code only.
 */
#ifndef AUTH_SERVICE_BASE_ERRORS_H
#define AUTH_SERVICE_BASE_ERRORS_H

#include "lib/stringinfo.h"

#include "base/compat.h"

#define AUTH_ERRORS(X)                                                                             \
    X(EMAIL_TAKEN, "U400A", "A user with this email already exists", NULL)                         \
    X(PROFILE_NOT_UPDATED, "U400B", "Unable to update profile",                                    \
      "Give both names, neither of them empty.")                                                   \
    X(BALANCE_NOT_UPDATED, "U400C", "Unable to update balance",                                    \
      "A balance does not go below zero, nor beyond a bigint.")                                    \
    X(NOT_AUTHENTICATED, "U401A", "Not authenticated",                                             \
      "Call auth.authenticate(access_token) first, in the same transaction.")                      \
    X(INVALID_TOKEN, "U401B", "Could not validate credentials", NULL)                              \
    X(BLOCKED, "U403A", "Your account is blocked.", NULL)                                          \
    X(ADMIN_BALANCE, "U403B", "Admin users cannot have an active balance", NULL)                   \
    X(ADMIN_DELETE, "U403C", "Admin cannot delete their own account.", NULL)                       \
    X(NOT_FOUND, "U404A", "Not found", NULL)                                                       \
    X(USER_NOT_FOUND, "U404B", "User not found", NULL)                                             \
    X(FUNCTION_NOT_FOUND, "U404C", "Function not found", NULL)                                     \
    X(FUNCTION_VOLATILE, "U405A", "Method Not Allowed",                                            \
      "Only a STABLE or IMMUTABLE function can be called by GET.")                                 \
    X(IDEMPOTENCY_KEY_REUSED, "U409A", "Idempotency key was used with another amount", NULL)       \
    X(ARGUMENT, "U422A", "Invalid argument", NULL)                                                 \
    X(EMAIL_INVALID, "U422B", "value is not a valid email address", NULL)                          \
    X(PASSWORD_TOO_SHORT, "U422C", "Password is too short", NULL)                                  \
    X(PASSWORD_TOO_LONG, "U422D", "Password must be at most 72 bytes long", NULL)                  \
    X(PASSWORD_NO_LOWER, "U422E", "Password must contain a lower-case letter", NULL)               \
    X(PASSWORD_NO_UPPER, "U422F", "Password must contain an upper-case letter", NULL)              \
    X(PASSWORD_NO_DIGIT, "U422G", "Password must contain a digit", NULL)                           \
    X(PASSWORD_FORBIDDEN, "U422H", "Password contains a character that is not allowed", NULL)      \
    X(NAME_INVALID, "U422I", "Name must have 1 to 255 characters, none a control character", NULL) \
    X(IDEMPOTENCY_KEY_INVALID, "U422J",                                                            \
      "Idempotency key must have 1 to 255 characters, none a control character", NULL)             \
    X(THROTTLED, "U429A", "Too many attempts", NULL)

typedef enum AuthError {
#define AUTH_ERROR_ENUM(name, sqlstate, message, hint) AUTH_ERROR_##name,
    AUTH_ERRORS(AUTH_ERROR_ENUM)
#undef AUTH_ERROR_ENUM
} AuthError;

/*
 * Field problems found in one call.  They are collected, so that a caller learns all of them at
 * once, and raised as one error: SQLSTATE, message and column name of the first, and a DETAIL with
 * one line for each, "field: message [type]".  Types are the words that FastAPI's clients know:
 * missing, string_type, value_error, json_invalid.
 */
typedef struct FieldProblems {
    StringInfo detail; /* NULL while there is no problem */
    AuthError first;
    const char *first_field;
    const char *first_message;
} FieldProblems;

pg_noreturn extern void ErrorRaise(AuthError error);
/* U429A, with the seconds to wait as its DETAIL. */
pg_noreturn extern void ErrorRaiseThrottled(int64 seconds);
extern void ProblemAdd(FieldProblems *problems, const char *field, AuthError rule,
                       const char *message, const char *type);
extern void ProblemsRaise(const FieldProblems *problems);

#endif
