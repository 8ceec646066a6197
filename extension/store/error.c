/* SPDX-License-Identifier: MIT
 *
 * error.c: what errors of our own statements do not tell.
 *
 * A statement of ours runs as the owner, who may read every column: so where a constraint refuses a row (one
 * that an operator has added, for instance), PostgreSQL's DETAIL quotes it whole, with the hash or the key in
 * it, to the caller and in the log.
 */
#include "postgres.h"

#include "store/statement.h"

/* Within PG_CATCH: raise the error again, without the row where it is one of our tables'. */
void
StoreRaiseWithoutRow(MemoryContext context)
{
    ErrorData *error;

    if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION) {
        MemoryContextSwitchTo(context);
        error = CopyErrorData();
        if (error->schema_name != NULL && strcmp(error->schema_name, "auth") == 0) {
            FlushErrorState();
            error->detail = NULL;
            ReThrowError(error);
        }
    }
    PG_RE_THROW();
}
