/* SPDX-License-Identifier: MIT
 *
 * reason_phrase.h: a status in words.
 */
#ifndef SHIM_HTTP_REASON_PHRASE_H
#define SHIM_HTTP_REASON_PHRASE_H

/* "OK", "Not Found", ... (RFC 9110, 15). */
const char *reason_phrase(int status);

#endif
