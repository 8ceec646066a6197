/* SPDX-License-Identifier: MIT
 *
 * rpc.c: see rpc.h.
 */
#include <pthread.h>
#include <string.h>

#include "api/openapi.h"
#include "api/parameters.h"
#include "api/router.h"
#include "api/routes.h"
#include "api/rpc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "config/config.h"
#include "database/database.h"
#include "http/form.h"
#include "http/http.h"

/* All of the query as a JSON object of texts; _rpc refuses a name that is there twice. */
static void
query_to_json(struct buffer *json, const char *query)
{
    const char *end = query + strlen(query);
    const char *separator = "{";
    struct form_pair pair;

    while (form_next(&query, end, &pair)) {
        struct buffer name = {0};
        struct buffer value = {0};

        parameters_decode(&name, pair.name, pair.name_length, true);
        parameters_decode(&value, pair.value, pair.value_length, true);
        buffer_text(json, separator);
        buffer_json_string(json, name.data ? name.data : "", name.length);
        buffer_text(json, ":");
        buffer_json_string(json, value.data ? value.data : "", value.length);
        json->failed |= name.failed || value.failed;
        buffer_free(&name);
        buffer_free(&value);
        separator = ",";
    }
    buffer_text(json, *separator == '{' ? "{}" : "}");
}

bool
rpc_parameters(struct parameters *parameters, const struct config *config,
               const struct route *route, const struct http_request *request)
{
    struct buffer *texts = parameters->texts;
    size_t length = 0;
    const char *name = route_path_value(route, request->path, "function", &length);

    parameters_origin(parameters, request);
    parameters_decode(&texts[0], name ? name : "", length, false);
    if (route->body == ROUTE_NO_BODY)
        query_to_json(&texts[1], request->query ? request->query : "");
    else if (request->body_length == 0)
        buffer_text(&texts[1], "{}");
    parameters->values[0] = config->rpc_schema;
    parameters->values[1] = texts[0].data;
    parameters->values[2] = texts[1].data != NULL ? texts[1].data : parameters_json_body(request);
    parameters->values[3] = config->rpc_anonymous_role;
    parameters->count = 4;
    return !texts[0].failed && !texts[1].failed;
}

/* ---- The document ----------------------------------------------------------------------- */

/* Debian 12's and 13's formatters do not agree on strings between macros. */
/* clang-format off */

#define EQ " OPERATOR(pg_catalog.=) "
#define NE " OPERATOR(pg_catalog.<>) "

/* Of several schemas, one for what is any of them. */
#define ANY_OF(schema)                                                                             \
    "CASE pg_catalog.count(DISTINCT " schema ") WHEN 1 THEN pg_catalog.min(" schema ")"            \
    " ELSE pg_catalog.concat('{\"anyOf\":[', pg_catalog.string_agg(DISTINCT " schema ", ','), ']}')" \
    " END"

/*
 * The operations: overloads share a path, and those that can be read a GET.  $1 is the schema, $2 the
 * anonymous role, $3 the errors.
 */
