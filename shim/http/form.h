/* SPDX-License-Identifier: MIT
 *
 * form.h: application/x-www-form-urlencoded, of bodies and of query strings.
 */
#ifndef SHIM_HTTP_FORM_H
#define SHIM_HTTP_FORM_H

#include <stddef.h>

#include "base/buffer.h"

/* A pair as it was sent; value is "" where there is no '='. */
struct form_pair {
    const char *name;
    size_t name_length;
    const char *value;
    size_t value_length;
};

/* The next pair that is not empty; moves *form behind it.  False at the end. */
bool form_next(const char **form, const char *end, struct form_pair *pair);

/*
 * Add the decoded bytes: a '%' without two hexadecimal digits stands for itself, as in the URL
 * standard's parser.  '+' is a blank in forms, and itself in paths.
 */
void form_decode(struct buffer *text, const char *from, size_t length, bool plus_is_blank);

/*
 * Add the form's fields as a JSON object, so that a route has one way to take its arguments.  A
 * field that is there twice is there twice again.
 */
void form_to_json(struct buffer *json, const char *form, size_t length);

#endif
