/* SPDX-License-Identifier: MIT
 *
 * form.c: see form.h.  Decoding is that of the URL standard's parser: '+' is a blank, and a '%'
 * without two hexadecimal digits stands for itself.
 */
#include <stdlib.h>
#include <string.h>

#include "form.h"

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void
add_decoded(struct buffer *json, const char *from, size_t length)
{
    char *decoded = malloc(length + 1);
    size_t size = 0;
    size_t i;

    if (decoded == NULL) {
        json->failed = true;
        return;
    }
    for (i = 0; i < length; i++) {
        if (from[i] == '%' && length - i > 2 && hex_value(from[i + 1]) >= 0 &&
            hex_value(from[i + 2]) >= 0) {
            decoded[size++] = (char)(hex_value(from[i + 1]) * 16 + hex_value(from[i + 2]));
            i += 2;
        } else
            decoded[size++] = from[i] == '+' ? ' ' : from[i];
    }
    buffer_json_string(json, decoded, size);
    free(decoded);
}

void
form_to_json(struct buffer *json, const char *form, size_t length)
{
    const char *end = form + length;
    const char *separator = "";

    buffer_text(json, "{");
    while (form < end) {
        const char *stop = memchr(form, '&', (size_t)(end - form));
        const char *equals;

        if (stop == NULL)
            stop = end;
        equals = memchr(form, '=', (size_t)(stop - form));
        if (equals == NULL)
            equals = stop;
        if (stop > form) {
            buffer_text(json, separator);
            add_decoded(json, form, (size_t)(equals - form));
            buffer_text(json, ":");
            if (equals < stop)
                add_decoded(json, equals + 1, (size_t)(stop - equals - 1));
            else
                buffer_text(json, "\"\"");
            separator = ",";
        }
        form = stop + 1;
    }
    buffer_text(json, "}");
}
