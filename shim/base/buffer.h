/* SPDX-License-Identifier: MIT
 *
 * buffer.h: text that grows.  Out of memory is remembered, not reported at each call: check
 * buffer_ok once at the end.
 */
#ifndef SHIM_BASE_BUFFER_H
#define SHIM_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data; /* always NUL-terminated once something was added */
    size_t length;
    size_t size;
    bool failed;
};

void buffer_add(struct buffer *buffer, const char *data, size_t length);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_json_string(struct buffer *buffer, const char *data, size_t length);
bool buffer_ok(const struct buffer *buffer);
void buffer_free(struct buffer *buffer);

#endif
