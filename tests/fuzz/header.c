/* SPDX-License-Identifier: MIT
 *
 * header.c: the values of headers, and paths.  A bearer token is of its characters, a request id cannot end
 * a line, and a path's value is a part of the path without a slash.
 */
#include "fuzz.h"
#include "http/header.h"
#include "api/router.h"

static void
check_values(const char *value)
{
    static const char *const types[] = {"application/json", "application/x-www-form-urlencoded"};
    bool is_bearer = false;
    const char *token = header_bearer_token(value, &is_bearer);
    size_t i;

    REQUIRE(token == NULL || is_bearer);
    if (token != NULL) {
        REQUIRE(token == value + 7 && *token != '\0');
        for (i = 0; token[i] != '\0'; i++)
            REQUIRE(token[i] > ' ' && token[i] < 0x7F && token[i] != '"' && token[i] != ',');
    }
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (header_is_media_type(value, types[i]))
            REQUIRE(strlen(value) >= strlen(types[i]) && strpbrk(value, "\r\n,") != value);
    if (header_is_request_id(value)) {
        REQUIRE(strlen(value) >= 1 && strlen(value) <= 64);
        REQUIRE(strpbrk(value, "\r\n\t \"\\<>%") == NULL);
    }
}

static void
check_path(const char *path)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};
    char allow[64];
    size_t i;

    for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        const struct route *route = route_find(methods[i], path, true, allow, sizeof(allow));
        const char *value;
        size_t length = 0;

        REQUIRE(strlen(allow) < sizeof(allow));
        if (route == NULL)
            continue;
        value = route_path_value(route, path, "user_id", &length);
        if (value != NULL) {
            REQUIRE(value > path && value + length <= path + strlen(path) && length > 0);
            REQUIRE(memchr(value, '/', length) == NULL);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *value = text_of(data, size);

    check_values(value);
    check_path(value);
    free(value);
    return 0;
}
