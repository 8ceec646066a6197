/* SPDX-License-Identifier: MIT
 *
 * status.h: what HTTP calls an SQLSTATE.
 */
#ifndef SHIM_STATUS_H
#define SHIM_STATUS_H

#include <stdbool.h>

/* The status of an error; sqlstate may be NULL, as it is when the connection is lost. */
int status_of_sqlstate(const char *sqlstate);

/* Whether this is an error of the extension's, whose message is meant for clients. */
bool status_is_ours(const char *sqlstate);

/* The message of a code of ours, as clients get it; NULL where it is none of these. */
const char *status_message(const char *code);

/* "OK", "Not Found", ... (RFC 9110, 15). */
const char *status_text(int status);

#endif
