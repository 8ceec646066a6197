/* SPDX-License-Identifier: MIT
 *
 * problem.c: see problem.h.
 */
#include <string.h>

#include "api/parameters.h"
#include "api/problem.h"
#include "api/router.h"
#include "api/routes.h"
#include "base/buffer.h"

/* Add "body","field", or where else the field is given; no field: the whole body, or query. */
static void
add_location(struct buffer *json, const struct route *route, const char *name, size_t length)
{
    static const char *const places[] = {"body", "path", "query", "header"};
    enum field_place place = route->body != ROUTE_NO_BODY ? IN_BODY : IN_QUERY;
    int i;

    for (i = 0; i < ROUTE_FIELDS_MAX && route->fields[i].specification != NULL; i++)
        if (length > 0 && field_is_named(&route->fields[i], name, length)) {
            place = route->fields[i].place;
            break;
        }
    buffer_format(json, "\"%s\"", places[place]);
    if (length == 0)
        return;
    buffer_text(json, ",");
    if (place == IN_HEADER) {
        buffer_text(json, "\"");
        header_name(json, name, length);
        buffer_text(json, "\"");
    } else
        buffer_json_string(json, name, length);
}

static void
add_problem(struct buffer *json, const struct route *route, const char *line, size_t length)
{
    const char *end = line + length;
    const char *colon = memchr(line, ':', length);
    const char *message = colon != NULL && colon + 2 <= end ? colon + 2 : line;
    const char *type = end;

    if (length > 0 && end[-1] == ']')
        while (type > message && *type != '[')
            type--;
    buffer_text(json, "{\"loc\":[");
    add_location(json, route, line, colon != NULL ? (size_t)(colon - line) : 0);
    buffer_text(json, "],\"msg\":");
    if (type > message && type < end) {
        buffer_json_string(json, message, (size_t)(type - 1 - message));
        buffer_text(json, ",\"type\":");
        buffer_json_string(json, type + 1, (size_t)(end - type - 2));
    } else {
        buffer_json_string(json, message, (size_t)(end - message));
        buffer_text(json, ",\"type\":\"value_error\"");
    }
    buffer_text(json, "}");
}

void
problem_list(struct buffer *json, const struct route *route, const char *detail)
{
    const char *separator = "";

    buffer_text(json, "{\"detail\":[");
    while (*detail != '\0') {
        size_t length = strcspn(detail, "\n");

        buffer_text(json, separator);
        add_problem(json, route, detail, length);
        separator = ",";
        detail += length + (detail[length] == '\n');
    }
    buffer_text(json, "]}");
}
