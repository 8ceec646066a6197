/* SPDX-License-Identifier: MIT
 *
 * form.c: see form.h.
 */
#include <string.h>

#include "base/buffer.h"
#include "http/form.h"

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void
form_decode(struct buffer *text, const char *from, size_t length, bool plus_is_blank)
{
    size_t i;

    buffer_add(text, "", 0); /* so that there is a text, if an empty one */
    for (i = 0; i < length; i++) {
        char c = plus_is_blank && from[i] == '+' ? ' ' : from[i];

        if (c == '%' && length - i > 2 && hex_value(from[i + 1]) >= 0 &&
            hex_value(from[i + 2]) >= 0) {
            c = (char)(hex_value(from[i + 1]) * 16 + hex_value(from[i + 2]));
            i += 2;
        }
        buffer_add(text, &c, 1);
    }
}

bool
form_next(const char **form, const char *end, struct form_pair *pair)
{
    while (*form < end) {
        const char *start = *form;
        const char *stop = memchr(start, '&', (size_t)(end - start));
        const char *equals;

        if (stop == NULL)
            stop = end;
        *form = stop < end ? stop + 1 : end;
        if (stop == start)
            continue;
        equals = memchr(start, '=', (size_t)(stop - start));
        pair->name = start;
        pair->name_length = (size_t)((equals ? equals : stop) - start);
        pair->value = equals ? equals + 1 : stop;
        pair->value_length = (size_t)(stop - pair->value);
        return true;
    }
    return false;
}

static void
add_decoded(struct buffer *json, const char *from, size_t length)
{
    struct buffer text = {0};

    form_decode(&text, from, length, true);
    if (buffer_ok(&text))
        buffer_json_string(json, text.data, text.length);
    else
        json->failed = true;
    buffer_free(&text);
}

void
form_to_json(struct buffer *json, const char *form, size_t length)
{
    const char *end = form + length;
    const char *separator = "{";
    struct form_pair pair;

    while (form_next(&form, end, &pair)) {
        buffer_text(json, separator);
        add_decoded(json, pair.name, pair.name_length);
        buffer_text(json, ":");
        add_decoded(json, pair.value, pair.value_length);
        separator = ",";
    }
    buffer_text(json, *separator == '{' ? "{}" : "}");
}
