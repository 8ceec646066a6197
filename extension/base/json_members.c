/* SPDX-License-Identifier: MIT
 *
 * json_members.c: see json_members.h.
 *
 * The parser calls us as it goes.  As a statement, of json_each, this took ten times as long.
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "utils/jsonfuncs.h"

#include "base/compat.h"
#include "base/json_members.h"

typedef struct Reader {
    JsonLexContext *lex;
    List *members;
    const char *begin; /* of the value of the last one */
} Reader;

/* json_typeof's word for a value that begins with this token. */
static const char *
TypeName(JsonTokenType token)
{
    switch (token) {
    case JSON_TOKEN_OBJECT_START:
        return "object";
    case JSON_TOKEN_ARRAY_START:
        return "array";
    case JSON_TOKEN_STRING:
        return "string";
    case JSON_TOKEN_NUMBER:
        return "number";
    case JSON_TOKEN_TRUE:
    case JSON_TOKEN_FALSE:
        return "boolean";
    default:
        return "null";
    }
}

/* Whether the parser is inside the outermost object, or array, and no deeper. */
static bool
IsOutermost(const Reader *reader)
{
    return reader->lex->lex_level == 1;
}

static CompatJsonAction
FieldStart(void *state, char *name, bool is_null)
{
    Reader *reader = state;
    JsonMember *member;

    if (IsOutermost(reader)) {
        member = palloc0(sizeof(JsonMember));
        member->name = name;
        member->type = TypeName(reader->lex->token_type);
        reader->members = lappend(reader->members, member);
        reader->begin = reader->lex->token_start;
    }
    CompatJsonGoOn;
}

static CompatJsonAction
Scalar(void *state, char *token, JsonTokenType type)
{
    Reader *reader = state;

    /* In an outermost array there is no member to give it to. */
    if (IsOutermost(reader) && reader->members != NIL && type != JSON_TOKEN_NULL)
        ((JsonMember *)llast(reader->members))->value = token;
    CompatJsonGoOn;
}

static CompatJsonAction
FieldEnd(void *state, char *name, bool is_null)
{
    Reader *reader = state;
    JsonMember *member;

    if (IsOutermost(reader) && !is_null) {
        member = llast(reader->members);
        if (member->value == NULL)
            member->value =
                pnstrdup(reader->begin, (Size)(reader->lex->prev_token_terminator - reader->begin));
    }
    CompatJsonGoOn;
}

bool
JsonMembersRead(text *json, List **members)
{
    JsonLexContext *lex = CompatJsonLexContext(json);
    Reader reader = {.lex = lex};
    JsonSemAction actions = {.semstate = &reader,
                             .object_field_start = FieldStart,
                             .object_field_end = FieldEnd,
                             .scalar = Scalar};
    bool good = pg_parse_json(lex, &actions) == JSON_SUCCESS;

    *members = reader.members;
    return good;
}
