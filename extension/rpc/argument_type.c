/* SPDX-License-Identifier: MIT
 *
 * argument_type.c: see argument_type.h.
 *
 * Values are taken as pydantic takes them by default, strings for numbers too: the values of a query
 * are strings.  Messages and types of problems are pydantic's, which FastAPI's clients know.
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"

#include "base/errors.h"
#include "base/json_members.h"
#include "rpc/argument_type.h"

/* From here on a double does not tell an integer from its neighbours: 2^53 + 1 reads as this. */
#define EXACT_DOUBLE_MAX 9007199254740992.0

Field
FieldRead(const char *specification)
{
    Field field = {.name = pstrdup(specification)};
    Size size = strlen(field.name);
    char *type;
    char *bar;

    if (size > 0 && field.name[size - 1] == '!') {
        field.is_required = true;
        field.name[--size] = '\0';
    }
    type = strpbrk(field.name, ":(");
    if (type != NULL && *type == '(' && field.name[size - 1] == ')') {
        field.type = ARGUMENT_CHOICE;
        field.choices = type + 1;
        field.name[size - 1] = '\0';
    } else if (type != NULL && strcmp(type, ":integer") == 0)
        field.type = ARGUMENT_INTEGER;
    else if (type != NULL && strcmp(type, ":boolean") == 0)
        field.type = ARGUMENT_BOOLEAN;
    else if (type != NULL && strcmp(type, ":uuid") == 0)
        field.type = ARGUMENT_UUID;
    else if (type != NULL)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("invalid field specification \"%s\"", specification)));
    if (type != NULL)
        *type = '\0';
    bar = strchr(field.name, '|');
    if (bar != NULL) {
        *bar = '\0';
        field.other = bar + 1;
    }
    return field;
}

/* ---- Integers --------------------------------------------------------------------------- */

/* What is wrong with the text of an integer; NULL where it is one, and *value is set. */
static const char *
ParseInteger(const char *from, int64 *value)
{
    bool negative;
    const char *digits;
    uint64 limit;
    uint64 sum = 0;

    from += strspn(from, " \t\r\n");
    negative = *from == '-';
    digits = from + (*from == '-' || *from == '+');
    limit = (uint64)PG_INT64_MAX + (negative ? 1 : 0);
    from = digits;
    for (; *from >= '0' && *from <= '9'; from++) {
        uint64 digit = (uint64)(*from - '0');

        if (sum > (limit - digit) / 10)
            return "int_parsing_size";
        sum = sum * 10 + digit;
    }
    if (from == digits || from[strspn(from, " \t\r\n")] != '\0')
        return "int_parsing";
    *value = (int64)(negative ? ~sum + 1 : sum);
    return NULL;
}

/* The same of a JSON number, which may be written with a fraction or an exponent. */
static const char *
ParseNumber(const char *from, int64 *value)
{
    const char *problem = ParseInteger(from, value);
    double number;

    if (problem == NULL || strcmp(problem, "int_parsing_size") == 0)
        return problem;
    number = strtod(from, NULL);
    if (!isfinite(number) || fabs(number) >= EXACT_DOUBLE_MAX)
        return "int_parsing_size";
    if (number != floor(number))
        return "int_from_float";
    *value = (int64)number;
    return NULL;
}

static char *
ConvertInteger(const char *name, const JsonMember *member, FieldProblems *problems)
{
    const char *type = "int_type";
    int64 value = 0;

    if (strcmp(member->type, "string") == 0)
        type = ParseInteger(member->value, &value);
    else if (strcmp(member->type, "number") == 0)
        type = ParseNumber(member->value, &value);
    if (type == NULL)
        return psprintf(INT64_FORMAT, value);
    ProblemAdd(problems, name, AUTH_ERROR_ARGUMENT,
               strcmp(type, "int_parsing") == 0
                   ? "Input should be a valid integer, unable to parse string as an integer"
               : strcmp(type, "int_from_float") == 0
                   ? "Input should be a valid integer, got a number with a fractional part"
               : strcmp(type, "int_parsing_size") == 0
                   ? "Unable to parse input string as an integer, exceeded maximum size"
                   : "Input should be a valid integer",
               type);
    return NULL;
}

