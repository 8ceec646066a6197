/* SPDX-License-Identifier: MIT
 *
 * guard.h: DROP EXTENSION does not silently take the accounts along.
 */
#ifndef AUTH_SERVICE_GUARD_H
#define AUTH_SERVICE_GUARD_H

/* Sets the hook that refuses to drop auth.users while it has a row, unless auth_service.allow_drop is on. */
extern void GuardInit(void);

#endif
