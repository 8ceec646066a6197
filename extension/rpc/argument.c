/* SPDX-License-Identifier: MIT
 *
 * argument.c: named arguments from a JSON object, for fronts that receive JSON.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/json_members.h"
#include "rpc/argument.h"
#include "rpc/argument_type.h"

PG_FUNCTION_INFO_V1(auth_service_arguments);

/*
 * The members of a JSON object in their order, duplicates included; U422A where the text is none, a problem without
 * a field.  The parser is told not to raise: its errors would quote the text, with the password in it.
 */
List *
ArgumentMembers(text *body)
{
    const char *c = VARDATA_ANY(body);
    const char *end = c + VARSIZE_ANY_EXHDR(body);
    FieldProblems problems = {0};
    List *members = NIL;

    while (c < end && strchr(" \t\r\n", *c) != NULL)
        c++;
    if (c == end)
        ProblemAdd(&problems, "", AUTH_ERROR_ARGUMENT, "Field required", "missing");
    else if (!JsonMembersRead(body, &members))
        ProblemAdd(&problems, "", AUTH_ERROR_ARGUMENT, "JSON decode error", "json_invalid");
    else if (*c != '{')
        ProblemAdd(&problems, "", AUTH_ERROR_ARGUMENT, "Input should be a valid dictionary",
                   "dict_type");
    ProblemsRaise(&problems);
    return members;
}

/* The members of this name; *count tells how many there are, the first is returned. */
JsonMember *
ArgumentFind(List *members, const char *name, int *count)
{
    JsonMember *found = NULL;
    ListCell *cell;

    foreach (cell, members) {
        JsonMember *member = lfirst(cell);

        if (strcmp(member->name, name) == 0 && (*count)++ == 0)
            found = member;
    }
    return found;
}

/* Note that a member of this name is there more than once. */
void
ArgumentTwice(FieldProblems *problems, const char *name)
{
    ProblemAdd(problems, name, AUTH_ERROR_ARGUMENT, "Field given more than once", "value_error");
}

/* The field's value; NULL, and a problem where that is one. */
static char *
ReadValue(List *members, const Field *field, FieldProblems *problems)
{
    int count = 0;
    const char *name = field->name;
    JsonMember *member = ArgumentFind(members, name, &count);

    if (member == NULL && field->other != NULL) {
        member = ArgumentFind(members, field->other, &count);
        if (member != NULL)
            name = field->other;
    }
    if (count > 1)
        ArgumentTwice(problems, name);
    else if (member == NULL) {
        if (field->is_required)
            ProblemAdd(problems, name, AUTH_ERROR_ARGUMENT, "Field required", "missing");
    } else
        return FieldConvert(field, name, member, problems);
    return NULL;
}

/*
 * SQL function: _arguments(body text, VARIADIC fields text[]) returns text[]
 *
 * The values of these members of a JSON object, in the order of the fields, whose specifications
 * argument_type.h describes; numbers, booleans and choices in their canonical text.
 * Members that nobody asked for are ignored.  U422A, with all problems at once, where the body is
 * no JSON object or a field is missing, of another type, or there twice.
 */
Datum
auth_service_arguments(PG_FUNCTION_ARGS)
{
    text *body = PG_GETARG_TEXT_PP(0);
    FieldProblems problems = {0};
    List *members;
    Datum *specifications;
    bool *nulls;
    int count;
    int lower = 1;
    int i;

    deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &specifications,
                      &nulls, &count);
    members = ArgumentMembers(body);
    for (i = 0; i < count; i++) {
        Field field;
        char *value;

        /* Who gives many fields and many members must not hold the backend past a time-out. */
        CHECK_FOR_INTERRUPTS();
        field = FieldRead(nulls[i] ? "" : TextDatumGetCString(specifications[i]));
        value = ReadValue(members, &field, &problems);

        nulls[i] = value == NULL;
        if (value != NULL)
            specifications[i] = CStringGetTextDatum(value);
    }
    ProblemsRaise(&problems);
    PG_RETURN_ARRAYTYPE_P(construct_md_array(specifications, nulls, 1, &count, &lower, TEXTOID, -1,
                                             false, TYPALIGN_INT));
}
