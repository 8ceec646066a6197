/* SPDX-License-Identifier: MIT
 *
 * statements.h: the longer statements of the table of routes, and what its statements are made of.
 */
#ifndef SHIM_API_STATEMENTS_H
#define SHIM_API_STATEMENTS_H

/* A JSON object's values, as an array, from these two of the statement's parameters. */
#define ARGUMENTS(values, fields)                                                                  \
    "auth._arguments($" #values ", VARIADIC $" #fields "::pg_catalog.text[])"

/* The token pair for a refresh token and, second, why that was forgiven; no row where it is not good. */
extern const char statement_refresh[];

/* The metadata of RFC 8414; no row where the issuer is no URL. */
extern const char statement_metadata[];

/* A page of users, of deleted users and of the audit log; $1 and $2 are the query's. */
extern const char statement_list_users[];
extern const char statement_deleted_users[];
extern const char statement_audit[];

/* The sessions of whoever asks. */
extern const char statement_sessions[];

#endif
