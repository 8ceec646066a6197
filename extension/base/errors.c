/* SPDX-License-Identifier: MIT
 *
 * errors.c: the only place that reports our errors.  No argument of a caller is ever echoed: what
 * stands in an error reaches clients and server logs.
 */
#include "postgres.h"

#include "base/errors.h"

/*
 * The server logs an error with its statement, and with the statement of the function that called:
 * people at psql write passwords and tokens as literals there.
 */
#define HIDE_STATEMENT errhidestmt(true), errhidecontext(true)

typedef struct ErrorText {
    const char *sqlstate;
    const char *message;
    const char *hint;
} ErrorText;

static const ErrorText error_texts[] = {
#define AUTH_ERROR_TEXT(name, sqlstate, message, hint) {sqlstate, message, hint},
    AUTH_ERRORS(AUTH_ERROR_TEXT)
#undef AUTH_ERROR_TEXT
};

static int
SqlState(AuthError error)
{
    const char *s = error_texts[error].sqlstate;

    return MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]);
}

/* Raise one of our errors; does not return. */
void
ErrorRaise(AuthError error)
{
    const ErrorText *entry = &error_texts[error];

    ereport(ERROR, (errcode(SqlState(error)), errmsg_internal("%s", entry->message),
                    entry->hint ? errhint("%s", entry->hint) : 0, HIDE_STATEMENT));
}

void
ErrorRaiseThrottled(int64 seconds)
{
    ereport(ERROR, (errcode(SqlState(AUTH_ERROR_THROTTLED)),
                    errmsg_internal("%s", error_texts[AUTH_ERROR_THROTTLED].message),
                    errdetail_internal(INT64_FORMAT, seconds), HIDE_STATEMENT));
}

/* Note a broken rule of a field.  The message is the rule's own where NULL is given. */
void
ProblemAdd(FieldProblems *problems, const char *field, AuthError rule, const char *message,
           const char *type)
{
    if (message == NULL)
        message = error_texts[rule].message;
    if (problems->detail == NULL) {
        problems->detail = makeStringInfo();
        problems->first = rule;
        problems->first_field = field;
        problems->first_message = message;
    } else
        appendStringInfoChar(problems->detail, '\n');
    appendStringInfo(problems->detail, "%s: %s [%s]", field, message, type);
}

/* Raise what was collected; returns where nothing was. */
void
ProblemsRaise(const FieldProblems *problems)
{
    if (problems->detail == NULL)
        return;
    ereport(ERROR,
            (errcode(SqlState(problems->first)), errmsg_internal("%s", problems->first_message),
             errdetail_internal("%s", problems->detail->data),
             err_generic_string(PG_DIAG_COLUMN_NAME, problems->first_field), HIDE_STATEMENT));
}
