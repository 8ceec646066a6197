/* SPDX-License-Identifier: MIT
 *
 * auth_service.c: the module's entry; a table of contents of what is set up when it is loaded.
 *
 *   SQL function -> account.c, session.c, password.c, identity.c, balance.c, admin.c, list.c,
 *                   audit.c, import.c, grant.c, argument.c, rpc.c, rpc_describe.c (the rules)
 *                -> token.c, refresh_token.c, key.c, email.c, cursor.c,
 *                   base64url.c, argument_type.c, rpc_type.c                   (formats)
 *                -> jwt_library.c                                              (libjwt)
 *                -> rpc_function.c                                             (the catalog)
 *                -> store_*.c -> store.c                                       (tables)
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "audit.h"
#include "guc.h"
#include "identity.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
    GucInit();
    IdentityInit();
    AuditInit();
    MarkGUCPrefixReserved("auth_service");
}
