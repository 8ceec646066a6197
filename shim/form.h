/* SPDX-License-Identifier: MIT
 *
 * form.h: application/x-www-form-urlencoded.
 */
#ifndef SHIM_FORM_H
#define SHIM_FORM_H

#include <stddef.h>

#include "buffer.h"

/*
 * Add the form's fields as a JSON object, so that a route has one way to take its arguments.  A
 * field that is there twice is there twice again.
 */
void form_to_json(struct buffer *json, const char *form, size_t length);

#endif
