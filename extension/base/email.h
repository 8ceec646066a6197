/* SPDX-License-Identifier: MIT
 *
 * email.h: e-mail addresses.
 */
#ifndef AUTH_SERVICE_BASE_EMAIL_H
#define AUTH_SERVICE_BASE_EMAIL_H

/* RFC 5321, 4.5.3.1.3: a path has 256 bytes, its angle brackets included. */
#define AUTH_EMAIL_BYTES_MAX 254

extern bool EmailIsValid(const char *email);
extern text *EmailNormalize(const text *email);

#endif
