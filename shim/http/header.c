/* SPDX-License-Identifier: MIT
 *
 * header.c: see header.h.
 */
#include <string.h>
#include <strings.h>

#include "http/header.h"
#include "http/http.h"

const char *
header_bearer_token(const char *authorization, bool *is_bearer)
{
    const char *token;

    *is_bearer = authorization != NULL && strncasecmp(authorization, "Bearer ", 7) == 0 &&
                 authorization[7] != '\0';
    if (!*is_bearer)
        return NULL;
    token = authorization + 7;
    return token[strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                               "-._~+/=")] == '\0'
               ? token
               : NULL;
}

/* Whether this parameter of a media type, if it is its charset, is UTF-8. */
static bool
is_utf8(const char *parameter, size_t length)
{
    static const char *const good[] = {"charset=utf-8", "charset=\"utf-8\""};

    return length < 8 || strncasecmp(parameter, "charset=", 8) != 0 ||
           (length == strlen(good[0]) && strncasecmp(parameter, good[0], length) == 0) ||
           (length == strlen(good[1]) && strncasecmp(parameter, good[1], length) == 0);
}

bool
header_has_member(const char *value, const char *member)
{
    size_t length = strlen(member);

    for (value += strspn(value, ", \t"); *value != '\0'; value += strspn(value, ", \t")) {
        size_t word = strcspn(value, ", \t");

        if (word == length && strncasecmp(value, member, length) == 0)
            return true;
        value += word;
    }
    return false;
}

bool
header_is_media_type(const char *content_type, const char *media_type)
{
    size_t length = strlen(media_type);
    const char *rest;

    if (content_type == NULL || strncasecmp(content_type, media_type, length) != 0)
        return false;
    rest = content_type + length;
    for (rest += strspn(rest, " \t"); *rest == ';'; rest += strspn(rest, " \t")) {
        rest += 1 + strspn(rest + 1, " \t");
        length = strcspn(rest, "; \t");
        if (!is_utf8(rest, length))
            return false;
        rest += length;
    }
    return *rest == '\0';
}

bool
header_is_request_id(const char *given)
{
    return given[0] != '\0' && strlen(given) <= HTTP_REQUEST_ID_MAX &&
           given[strspn(given, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                               "-_.")] == '\0';
}
