/* SPDX-License-Identifier: MIT
 *
 * problem.h: the list of a 422, as FastAPI's clients know it.
 */
#ifndef SHIM_PROBLEM_H
#define SHIM_PROBLEM_H

#include "buffer.h"

/*
 * Add {"detail":[{"loc":["body","field"],"msg":"message","type":"type"},...]} for the lines of an
 * error's DETAIL, each "field: message [type]".
 */
void problem_list(struct buffer *json, const char *detail);

#endif