/* ---- The other types -------------------------------------------------------------------- */

static char *
ConvertBoolean(const char *name, const JsonMember *member, FieldProblems *problems)
{
    static const char *const words[][2] = {{"true", "false"}, {"1", "0"}, {"yes", "no"},
                                           {"on", "off"},     {"t", "f"}, {"y", "n"}};
    bool is_text = strcmp(member->type, "string") == 0 || strcmp(member->type, "number") == 0;
    Size i;

    if (strcmp(member->type, "boolean") == 0)
        return member->value;
    for (i = 0; is_text && i < lengthof(words); i++) {
        if (pg_strcasecmp(member->value, words[i][0]) == 0)
            return pstrdup("true");
        if (pg_strcasecmp(member->value, words[i][1]) == 0)
            return pstrdup("false");
    }
    ProblemAdd(problems, name, AUTH_ERROR_ARGUMENT,
               is_text ? "Input should be a valid boolean, unable to interpret input"
                       : "Input should be a valid boolean",
               is_text ? "bool_parsing" : "bool_type");
    return NULL;
}

/* As RFC 9562 writes it, or without its hyphens: 32 hexadecimal digits. */
static bool
IsUuid(const char *given)
{
    bool has_hyphens = strlen(given) == 36;
    int i;

    if (!has_hyphens && strlen(given) != 32)
        return false;
    for (i = 0; given[i] != '\0'; i++) {
        bool is_hyphen = has_hyphens && (i == 8 || i == 13 || i == 18 || i == 23);

        if (is_hyphen ? given[i] != '-' : strchr("0123456789abcdefABCDEF", given[i]) == NULL)
            return false;
    }
    return true;
}

static char *
ConvertUuid(const char *name, const JsonMember *member, FieldProblems *problems)
{
    bool is_text = strcmp(member->type, "string") == 0;

    if (is_text && IsUuid(member->value))
        return member->value;
    ProblemAdd(problems, name, AUTH_ERROR_ARGUMENT, "Input should be a valid UUID",
               is_text ? "uuid_parsing" : "uuid_type");
    return NULL;
}

/* "Input should be 'a', 'b' or 'c'" */
static char *
ChoiceMessage(const char *choices)
{
    StringInfoData message;

    initStringInfo(&message);
    appendStringInfoString(&message, "Input should be ");
    for (;;) {
        Size length = strcspn(choices, ",");

        appendStringInfo(&message, "'%.*s'", (int)length, choices);
        choices += length;
        if (*choices == '\0')
            return message.data;
        appendStringInfoString(&message, strchr(choices + 1, ',') != NULL ? ", " : " or ");
        choices++;
    }
}

static char *
ConvertChoice(const Field *field, const char *name, const JsonMember *member,
              FieldProblems *problems)
{
    const char *choice = field->choices;

    while (strcmp(member->type, "string") == 0 && *choice != '\0') {
        Size length = strcspn(choice, ",");

        if (strlen(member->value) == length && strncmp(member->value, choice, length) == 0)
            return member->value;
        choice += length + (choice[length] == ',');
    }
    ProblemAdd(problems, name, AUTH_ERROR_ARGUMENT, ChoiceMessage(field->choices), "enum");
    return NULL;
}

/*
 * The member as the field's type, in its canonical text; NULL for a null, which is a problem where
 * the field is required, and NULL with a problem for what is of another type.
 */
char *
FieldConvert(const Field *field, const char *name, const JsonMember *member,
             FieldProblems *problems)
{
    if (strcmp(member->type, "null") == 0 && !field->is_required)
        return NULL;
    switch (field->type) {
    case ARGUMENT_INTEGER:
        return ConvertInteger(name, member, problems);
    case ARGUMENT_BOOLEAN:
        return ConvertBoolean(name, member, problems);
    case ARGUMENT_CHOICE:
        return ConvertChoice(field, name, member, problems);
    case ARGUMENT_UUID:
        return ConvertUuid(name, member, problems);
    case ARGUMENT_STRING:
        break;
    }
    if (strcmp(member->type, "string") == 0)
        return member->value;
    ProblemAdd(problems, name, AUTH_ERROR_ARGUMENT, "Input should be a valid string",
               "string_type");
    return NULL;
}
