/* SPDX-License-Identifier: MIT
 *
 * auth_service.c: the module's entry; a table of contents of what is set up when it is loaded.
 *
 *   SQL function -> account.c, session.c, password.c, identity.c, grant.c, argument.c   (the rules)
 *                -> token.c, refresh_token.c, key.c, email.c, base64url.c               (formats)
 *                -> jwt_library.c                                                       (libjwt)
 *                -> store_*.c -> store.c                                                (tables)
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "guc.h"
#include "identity.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
    GucInit();
    IdentityInit();
    MarkGUCPrefixReserved("auth_service");
}
