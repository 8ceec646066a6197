/* SPDX-License-Identifier: MIT
 *
 * json.h: reads back the JSON strings that the shim has written.
 */
#ifndef FUZZ_JSON_H
#define FUZZ_JSON_H

#include "base/buffer.h"
#include "fuzz.h"

/*
 * Read the string that begins here into the buffer, emptied before; what is behind it, or NULL where this
 * is no string, or has a control character in it.
 */
static inline const char *
json_read_string(const char *from, struct buffer *text)
{
    buffer_free(text);
    buffer_add(text, "", 0);
    if (*from++ != '"')
        return NULL;
    while (*from != '"') {
        char c = *from++;

        if ((unsigned char)c < 0x20 || c == 0x7F)
            return NULL;
        if (c == '\\') {
            c = *from++;
            if (c == 'u') {
                unsigned int value;

                if (strspn(from, "0123456789abcdef") < 4 || sscanf(from, "%4x", &value) != 1 ||
                    value > 0x7F)
                    return NULL;
                c = (char)value;
                from += 4;
            } else if (c != '"' && c != '\\')
                return NULL;
        }
        buffer_add(text, &c, 1);
    }
    return from + 1;
}

#endif
