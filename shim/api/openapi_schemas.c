/* SPDX-License-Identifier: MIT
 *
 * openapi_schemas.c: what the bodies of answers look like.
 *
 * An object is written "member:type member:type ..."; a member whose name ends with '?' may be
 * missing.  A type is string, integer, boolean, time, object, =constant, another schema's name,
 * [array of type] or {object of type}; one that ends with '?' may be null.
 */
#include <string.h>

#include "api/openapi_parts.h"
#include "base/buffer.h"

static const struct {
    const char *name;
    const char *description;
    const char *members;
} schemas[] = {
    {"TokenPair", "expires_in: seconds until the access token expires",
     "access_token:string refresh_token:string token_type:=bearer expires_in:integer"},
    {"Registered", "A new account", "email:string id:integer"},
    {"Identity", "Who is asking", "user_id:string"},
    {"Message", "What was done", "message:string"},
    {"Health", "live, or ready", "status:string"},
    {"Session", "A session; is_current: that of the token that asks",
     "id:string created_at:time last_used_at:time user_agent:string? ip:string? "
     "is_current:boolean"},
    {"Introspection", "What the token is good for (RFC 7662); of one that is not active, no more",
     "active:boolean token_type?:string username?:string role?:Role iss?:string aud?:string"
     " sub?:string sid?:string jti?:string iat?:integer exp?:integer"},
    {"Profile", "A user, as the user sees it; the balance is in minor units",
     "id:integer email:string first_name:string? last_name:string? role:Role is_blocked:boolean"
     " balance:integer created_at:time updated_at:time last_activity_at:time?"},
    {"Balance", "In minor units", "balance:integer"},
    {"NewBalance", "In minor units", "new_balance:integer"},
    {"ListedUser", "A user, as an admin sees it",
     "user_id:integer email:string first_name:string? last_name:string? created_at:time"
     " updated_at:time last_activity_at:time? block:boolean block_at:time? role:Role"
     " balance:integer"},
    {"UserList", "A page of users by their ids; order has the ids in the order asked for",
     "users:{ListedUser} order:[integer] next_cursor:string?"},
    {"DeletedUser", "A deleted user",
     "id:integer email:string first_name:string? last_name:string? role:Role is_blocked:boolean"
     " blocked_at:time? is_deleted:boolean deleted_at:time balance:integer created_at:time"
     " updated_at:time last_activity_at:time?"},
    {"DeletedUserList", "A page of deleted users",
     "deleted_users:[DeletedUser] next_cursor:string?"},
    {"AuditEntry", "What was done, to which user, and who did it from where",
     "id:integer at:time action:string actor_id:integer? user_id:integer? ip:string?"
     " user_agent:string? request_id:string? db_role:string detail:object?"},
    {"AuditLog", "A page of the audit log", "entries:[AuditEntry] next_cursor:string?"},
    {"Key", "A public key: x and y of ES256, x of EdDSA, n and e of RS256",
     "kid:string use:=sig alg:string kty:string crv?:string x?:string y?:string n?:string"
     " e?:string"},
    {"KeySet", "Keys that verify, the newest first", "keys:[Key]"},
    {"Metadata", "What there is of OAuth 2.0",
     "issuer:string jwks_uri:string token_endpoint:string"
     " token_endpoint_auth_methods_supported:[string] grant_types_supported:[string]"
     " response_types_supported:[string] introspection_endpoint:string"
     " revocation_endpoint:string revocation_endpoint_auth_methods_supported:[string]"
     " service_documentation:string"},
    {"Document", "An OpenAPI document", NULL},
    {"Error",
     "code: the SQLSTATE; request_id: under which the service's log has more; details and hint: of "
     "an"
     " error that the application has raised",
     "detail:string code?:string details?:string hint?:string request_id?:string"},
    {"HTTPValidationError", "What is wrong with the values given", "detail:[ValidationError]"},
    {"ValidationError",
     "loc: where the value was given (body, path, query or header), and its name",
     "loc:[string] msg:string type:string"},
};

void
openapi_add_string(struct buffer *json, const char *text)
{
    buffer_json_string(json, text, strlen(text));
}

static void
add_simple_type(struct buffer *json, const char *name, const char *format, bool is_nullable)
{
    buffer_format(json, is_nullable ? "{\"type\":[\"%s\",\"null\"]" : "{\"type\":\"%s\"", name);
    if (format != NULL)
        buffer_format(json, ",\"format\":\"%s\"", format);
    buffer_text(json, "}");
}

void
openapi_add_type(struct buffer *json, const char *type, size_t length)
{
    bool is_nullable = type[length - 1] == '?';
    int size;

    length -= is_nullable;
    size = (int)length;
    if (type[0] == '[' || type[0] == '{') {
        buffer_text(json, type[0] == '[' ? "{\"type\":\"array\",\"items\":"
                                         : "{\"type\":\"object\",\"additionalProperties\":");
        openapi_add_type(json, type + 1, length - 2);
        buffer_text(json, "}");
    } else if (type[0] == '=')
        buffer_format(json, "{\"type\":\"string\",\"const\":\"%.*s\"}", size - 1, type + 1);
    else if (type[0] >= 'A' && type[0] <= 'Z')
        buffer_format(json, "{\"$ref\":\"#/components/schemas/%.*s\"}", size, type);
    else if (strncmp(type, "integer", length) == 0)
        add_simple_type(json, "integer", "int64", is_nullable);
    else if (strncmp(type, "time", length) == 0)
        add_simple_type(json, "string", "date-time", is_nullable);
    else if (strncmp(type, "boolean", length) == 0)
        add_simple_type(json, "boolean", NULL, is_nullable);
    else if (strncmp(type, "object", length) == 0)
        add_simple_type(json, "object", NULL, is_nullable);
    else
        add_simple_type(json, "string", NULL, is_nullable);
}

/* Add the members properties and required. */
static void
add_members(struct buffer *json, const char *members)
{
    struct buffer required = {0};
    const char *separator = "";

    buffer_text(json, ",\"properties\":{");
    while (*members != '\0') {
        size_t name = strcspn(members, "?:");
        const char *type = members + name + strspn(members + name, "?:");
        size_t length = strcspn(type, " ");

        buffer_text(json, separator);
        buffer_json_string(json, members, name);
        buffer_text(json, ":");
        openapi_add_type(json, type, length);
        if (members[name] != '?') {
            buffer_text(&required, required.length == 0 ? "" : ",");
            buffer_json_string(&required, members, name);
        }
        separator = ",";
        members = type + length + strspn(type + length, " ");
    }
    buffer_format(json, "},\"required\":[%s]", buffer_ok(&required) ? required.data : "");
    json->failed |= required.failed;
    buffer_free(&required);
}

void
openapi_add_schemas(struct buffer *json)
{
    size_t i;

    buffer_text(json, "\"schemas\":{\"Role\":{\"type\":\"string\",\"enum\":[\"user\",\"admin\"]}");
    for (i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
        buffer_format(json, ",\"%s\":{\"type\":\"object\",\"description\":", schemas[i].name);
        openapi_add_string(json, schemas[i].description);
        if (schemas[i].members != NULL)
            add_members(json, schemas[i].members);
        buffer_text(json, "}");
    }
    buffer_text(json, "}");
}
