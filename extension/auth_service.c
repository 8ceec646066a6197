/* SPDX-License-Identifier: MIT
 *
 * auth_service.c: the module's entry; a table of contents of what is set up when it is loaded.
 *
 * docs/architecture.md has the rooms, the folders beside this file.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "audit/audit.h"
#include "base/compat.h"
#include "base/settings.h"
#include "identity/identity.h"
#include "keys/envelope.h"
#include "protection/drop_guard.h"
#include "sessions/session.h"

CompatModuleMagic("auth_service", AUTH_SERVICE_VERSION);

void _PG_init(void);

void
_PG_init(void)
{
    SettingsInit(KekForget);
    IdentityInit();
    AuditInit();
    RefreshInit();
    DropGuardInit();
    MarkGUCPrefixReserved("auth_service");
}
