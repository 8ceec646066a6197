/* SPDX-License-Identifier: MIT
 *
 * framing.h: whether civetweb and we agree with the client on where a request ends.
 */
#ifndef SHIM_HTTP_FRAMING_H
#define SHIM_HTTP_FRAMING_H

struct mg_request_info;

/* NULL where the framing is whole; else what is wrong with it, for the client, and the status of that. */
const char *framing_problem(const struct mg_request_info *request, int *status);

#endif
