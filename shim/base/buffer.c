/* SPDX-License-Identifier: MIT
 *
 * buffer.c: see buffer.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

static bool
make_room(struct buffer *buffer, size_t more)
{
    size_t size = buffer->size ? buffer->size : 256;
    char *data;

    if (buffer->failed)
        return false;
    while (size <= buffer->length + more)
        size *= 2;
    if (size == buffer->size)
        return true;
    data = realloc(buffer->data, size);
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->size = size;
    return true;
}

void
buffer_add(struct buffer *buffer, const char *data, size_t length)
{
    if (!make_room(buffer, length))
        return;
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void
buffer_text(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

void
buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0 || !make_room(buffer, (size_t)length)) {
        buffer->failed = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->length += (size_t)length;
}

/* Add a JSON string (RFC 8259, 7) with its quotes; bytes beyond ASCII go through as they are. */
void
buffer_json_string(struct buffer *buffer, const char *data, size_t length)
{
    size_t i;

    buffer_add(buffer, "\"", 1);
    for (i = 0; i < length; i++) {
        unsigned char c = (unsigned char)data[i];

        if (c == '"' || c == '\\')
            buffer_format(buffer, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            buffer_format(buffer, "\\u%04x", c);
        else
            buffer_add(buffer, data + i, 1);
    }
    buffer_add(buffer, "\"", 1);
}

bool
buffer_ok(const struct buffer *buffer)
{
    return !buffer->failed && buffer->data != NULL;
}

void
buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}
