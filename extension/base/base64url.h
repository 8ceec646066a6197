/* SPDX-License-Identifier: MIT
 *
 * base64url.h: base64url without padding (RFC 4648, 5), read strictly: one text for one value.
 */
#ifndef AUTH_SERVICE_BASE_BASE64URL_H
#define AUTH_SERVICE_BASE_BASE64URL_H

extern void Base64UrlEncode(const unsigned char *from, Size size, char *to);
extern int Base64UrlDecode(const char *from, Size size, unsigned char *to);

#endif
