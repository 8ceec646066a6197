/* SPDX-License-Identifier: MIT
 *
 * routes.h: the table of routes, of which requests and the OpenAPI document are made.
 */
#ifndef SHIM_API_ROUTES_H
#define SHIM_API_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#define ROUTE_FIELDS_MAX 10
#define ROUTE_ERRORS_MAX 4

/* ROUTE_CALLER: with a token or without one. */
enum route_access { ROUTE_ANYONE, ROUTE_CALLER, ROUTE_BEARER, ROUTE_ADMIN };
enum route_body { ROUTE_NO_BODY, ROUTE_JSON, ROUTE_FORM };
enum field_place { IN_BODY, IN_PATH, IN_QUERY, IN_HEADER };

/* A value that a route takes. */
struct field {
    const char *specification; /* as auth._arguments takes it; NULL: no field */
    enum field_place place;
    const char *description;
    const char *keywords; /* more of its JSON Schema, or NULL */
};

struct route {
    const char *method;
    const char *path; /* a segment "{name}" is the field of that name in the path */
    const char *summary;
    const char *description; /* more than the summary tells, or NULL */
    enum route_access access;
    enum route_body body;
    struct field fields[ROUTE_FIELDS_MAX];
    bool hashes; /* computes a password's hash */
    bool
        is_brief; /* only reads, a row or two of the caller's, whoever he is: database/database.h */
    bool is_health;       /* any failure is a 503 */
    bool is_rpc;          /* calls a function of the application's: rpc.h */
    const char *constant; /* the whole answer, where no database is needed */
    bool is_document;     /* the same, where it was put together: openapi.h */
    /* One row, one column: the answer's JSON; a second one: X-Refresh-Token-Reuse. */
    const char *sql;
    const char *headers;                  /* of a 200, as in http_response, or NULL */
    const char *null;                     /* the code answered where there is no row, or NULL */
    const char *answer;                   /* the schema of a 200's body */
    bool has_no_body;                     /* the answer is a 204, whatever the value */
    const char *errors[ROUTE_ERRORS_MAX]; /* codes that others of its kind do not answer with */
};

/* The routes; a second row of the same method and path takes another kind of body. */
extern const struct route routes[];
extern const size_t route_count;

#endif
