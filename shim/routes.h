/* SPDX-License-Identifier: MIT
 *
 * routes.h: the table of routes.
 */
#ifndef SHIM_ROUTES_H
#define SHIM_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "db.h"

enum route_access { ROUTE_ANYONE, ROUTE_BEARER };
enum route_body { ROUTE_NO_BODY, ROUTE_JSON, ROUTE_FORM };

/* What goes into a statement's parameters, in order; the first 0 ends the list. */
enum route_parameter { PARAMETER_BODY = 1, PARAMETER_USER_AGENT, PARAMETER_ADDRESS };

struct route {
    const char *method;
    const char *path;
    enum route_access access;
    enum route_body body;
    bool hashes;          /* computes a password's hash */
    bool is_health;       /* any failure is a 503 */
    const char *constant; /* the whole answer, where no database is needed */
    const char *sql;      /* one row, one column: the answer's JSON */
    enum route_parameter parameters[DB_PARAMETERS_MAX];
    struct {
        int status;
        const char *detail;
        const char *code;
    } null; /* the answer where there is no row, or NULL */
};

/* The routes; their number n is their statement's id, from 1. */
extern const struct route routes[];
extern const size_t route_count;

/*
 * The route for this request; NULL, and allow filled with the methods that there are, or left
 * empty where the path is unknown.  HEAD finds GET's.
 */
const struct route *route_find(const char *method, const char *path, char *allow,
                               size_t allow_size);

/* The same route for another kind of body; NULL where there is none. */
const struct route *route_for_body(const struct route *route, enum route_body body);

#endif
