/* SPDX-License-Identifier: MIT
 *
 * parameters.c: see parameters.h.  The order is that at the head of routes.c.  Nothing is checked
 * here: auth._arguments does that, after the database has seen who is asking.
 */
#include <ctype.h>
#include <string.h>

#include "api/parameters.h"
#include "api/router.h"
#include "api/routes.h"
#include "base/buffer.h"
#include "http/form.h"
#include "http/http.h"

/* U+FFFD in UTF-8 */
#define REPLACEMENT "\xEF\xBF\xBD"

/* ---- Path, query and header ------------------------------------------------------------- */

/* Add bytes, but for each NUL, which no text in the database can have, the character for what is none. */
static void
add_without_nul(struct buffer *text, const char *value, size_t length)
{
    const char *end = value + length;

    buffer_add(text, "", 0); /* so that there is a text, if an empty one */
    while (value < end) {
        size_t part = strnlen(value, (size_t)(end - value));

        buffer_add(text, value, part);
        value += part;
        if (value < end) {
            buffer_text(text, REPLACEMENT);
            value++;
        }
    }
}

void
parameters_decode(struct buffer *text, const char *value, size_t length, bool plus_is_blank)
{
    struct buffer decoded = {0};

    form_decode(&decoded, value, length, plus_is_blank);
    if (buffer_ok(&decoded))
        add_without_nul(text, decoded.data, decoded.length);
    else
        text->failed = true;
    buffer_free(&decoded);
}

/* Add a member to the JSON object. */
static void
add_member(struct buffer *json, const struct field *field, const struct buffer *text)
{
    buffer_text(json, json->length == 0 ? "{" : ",");
    buffer_json_string(json, field->specification, strcspn(field->specification, "|:(!"));
    buffer_text(json, ":");
    buffer_json_string(json, text->data ? text->data : "", text->length);
    json->failed |= text->failed;
}

static void
add_decoded(struct buffer *json, const struct field *field, const char *value, size_t length,
            bool plus_is_blank)
{
    struct buffer text = {0};

    parameters_decode(&text, value, length, plus_is_blank);
    add_member(json, field, &text);
    buffer_free(&text);
}

static void
add_header(struct buffer *json, const struct field *field, const char *value)
{
    struct buffer text = {0};

    buffer_text(&text, value);
    add_member(json, field, &text);
    buffer_free(&text);
}

/* The field that the query calls so; NULL: none. */
static const struct field *
query_field(const struct route *route, const char *name, size_t length)
{
    int i;

    for (i = 0; i < ROUTE_FIELDS_MAX && route->fields[i].specification != NULL; i++)
        if (route->fields[i].place == IN_QUERY && field_is_named(&route->fields[i], name, length))
            return &route->fields[i];
    return NULL;
}

/* All that the query has for the route's fields: _arguments refuses more than one value. */
static void
add_query(struct buffer *json, const struct route *route, const char *query)
{
    const char *end = query + strlen(query);
    struct form_pair pair;

    while (form_next(&query, end, &pair)) {
        const struct field *field = NULL;
        struct buffer name = {0};

        form_decode(&name, pair.name, pair.name_length, true);
        if (buffer_ok(&name))
            field = query_field(route, name.data, name.length);
        else
            json->failed = true;
        if (field != NULL)
            add_decoded(json, field, pair.value, pair.value_length, true);
        buffer_free(&name);
    }
}

static void
add_from_path(struct buffer *json, const struct field *field, const struct route *route,
              const char *path)
{
    char name[64] = "";
    const char *value;
    size_t length;

    strncat(name, field->specification, strcspn(field->specification, "|:(!"));
    value = route_path_value(route, path, name, &length);
    if (value != NULL)
        add_decoded(json, field, value, length, false);
}

static void
add_values(struct buffer *json, const struct route *route, const struct http_request *request)
{
    int i;

    if (request->query != NULL)
        add_query(json, route, request->query);
    for (i = 0; i < ROUTE_FIELDS_MAX && route->fields[i].specification != NULL; i++) {
        const struct field *field = &route->fields[i];

        if (field->place == IN_PATH)
            add_from_path(json, field, route, request->path);
        else if (field->place == IN_HEADER && request->idempotency_key != NULL)
            add_header(json, field, request->idempotency_key);
    }
    buffer_text(json, json->length == 0 ? "{}" : "}");
}

/* ---- All of them ------------------------------------------------------------------------ */

/* Add the specifications of the body's fields, or of the others, as an array of PostgreSQL's. */
static bool
add_specifications(struct buffer *array, const struct route *route, bool of_body)
{
    int i;

    for (i = 0; i < ROUTE_FIELDS_MAX && route->fields[i].specification != NULL; i++)
        if ((route->fields[i].place == IN_BODY) == of_body)
            buffer_format(array, "%s\"%s\"", array->length == 0 ? "{" : ",",
                          route->fields[i].specification);
    if (array->length == 0)
        return false;
    buffer_text(array, "}");
    return true;
}

const char *
parameters_json_body(const struct http_request *request)
{
    return memchr(request->body, '\0', request->body_length) == NULL ? request->body : "{";
}

static const char *
body_json(struct buffer *json, const struct route *route, const struct http_request *request)
{
    if (route->body != ROUTE_FORM)
        return parameters_json_body(request);
    form_to_json(json, request->body, request->body_length);
    return json->data;
}

/* The client's name for itself, cut, in ASCII: a byte that is no UTF-8 must not fail the login. */
static void
copy_user_agent(const char *user_agent, char *copy)
{
    size_t i;

    for (i = 0; i < USER_AGENT_MAX && user_agent[i] != '\0'; i++)
        copy[i] = isascii((unsigned char)user_agent[i]) ? user_agent[i] : '?';
    copy[i] = '\0';
}

static void
add_value(struct parameters *parameters, const char *value)
{
    parameters->values[parameters->count++] = value;
}

void
parameters_origin(struct parameters *parameters, const struct http_request *request)
{
    parameters->origin.address = request->remote_address;
    parameters->origin.request_id = request->id;
    parameters->origin.came = request->came;
    if (request->user_agent != NULL) {
        copy_user_agent(request->user_agent, parameters->user_agent);
        parameters->origin.user_agent = parameters->user_agent;
    }
}

bool
parameters_fill(struct parameters *parameters, const struct route *route,
                const struct http_request *request)
{
    struct buffer *texts = parameters->texts;
    size_t i;

    parameters_origin(parameters, request);
    if (add_specifications(&texts[0], route, true)) {
        add_value(parameters, body_json(&texts[1], route, request));
        add_value(parameters, texts[0].data);
    }
    if (add_specifications(&texts[2], route, false)) {
        add_values(&texts[3], route, request);
        add_value(parameters, texts[3].data);
        add_value(parameters, texts[2].data);
    }
    for (i = 0; i < sizeof(parameters->texts) / sizeof(texts[0]); i++)
        if (texts[i].failed)
            return false;
    return true;
}

void
parameters_free(struct parameters *parameters)
{
    size_t i;

    for (i = 0; i < sizeof(parameters->texts) / sizeof(parameters->texts[0]); i++)
        buffer_free(&parameters->texts[i]);
}

void
header_name(struct buffer *text, const char *field, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++) {
        char c = field[i] == '_'                 ? '-'
                 : i == 0 || field[i - 1] == '_' ? (char)toupper((unsigned char)field[i])
                                                 : field[i];

        buffer_add(text, &c, 1);
    }
}
