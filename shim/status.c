/* SPDX-License-Identifier: MIT
 *
 * status.c: see status.h.  The extension's own codes carry their status; the table is for
 * PostgreSQL's.
 */
#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
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

const char *
status_text(int status)
{
    switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return status < 500 ? "Bad Request" : "Internal Server Error";
    }
}
