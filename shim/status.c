/* SPDX-License-Identifier: MIT
 *
 * status.c: see status.h.  The extension's own codes carry their status; the table is for
 * PostgreSQL's.
 */
#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "status.h"

static const struct {
    const char *prefix; /* of the SQLSTATE; the first that fits counts */
    int status;
} statuses[] = {
    {"22", 400},    /* data exception: bad UTF-8, \u0000, a number out of range */
    {"54", 400},    /* program limit exceeded: JSON nested too deeply */
    {"23505", 409}, /* unique violation */
    {"42501", 403}, /* insufficient privilege */
    {"40001", 503}, /* serialization failure */
    {"40P01", 503}, /* deadlock */
    {"55P03", 503}, /* lock timeout */
    {"25006", 503}, /* read-only transaction: a standby */
    {"57014", 504}, /* cancelled: statement_timeout */
    {"53", 503},    /* insufficient resources: connections, disk, memory */
    {"57P", 503},   /* shutting down, starting up, database dropped */
    {"08", 503},    /* connection lost */
    {"28", 503},    /* the shim's role or password is refused */
    {"3D", 503},    /* the database is not there */
};

bool
status_is_ours(const char *sqlstate)
{
    return sqlstate != NULL && sqlstate[0] == 'U' && isdigit((unsigned char)sqlstate[1]) &&
           isdigit((unsigned char)sqlstate[2]) && isdigit((unsigned char)sqlstate[3]) &&
           sqlstate[1] >= '4' && sqlstate[1] <= '5';
}

int
status_of_sqlstate(const char *sqlstate)
{
    size_t i;

    if (sqlstate == NULL)
        return 503;
    if (status_is_ours(sqlstate))
        return (sqlstate[1] - '0') * 100 + (sqlstate[2] - '0') * 10 + sqlstate[3] - '0';
    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (strncmp(sqlstate, statuses[i].prefix, strlen(statuses[i].prefix)) == 0)
            return statuses[i].status;
    return 500;
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
    {"U404C", "The issuer is no https URL"},
    {"U409A", "Idempotency key was used with another amount"},
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

static const struct {
    int status;
    const char *text;
} texts[] = {
    {200, "OK"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *
status_text(int status)
{
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return status < 500 ? "Bad Request" : "Internal Server Error";
}
