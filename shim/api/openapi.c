/* SPDX-License-Identifier: MIT
 *
 * openapi.c: see openapi.h.  Nothing is said here of a single route: that is in routes.c.
 */
#include <ctype.h>
#include <string.h>

#include "api/openapi.h"
#include "api/openapi_parts.h"
#include "api/routes.h"
#include "base/buffer.h"

static struct buffer document;
static size_t paths_end; /* where more paths belong in it */
static struct buffer rpc_errors;

/* An operation's id: the method and the path, as one word. */
static void
add_operation_id(struct buffer *json, const struct route *route)
{
    const char *c;

    buffer_text(json, "\"operationId\":\"");
    for (c = route->method; *c != '\0'; c++)
        buffer_format(json, "%c", tolower((unsigned char)*c));
    for (c = route->path; *c != '\0'; c++)
        buffer_format(json, "%c", isalnum((unsigned char)*c) ? *c : '_');
    buffer_text(json, "\"");
}

/* An operation's tag: the first segment of its path, where there are more. */
static void
add_tag(struct buffer *json, const struct route *route)
{
    size_t length = strcspn(route->path + 1, "/");
    bool is_group = strncmp(route->path, "/auth/", 6) == 0 ||
                    strncmp(route->path, "/users", 6) == 0 ||
                    strncmp(route->path, "/admin/", 7) == 0;

    buffer_text(json, ",\"tags\":[");
    if (is_group)
        buffer_json_string(json, route->path + 1, length);
    else
        buffer_text(json, "\"service\"");
    buffer_text(json, "]");
}

static void
add_operation(struct buffer *json, const struct route *route)
{
    const char *c;

    buffer_text(json, "\"");
    for (c = route->method; *c != '\0'; c++)
        buffer_format(json, "%c", tolower((unsigned char)*c));
    buffer_text(json, "\":{");
    add_operation_id(json, route);
    add_tag(json, route);
    buffer_text(json, ",\"summary\":");
    openapi_add_string(json, route->summary);
    if (route->description != NULL) {
        buffer_text(json, ",\"description\":");
        openapi_add_string(json, route->description);
    }
    buffer_text(json, route->access == ROUTE_ANYONE
                          ? ",\"security\":[]"
                          : ",\"security\":[{\"password\":[]},{\"bearer\":[]}]");
    openapi_add_parameters(json, route);
    openapi_add_request_body(json, route);
    openapi_add_responses(json, route);
    buffer_text(json, "}");
}

/* The first row of this row's path, and of its method too where that is asked for. */
static size_t
first_row(size_t row, bool of_method)
{
    size_t i;

    for (i = 0; i < row; i++)
        if (strcmp(routes[i].path, routes[row].path) == 0 &&
            (!of_method || strcmp(routes[i].method, routes[row].method) == 0))
            break;
    return i;
}

static void
add_paths(struct buffer *json)
{
    const char *separator = "";
    size_t i;
    size_t j;

    buffer_text(json, ",\"paths\":{");
    for (i = 0; i < route_count; i++) {
        if (first_row(i, false) != i || routes[i].is_rpc)
            continue;
        buffer_format(json, "%s\"%s\":{", separator, routes[i].path);
        separator = "";
        for (j = i; j < route_count; j++) {
            if (first_row(j, false) != i || first_row(j, true) != j)
                continue;
            buffer_text(json, separator);
            add_operation(json, &routes[j]);
            separator = ",";
        }
        buffer_text(json, "}");
        separator = ",";
    }
    paths_end = json->length;
    buffer_text(json, "}");
}

bool
openapi_build(void)
{
    struct buffer *json = &document;

    buffer_text(json,
                "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"auth_service\",\"version\":"
                "\"" AUTH_SERVICE_VERSION "\",\"description\":\"Authentication inside PostgreSQL. "
                "HEAD works where GET does. A path that is not here answers 404, and a method that "
                "is not here 405 with the header Allow, both with the schema Error.\","
                "\"license\":{\"name\":\"MIT\",\"identifier\":\"MIT\"}},"
                "\"servers\":[{\"url\":\"/\"}],\"tags\":["
                "{\"name\":\"auth\",\"description\":\"Accounts and sessions\"},"
                "{\"name\":\"users\",\"description\":\"Users; the lists are for admins\"},"
                "{\"name\":\"admin\",\"description\":\"For admins; others are told 404\"},"
                "{\"name\":\"rpc\",\"description\":\"The application's functions\"},"
                "{\"name\":\"service\",\"description\":\"The service itself\"}]");
    add_paths(json);
    buffer_text(json, ",\"components\":{");
    openapi_add_schemas(json);
    buffer_text(json, ",");
    openapi_add_response_components(json);
    buffer_text(json, ",\"securitySchemes\":{\"password\":{\"type\":\"oauth2\",\"description\":"
                      "\"E-mail address and password; client_id and client_secret stay empty\","
                      "\"flows\":{\"password\":{\"tokenUrl\":\"/auth/login\",\"scopes\":{}}}},"
                      "\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
                      "\"bearerFormat\":\"JWT\",\"description\":\"An access token\"}}}}");
    openapi_add_rpc_errors(&rpc_errors);
    return buffer_ok(json) && buffer_ok(&rpc_errors);
}

const struct buffer *
openapi_document(void)
{
    return &document;
}

const char *
openapi_rpc_errors(void)
{
    return rpc_errors.data;
}

void
openapi_with_paths(struct buffer *json, const char *paths, size_t length)
{
    buffer_add(json, document.data, paths_end);
    buffer_add(json, paths, length);
    buffer_text(json, document.data + paths_end);
}
