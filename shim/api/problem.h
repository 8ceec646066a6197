/* SPDX-License-Identifier: MIT
 *
 * problem.h: the list of a 422, as FastAPI's clients know it.
 */
#ifndef SHIM_API_PROBLEM_H
#define SHIM_API_PROBLEM_H

#include "api/routes.h"
#include "base/buffer.h"

/*
 * Add {"detail":[{"loc":["body","field"],"msg":"message","type":"type"},...]} for the lines of an
 * error's DETAIL, each "field: message [type]"; the route tells where the field was given.
 */
void problem_list(struct buffer *json, const struct route *route, const char *detail);

#endif
