/* SPDX-License-Identifier: MIT
 *
 * openapi_parts.h: what openapi.c puts the document together of.
 */
#ifndef SHIM_API_OPENAPI_PARTS_H
#define SHIM_API_OPENAPI_PARTS_H

#include "api/routes.h"
#include "base/buffer.h"

/* Add a string of JSON from text that ends with a NUL. */
void openapi_add_string(struct buffer *json, const char *text);

/* openapi_schemas.c: the member components.schemas, the bodies of answers. */
void openapi_add_schemas(struct buffer *json);

/* Add the schema of a type, written as in openapi_schemas.c. */
void openapi_add_type(struct buffer *json, const char *type, size_t length);

/* openapi_fields.c: an operation's members parameters and requestBody, each with a ',' before it. */
void openapi_add_parameters(struct buffer *json, const struct route *route);
void openapi_add_request_body(struct buffer *json, const struct route *route);

/* openapi_responses.c: an operation's member responses; and the components that it refers to. */
void openapi_add_responses(struct buffer *json, const struct route *route);
void openapi_add_response_components(struct buffer *json);
void openapi_add_rpc_errors(struct buffer *json);

#endif
