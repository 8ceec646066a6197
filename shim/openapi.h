/* SPDX-License-Identifier: MIT
 *
 * openapi.h: the OpenAPI 3.1 document, made of the table of routes.
 */
#ifndef SHIM_OPENAPI_H
#define SHIM_OPENAPI_H

#include "buffer.h"

/* Put the document together, once, before there are threads; false out of memory. */
bool openapi_build(void);

/* The document, in JSON. */
const struct buffer *openapi_document(void);

#endif
