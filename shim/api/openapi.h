/* SPDX-License-Identifier: MIT
 *
 * openapi.h: the OpenAPI 3.1 document, made of the table of routes.
 */
#ifndef SHIM_API_OPENAPI_H
#define SHIM_API_OPENAPI_H

#include "base/buffer.h"

/* Put the document together, once, before there are threads; false out of memory. */
bool openapi_build(void);

/* The document, in JSON. */
const struct buffer *openapi_document(void);

/* Add the document with more members in its paths, each with a ',' before it. */
void openapi_with_paths(struct buffer *json, const char *paths, size_t length);

/* What calls of the application's functions answer with beyond a result: members of responses. */
const char *openapi_rpc_errors(void);

#endif