static const char describe_sql[] =
    "WITH f AS MATERIALIZED (SELECT r.name, r.arguments, r.arguments::pg_catalog.text AS input,"
    " r.result::pg_catalog.text AS output, r.reads, r.is_anonymous,"
    " pg_catalog.count(*) FILTER (WHERE r.reads) OVER (PARTITION BY r.name) AS readable,"
    " pg_catalog.obj_description(r.id, 'pg_proc') AS comment FROM auth._rpc_functions($1, $2) r),"
    /* What a GET takes: every argument of those that it can call, as text. */
    " q AS (SELECT p.name, pg_catalog.concat('\"parameters\":[', pg_catalog.string_agg(pg_catalog.format("
    "'{\"name\":%s,\"in\":\"query\",\"required\":%s,\"schema\":%s}', pg_catalog.to_json(p.key),"
    " CASE WHEN p.needed THEN 'true' ELSE 'false' END, p.schema), ',' ORDER BY p.key), ']') AS input"
    " FROM (SELECT f.name, a.key, pg_catalog.bool_and(pg_catalog.jsonb_exists("
    "pg_catalog.jsonb_extract_path(f.arguments::pg_catalog.jsonb, 'required'), a.key))"
    " AND pg_catalog.count(*)" EQ "pg_catalog.min(f.readable) AS needed,"
    " pg_catalog.min(CASE WHEN pg_catalog.json_extract_path_text(a.value, 'type', '0')"
    " IN ('string', 'integer', 'number', 'boolean') THEN a.value::pg_catalog.text"
    " ELSE '{\"type\":\"string\"}' END) AS schema"
    " FROM f, pg_catalog.json_each(pg_catalog.json_extract_path(f.arguments, 'properties')) a"
    " WHERE f.reads GROUP BY f.name, a.key) p GROUP BY p.name),"
    " m AS (SELECT f.*, 'post' AS method FROM f UNION ALL SELECT f.*, 'get' FROM f WHERE f.reads),"
    " o AS (SELECT m.name, m.method, pg_catalog.format("
    "'%s:{\"operationId\":%s,\"tags\":[\"rpc\"],\"summary\":%s,\"security\":[%s{\"password\":[]},"
    "{\"bearer\":[]}],%s,\"responses\":{%s%s%s}}',"
    " pg_catalog.to_json(m.method), pg_catalog.to_json(pg_catalog.concat(m.method, '_rpc_', m.name)),"
    " pg_catalog.to_json(COALESCE(pg_catalog.string_agg(DISTINCT m.comment, ' / '), m.name)),"
    " CASE WHEN pg_catalog.bool_or(m.is_anonymous) THEN '{},' END,"
    " CASE m.method WHEN 'get' THEN COALESCE(pg_catalog.min(q.input), '\"parameters\":[]')"
    " ELSE pg_catalog.concat('\"requestBody\":{\"required\":true,\"content\":"
    "{\"application/json\":{\"schema\":', " ANY_OF("m.input") ", '}}}') END,"
    " CASE WHEN pg_catalog.count(m.output)" NE "0 THEN pg_catalog.concat('\"200\":{\"description\":\"OK\","
    "\"headers\":{\"X-Request-ID\":{\"$ref\":\"#/components/headers/RequestId\"}},"
    "\"content\":{\"application/json\":{\"schema\":', " ANY_OF("m.output") ", '}}},') END,"
    " CASE WHEN NOT pg_catalog.bool_and(m.output IS NOT NULL) THEN '\"204\":{\"description\":\"Done\","
    "\"headers\":{\"X-Request-ID\":{\"$ref\":\"#/components/headers/RequestId\"}}},' END,"
    " $3::pg_catalog.text) AS operation"
    " FROM m LEFT JOIN q ON q.name" EQ "m.name GROUP BY m.name, m.method)"
    " SELECT COALESCE(pg_catalog.string_agg(p.path, '' ORDER BY p.name), '') FROM (SELECT o.name,"
    " pg_catalog.format(',%s:{%s}', pg_catalog.to_json(pg_catalog.concat('/rpc/', ("
    /* A name in a path, percent-encoded. */
    "SELECT pg_catalog.string_agg(CASE WHEN c.c OPERATOR(pg_catalog.~) '^[A-Za-z0-9_.-]$' THEN c.c"
    " ELSE pg_catalog.upper(pg_catalog.regexp_replace(pg_catalog.encode(pg_catalog.convert_to(c.c, 'UTF8'),"
    " 'hex'), '(..)', '%\\1', 'g')) END, '' ORDER BY c.ordinality)"
    " FROM pg_catalog.regexp_split_to_table(o.name, '') WITH ORDINALITY c (c, ordinality)))),"
    " pg_catalog.string_agg(o.operation, ',' ORDER BY o.method)) AS path FROM o GROUP BY o.name) p";
/* clang-format on */

/* How long the document may take, in milliseconds: others wait behind it. */
#define DESCRIBE_PATIENCE 2000

/* The last answer, and when it was asked for. */
static pthread_mutex_t describing = PTHREAD_MUTEX_INITIALIZER;
static struct db_result described;
static long long described_at = 0;

const struct db_result *
rpc_describe(struct db_pool *pool, const struct config *config, int statement_id)
{
    const struct db_statement statement = {statement_id, describe_sql, 3};
    const char *values[] = {config->rpc_schema, config->rpc_anonymous_role, openapi_rpc_errors()};
    long long came_at = clock_microseconds();

    pthread_mutex_lock(&describing);
    if (described_at <= came_at) {
        described_at = clock_microseconds();
        db_result_free(&described);
        db_call(pool, &(struct db_caller){0}, &statement, values,
                &(struct db_limits){.may_wait = true, .patience = DESCRIBE_PATIENCE}, &described);
    }
    return &described;
}

void
rpc_described(void)
{
    pthread_mutex_unlock(&describing);
}
