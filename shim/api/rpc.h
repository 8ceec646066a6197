/* SPDX-License-Identifier: MIT
 *
 * rpc.h: calls of the application's functions: parameters of their statements, and what is said of them in
 * the OpenAPI document.
 */
#ifndef SHIM_API_RPC_H
#define SHIM_API_RPC_H

#include "api/parameters.h"
#include "api/routes.h"
#include "config/config.h"
#include "database/database.h"
#include "http/http.h"

/* Fill in the parameters of auth._rpc for this request; as parameters_fill. */
bool rpc_parameters(struct parameters *parameters, const struct config *config,
                    const struct route *route, const struct http_request *request);

/*
 * Ask the database for the members that the functions make in the document's paths: each with a ',' before
 * it.  The statement has an id of its own.  Whoever comes while another asks waits, and all who have waited
 * share the next answer: a crowd costs two.  The result is the caller's until rpc_described.
 */
const struct db_result *rpc_describe(struct db_pool *pool, const struct config *config,
                                     int statement_id);
void rpc_described(void);

#endif
