/* SPDX-License-Identifier: MIT
 *
 * openapi_fields.c: what operations take, from the very specifications that auth._arguments gets.
 */
#include <string.h>

#include "api/openapi_parts.h"
#include "api/parameters.h"
#include "api/router.h"
#include "api/routes.h"
#include "base/buffer.h"

static bool
is_required(const struct field *field)
{
    return field->specification[strlen(field->specification) - 1] == '!';
}

/* What of the specification stands behind the names. */
static const char *
field_kind(const struct field *field)
{
    return field->specification + strcspn(field->specification, ":(!");
}

/* Add the words of "(a,b)" as an array. */
static void
add_choices(struct buffer *json, const char *choices)
{
    const char *separator = "[";

    while (*choices != ')') {
        size_t length = strcspn(choices + 1, ",)");

        buffer_text(json, separator);
        buffer_json_string(json, choices + 1, length);
        separator = ",";
        choices += 1 + length;
    }
    buffer_text(json, "]");
}

/* Add the members of the field's schema, without braces. */
static void
add_schema(struct buffer *json, const struct field *field)
{
    const char *kind = field_kind(field);
    bool is_integer = strncmp(kind, ":integer", 8) == 0;
    const char *type = is_integer                          ? "integer"
                       : strncmp(kind, ":boolean", 8) == 0 ? "boolean"
                                                           : "string";

    /* A member that may be missing may be null as well. */
    if (field->place == IN_BODY && !is_required(field))
        buffer_format(json, "\"type\":[\"%s\",\"null\"]", type);
    else
        buffer_format(json, "\"type\":\"%s\"", type);
    if (is_integer)
        buffer_text(json, ",\"format\":\"int64\"");
    if (*kind == '(') {
        buffer_text(json, ",\"enum\":");
        add_choices(json, kind);
    }
    if (field->keywords != NULL)
        buffer_format(json, ",%s", field->keywords);
}

/* ---- Path, query and header ------------------------------------------------------------- */

static void
add_parameter(struct buffer *json, const struct field *field)
{
    static const char *const places[] = {"body", "path", "query", "header"};
    size_t length = strcspn(field->specification, "|:(!");

    buffer_text(json, "{\"name\":\"");
    if (field->place == IN_HEADER)
        header_name(json, field->specification, length);
    else
        buffer_add(json, field->specification, length);
    buffer_format(json, "\",\"in\":\"%s\",\"required\":%s,\"description\":", places[field->place],
                  is_required(field) ? "true" : "false");
    openapi_add_string(json, field->description);
    buffer_text(json, ",\"schema\":{");
    add_schema(json, field);
    buffer_text(json, "}}");
}

void
openapi_add_parameters(struct buffer *json, const struct route *route)
{
    bool is_first = true;
    int i;

    for (i = 0; i < ROUTE_FIELDS_MAX && route->fields[i].specification != NULL; i++) {
        if (route->fields[i].place == IN_BODY)
            continue;
        buffer_text(json, is_first ? ",\"parameters\":[" : ",");
        add_parameter(json, &route->fields[i]);
        is_first = false;
    }
    if (!is_first)
        buffer_text(json, "]");
}

/* ---- Bodies ----------------------------------------------------------------------------- */

/* Add a property for each of the field's names. */
static void
add_properties(struct buffer *json, const struct field *field)
{
    const char *name = field->specification;

    for (;;) {
        size_t length = strcspn(name, "|:(!");

        buffer_json_string(json, name, length);
        buffer_text(json, ":{");
        add_schema(json, field);
        buffer_text(json, ",\"description\":");
        openapi_add_string(json, field->description);
        buffer_text(json, "}");
        if (name[length] != '|')
            return;
        buffer_text(json, ",");
        name += length + 1;
    }
}

/* Add what the field demands of the object: its name, or one of its two names in any_of. */
static void
add_required(struct buffer *required, struct buffer *any_of, const struct field *field)
{
    const char *name = field->specification;
    size_t length = strcspn(name, "|:(!");

    if (!is_required(field))
        return;
    if (name[length] == '|') {
        const char *other = name + length + 1;

        buffer_format(any_of, ",\"anyOf\":[{\"required\":[\"%.*s\"]},{\"required\":[\"%.*s\"]}]",
                      (int)length, name, (int)strcspn(other, ":(!"), other);
        return;
    }
    buffer_text(required, required->length == 0 ? ",\"required\":[" : ",");
    buffer_json_string(required, name, length);
}

static void
add_body_schema(struct buffer *json, const struct route *route)
{
    struct buffer required = {0};
    struct buffer any_of = {0};
    const char *separator = "";
    int i;

    buffer_text(json, "{\"schema\":{\"type\":\"object\",\"properties\":{");
    for (i = 0; i < ROUTE_FIELDS_MAX && route->fields[i].specification != NULL; i++) {
        if (route->fields[i].place != IN_BODY)
            continue;
        buffer_text(json, separator);
        add_properties(json, &route->fields[i]);
        add_required(&required, &any_of, &route->fields[i]);
        separator = ",";
    }
    buffer_text(json, "}");
    if (buffer_ok(&required))
        buffer_format(json, "%s]", required.data);
    if (buffer_ok(&any_of))
        buffer_text(json, any_of.data);
    buffer_text(json, "}}");
    json->failed |= required.failed || any_of.failed;
    buffer_free(&required);
    buffer_free(&any_of);
}

void
openapi_add_request_body(struct buffer *json, const struct route *route)
{
    static const struct {
        enum route_body body;
        const char *media_type;
    } kinds[] = {{ROUTE_FORM, "application/x-www-form-urlencoded"},
                 {ROUTE_JSON, "application/json"}};
    const char *separator = "";
    size_t i;

    if (route->body == ROUTE_NO_BODY)
        return;
    buffer_text(json, ",\"requestBody\":{\"required\":true,\"content\":{");
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct route *row = route_for_body(route, kinds[i].body);

        if (row == NULL)
            continue;
        buffer_format(json, "%s\"%s\":", separator, kinds[i].media_type);
        add_body_schema(json, row);
        separator = ",";
    }
    buffer_text(json, "}}");
}
