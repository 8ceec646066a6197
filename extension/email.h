/* SPDX-License-Identifier: MIT
 *
 * email.h: e-mail addresses.
 */
#ifndef AUTH_SERVICE_EMAIL_H
#define AUTH_SERVICE_EMAIL_H

extern bool EmailIsValid(const char *email);
extern text *EmailNormalize(const text *email);

#endif
