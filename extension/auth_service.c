/* SPDX-License-Identifier: MIT
 *
 * auth_service.c: the module's entry; a table of contents of what is set up when it is loaded.
 *
 * README's layout has the rooms: an SQL function's rules, the formats that it reads and writes, the tables.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "audit.h"
#include "guard.h"
#include "guc.h"
#include "identity.h"
#include "session.h"
#include "throttle.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
    GucInit();
    IdentityInit();
    AuditInit();
    RefreshInit();
    GuardInit();
    MarkGUCPrefixReserved("auth_service");
}
