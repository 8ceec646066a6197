/* SPDX-License-Identifier: MIT
 *
 * refusal.c: the audit log's rows of those who were refused an admin's function.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "audit/audit.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/text.h"
#include "store/audit.h"
#include "tokens/access_token.h"

#define REFUSED_A_MINUTE_MAX 60
#define ACTION_BYTES_MAX     128

PG_FUNCTION_INFO_V1(auth_service_audit_refused);

/*
 * SQL function: _audit_refused(action text, access_token text) returns void
 *
 * A row "refused" of the token's user, with what he had asked for.  That the token is ours is enough: by
 * now the user may have logged out, and must not escape the log so.  So many rows a minute are enough to
 * see what is going on: whoever goes on asking does not fill the disk.  U401B for a token that is not ours.
 */
Datum
auth_service_audit_refused(PG_FUNCTION_ARGS)
{
    text *action = PG_GETARG_TEXT_PP(0);
    text *token = TextUpTo(PG_GETARG_DATUM(1), AUTH_ACCESS_TOKEN_BYTES_MAX);
    int length =
        pg_mbcliplen(VARDATA_ANY(action), (int)VARSIZE_ANY_EXHDR(action), ACTION_BYTES_MAX);
    TimestampTz minute_ago = GetCurrentTimestamp() - USECS_PER_MINUTE;
    TokenClaims claims;

    if (token == NULL || !TokenVerify(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), &claims))
        ErrorRaise(AUTH_ERROR_INVALID_TOKEN);
    if (StoreRefusedCount(claims.user_id, REFUSED_A_MINUTE_MAX, minute_ago) < REFUSED_A_MINUTE_MAX)
        AuditRecord(&(AuditEvent){
            .action = "refused",
            .user_id = claims.user_id,
            .is_own = true,
            .detail = TextToJson("action", pnstrdup(VARDATA_ANY(action), (Size)length))});
    PG_RETURN_VOID();
}
