/* SPDX-License-Identifier: MIT
 *
 * problem.c: see problem.h.
 */
#include <string.h>

#include "problem.h"

static void
add_problem(struct buffer *json, const char *line, size_t length)
{
    const char *end = line + length;
    const char *colon = memchr(line, ':', length);
    const char *message = colon != NULL && colon + 2 <= end ? colon + 2 : line;
    const char *type = end;

    if (length > 0 && end[-1] == ']')
        while (type > message && *type != '[')
            type--;
    buffer_text(json, "{\"loc\":[\"body\"");
    if (colon != NULL && colon > line) {
        buffer_text(json, ",");
        buffer_json_string(json, line, (size_t)(colon - line));
    }
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
problem_list(struct buffer *json, const char *detail)
{
    const char *separator = "";

    buffer_text(json, "{\"detail\":[");
    while (*detail != '\0') {
        size_t length = strcspn(detail, "\n");

        buffer_text(json, separator);
        add_problem(json, detail, length);
        separator = ",";
        detail += length + (detail[length] == '\n');
    }
    buffer_text(json, "]}");
}
