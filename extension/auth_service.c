/* SPDX-License-Identifier: MIT
 *
 * auth_service.c: the module's entry; a table of contents of what is set up when it is loaded.
 *
 *   SQL function -> account.c, login.c, session.c, password.c, identity.c, balance.c, admin.c,
 *                   list.c, audit.c, import.c, key_admin.c, hook.c, grant.c,
 *                   argument.c                                                 (the rules)
 *                -> token_pair.c, token.c, refresh_token.c, key.c, email.c, cursor.c,
 *                   seal.c, command.c, base64url.c, argument_type.c            (formats)
 *                -> jwt_library.c, crypto_*.c                       (libjwt, libcrypto)
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
