/* SPDX-License-Identifier: MIT
 *
 * key.h: signing keys, as this backend knows them.
 */
#ifndef AUTH_SERVICE_KEY_H
#define AUTH_SERVICE_KEY_H

#include "token.h"

extern SigningKey *KeyActive(void);
extern SigningKey *KeyFind(const char *kid);

#endif
