/* SPDX-License-Identifier: MIT
 *
 * drop_guard.h: DROP EXTENSION does not silently take the accounts along.
 */
#ifndef AUTH_SERVICE_PROTECTION_DROP_GUARD_H
#define AUTH_SERVICE_PROTECTION_DROP_GUARD_H

/* Sets the hook that refuses to drop auth.users while it has a row, unless auth_service.allow_drop is on. */
extern void DropGuardInit(void);

#endif
