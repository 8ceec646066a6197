/* SPDX-License-Identifier: MIT
 *
 * libjwt.h: what we take of libjwt and jansson: HS256 signatures, and strict JSON.
 */
#ifndef AUTH_SERVICE_KEYS_LIBJWT_H
#define AUTH_SERVICE_KEYS_LIBJWT_H

#include "keys/key.h"

#define JWT_SIGNATURE_BYTES 32
#define JWT_SIGNATURE_CHARS 43 /* the same in base64url */

struct json_t;

/* Open the libraries, once a backend; before anything else here. */
extern void JwtOpen(void);

extern bool JwtSign(SigningKey *key, const char *input, char *signature);
extern bool JwtVerify(SigningKey *key, const char *input, const char *signature);
extern void JwtKeyRelease(SigningKey *key);

extern struct json_t *JsonParseObject(const char *from, Size size);
extern void JsonRelease(struct json_t *json);
extern bool JsonHas(const struct json_t *object, const char *name);
extern const char *JsonString(const struct json_t *object, const char *name);
extern bool JsonInteger(const struct json_t *object, const char *name, int64 *integer);
extern bool JsonNames(const struct json_t *object, const char *name, const char *wanted);

#endif
