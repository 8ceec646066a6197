/* SPDX-License-Identifier: MIT
 *
 * docs.h: the page /docs: ours, around a viewer's files from a folder.
 */
#ifndef SHIM_PAGES_DOCS_H
#define SHIM_PAGES_DOCS_H

#include <stdbool.h>

#include "http/http.h"

/* Open the viewer's files; where one is missing, /docs says how to get them. */
void docs_open(const char *folder);
void docs_close(void);

/* Answer a request for the page or one of its files; false where it is for something else. */
bool docs_respond(const struct http_request *request, struct http_response *response);

#endif
