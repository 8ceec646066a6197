/* SPDX-License-Identifier: MIT
 *
 * admin.h: what lists share with administration.
 */
#ifndef AUTH_SERVICE_ACCOUNTS_ADMIN_H
#define AUTH_SERVICE_ACCOUNTS_ADMIN_H

#include "base/types.h"

extern UserRole RoleFromDatum(Oid value);

#endif
