/* SPDX-License-Identifier: MIT
 *
 * router.h: finding a request's row in the table.
 */
#ifndef SHIM_API_ROUTER_H
#define SHIM_API_ROUTER_H

#include "api/routes.h"

/*
 * The route for this request; NULL, and allow filled with the methods that there are, or left
 * empty where the path is unknown.  HEAD finds GET's.  with_rpc: among those too that call functions of
 * the application's.
 */
const struct route *route_find(const char *method, const char *path, bool with_rpc, char *allow,
                               size_t allow_size);

/* The same route for another kind of body; NULL where there is none. */
const struct route *route_for_body(const struct route *route, enum route_body body);

/*
 * What a path that fits the route has in the place of this name, as it was sent; NULL where the
 * route has no such place.
 */
const char *route_path_value(const struct route *route, const char *path, const char *name,
                             size_t *length);

/* Whether a specification is that of the field of this name, also by its other name. */
bool field_is_named(const struct field *field, const char *name, size_t length);

#endif
