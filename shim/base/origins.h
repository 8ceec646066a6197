/* SPDX-License-Identifier: MIT
 *
 * origins.h: lists of web origins (RFC 6454), as --cors-origins takes them.
 */
#ifndef SHIM_BASE_ORIGINS_H
#define SHIM_BASE_ORIGINS_H

#include <stddef.h>

/* The next origin of a comma-separated list, and its length; NULL: there is none. */
const char *origins_next(const char **list, size_t *length);

/* NULL where each of these is an origin as browsers write it; else what is wrong with which. */
const char *origins_problem(const char *origins, char *which, size_t size);

#endif
