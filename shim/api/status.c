/* SPDX-License-Identifier: MIT
 *
 * status.c: see status.h.  The extension's own codes carry their status; the table is for
 * PostgreSQL's.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "api/status.h"

static const struct {
    const char *prefix; /* of the SQLSTATE; the first that fits counts */
    int status;
} statuses[] = {
    {"22", 400},    /* data exception: bad UTF-8, \u0000, a number out of range */
    {"54", 400},    /* program limit exceeded: JSON nested too deeply */
    {"23502", 400}, /* NULL where none is taken */
    {"23503", 409}, /* a foreign key: what it refers to is not there, or is still referred to */
    {"23505", 409}, /* unique violation */
    {"23514", 400}, /* a CHECK */
    {"23P01", 409}, /* an exclusion constraint */
    {"42501", 403}, /* insufficient privilege */
    {"40001", 503}, /* serialization failure */
    {"40P01", 503}, /* deadlock */
    {"55000", 503}, /* the extension has another version than its library: an update is under way */
    {"55P03", 503}, /* lock timeout */
    {"26000", 503}, /* a statement could not be prepared for a call that shares the connection */
    {"25006", 503}, /* read-only transaction: a standby */
    {"57014", 504}, /* cancelled: statement_timeout */
    {"53", 503},    /* insufficient resources: connections, disk, memory */
    {"57P", 503},   /* shutting down, starting up, database dropped */
    {"08", 503},    /* connection lost */
    {"28", 503},    /* the shim's role or password is refused */
    {"3D", 503},    /* the database is not there */
};

/* The status of three digits, from 400 to 599; 0: they are none. */
static int
read_digits(const char *digits)
{
    if ((digits[0] != '4' && digits[0] != '5') || !isdigit((unsigned char)digits[1]) ||
        !isdigit((unsigned char)digits[2]))
        return 0;
    return (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0';
}

/* The status that the code itself has: U400A, PT400; 0: it has none. */
static int
own_status(const char *sqlstate)
{
    if (strlen(sqlstate) != 5)
        return 0;
    if (sqlstate[0] == 'U')
        return read_digits(sqlstate + 1);
    return strncmp(sqlstate, "PT", 2) == 0 ? read_digits(sqlstate + 2) : 0;
}

/* The status by the table; 0: it does not know the code. */
static int
find_status(const char *sqlstate)
{
    size_t i;

    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (strncmp(sqlstate, statuses[i].prefix, strlen(statuses[i].prefix)) == 0)
            return statuses[i].status;
    return 0;
}

enum error_origin
error_origin(const char *sqlstate, const char *source)
{
    bool is_raise = source != NULL && strcmp(source, "exec_stmt_raise") == 0;

    /* A code PTxyz that is no status of an error is a mistake of the application's. */
    if (sqlstate == NULL || (strncmp(sqlstate, "PT", 2) == 0 && own_status(sqlstate) == 0))
        return ORIGIN_SERVER;
    if (sqlstate[0] == 'U' && own_status(sqlstate) != 0)
        return source == NULL || strcmp(source, "ErrorRaise") == 0 ||
                       strcmp(source, "ErrorRaiseThrottled") == 0 ||
                       strcmp(source, "ProblemsRaise") == 0
                   ? ORIGIN_EXTENSION
                   : ORIGIN_APPLICATION;
    return is_raise || own_status(sqlstate) != 0 || strcmp(sqlstate, "P0001") == 0
               ? ORIGIN_APPLICATION
               : ORIGIN_SERVER;
}

int
status_of_error(const char *sqlstate, enum error_origin voice)
{
    int status;

    if (sqlstate == NULL)
        return 503;
    status = own_status(sqlstate);
    if (status == 0)
        status = find_status(sqlstate);
    if (status != 0)
        return status;
    /* Who raises an error on purpose refuses something; but for what is called an internal error. */
    return voice == ORIGIN_APPLICATION && strncmp(sqlstate, "XX", 2) != 0 ? 400 : 500;
}

int
status_of_sqlstate(const char *sqlstate)
{
    return status_of_error(sqlstate, ORIGIN_SERVER);
}

/* For what the shim itself answers, and for the OpenAPI document; the extension has the others. */
static const struct {
    const char *code;
    const char *message;
} messages[] = {
    {"U400A", "A user with this email already exists"},
    {"U400B", "Unable to update profile"},
    {"U400C", "Unable to update balance"},
    {"U401A", "Not authenticated"},
    {"U401B", "Could not validate credentials"},
    {"U401C", "Invalid credentials"},
    {"U401D", "Refresh token is invalid or expired"},
    {"U401E", "Old password is incorrect"},
    {"U403A", "Your account is blocked."},
    {"U403B", "Admin users cannot have an active balance"},
    {"U403C", "Admin cannot delete their own account."},
    {"U403D", "Profile incomplete"},
    {"U404A", "Not found"},
    {"U404B", "User not found"},
    {"U404C", "Function not found"},
    {"U404D", "Session not found"},
    {"U404E", "The issuer is no https URL"},
    {"U409A", "Idempotency key was used with another amount"},
    {"U429A", "Too many attempts"},
};

const char *
status_message(const char *code)
{
    size_t i;

    for (i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        if (strcmp(messages[i].code, code) == 0)
            return messages[i].message;
    return NULL;
}
