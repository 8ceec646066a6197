/* SPDX-License-Identifier: MIT
 *
 * admin.h: what lists share with administration.
 */
#ifndef AUTH_SERVICE_ADMIN_H
#define AUTH_SERVICE_ADMIN_H

#include "user.h"

extern UserRole RoleFromDatum(Oid value);

#endif
