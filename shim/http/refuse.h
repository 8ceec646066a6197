/* SPDX-License-Identifier: MIT
 *
 * refuse.h: answers where civetweb has found no request that it would pass on, for http.c.
 */
#ifndef SHIM_HTTP_REFUSE_H
#define SHIM_HTTP_REFUSE_H

struct mg_connection;

/*
 * Say that civetweb refuses, with this status, what it does not take for a request: perhaps for want of a head, for
 * which it waits so many milliseconds at least.
 */
void http_refuse_early(struct mg_connection *connection, int status, long long patience);

/*
 * Answer a request that civetweb takes for another server's, and would close without a word: in absolute
 * form with another port than ours, or for no path ("OPTIONS *": what the server as a whole can do).
 */
void http_refuse_pathless(struct mg_connection *connection);

#endif
