/* SPDX-License-Identifier: MIT
 *
 * framing.c: framing_problem, with heads parsed as civetweb 1.15 and 1.16 do it: in place, with a NUL where
 * a word ends, and dropping what they do not understand.  A head that is let through is one that a strict
 * reading of RFC 9112 takes too, with as many lines, and not more than one Content-Length.
 */
#include <civetweb.h>
#include <strings.h>

#include "http/framing.h"
#include "fuzz.h"

#define HEAD_MAX 16384

/* civetweb has one buffer for each thread, and what stands before it is the allocator's. */
static char memory[8 + HEAD_MAX];
static char *const buffer = memory + 8;

/* ---- As civetweb reads it --------------------------------------------------------------------- */

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static char *
skip_spaces(char *at)
{
    while (is_space(*at))
        at++;
    return at;
}

/* A word up to a blank, of which the first becomes NUL, and all blanks behind it are skipped. */
static char *
take_word(char **at)
{
    char *word = *at;

    while (**at > ' ' && **at < 0x7F)
        (*at)++;
    if (*at == word || **at != ' ')
        return NULL;
    *(*at)++ = '\0';
    while (**at == ' ')
        *(*at)++ = '\0';
    return word;
}

/* The rest of a line, whose end becomes NUL. */
static char *
take_line(char **at)
{
    char *line = *at;

    while ((unsigned char)**at >= ' ' || **at == '\t')
        (*at)++;
    if (**at == '\r')
        *(*at)++ = '\0';
    if (**at == '\n') {
        *(*at)++ = '\0';
        return line;
    }
    return NULL;
}

static void
parse_headers(char *at, struct mg_request_info *request)
{
    request->num_headers = 0;
    while (request->num_headers < MG_MAX_HEADERS) {
        struct mg_header *header = &request->http_headers[request->num_headers];
        char *name = at;

        while (*at != ':' && *at > ' ' && *at < 0x7F)
            at++;
        if (at == name)
            return;
        if (*at == ' ')
            while (*at == ' ')
                *at++ = '\0';
        if (*at != ':')
            return;
        *at++ = '\0';
        while (*at == ' ' || *at == '\t')
            at++;
        header->name = name;
        header->value = at;
        if (take_line(&at) == NULL)
            return;
        request->num_headers++;
        if (*at == '\r' || *at == '\n')
            return;
    }
}

static bool
parse(struct mg_request_info *request)
{
    char *at = skip_spaces(buffer);
    char *end = strstr(at, "\r\n\r\n");
    char *query;
    char *target;

    /* White space before the head is not counted: then this is another end than that of the head. */
    if (end == NULL)
        return false;
    end[3] = '\0';
    request->request_method = take_word(&at);
    target = request->request_method ? take_word(&at) : NULL;
    if (target == NULL || strncmp(at, "HTTP/", 5) != 0)
        return false;
    request->request_uri = target;
    query = strchr(target, '?');
    if (query != NULL) {
        *query = '\0';
        request->query_string = query + 1;
    }
    at += 5;
    request->http_version = take_line(&at);
    if (request->http_version == NULL ||
        (strcmp(request->http_version, "1.0") != 0 && strcmp(request->http_version, "1.1") != 0))
        return false;
    parse_headers(at, request);
    return true;
}

/* ---- As it should be read ---------------------------------------------------------------------- */

static bool
is_field_name(const char *from, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++)
        if (from[i] <= ' ' || from[i] >= 0x7F || from[i] == ':')
            return false;
    return size > 0;
}

/* Whether all lines of the head are "name: value" up to the empty one; how many, and what they say. */
static bool
is_strict(const char *head, size_t length, int *count, int *content_lengths, bool *is_chunked)
{
    const char *end = head + length;
    const char *line = memmem(head, length, "\r\n", 2);

    *count = *content_lengths = 0;
    *is_chunked = false;
    for (line = line ? line + 2 : end; line < end; (*count)++) {
        const char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
        const char *colon = stop ? memchr(line, ':', (size_t)(stop - line)) : NULL;

        if (stop == line)
            return stop + 2 == end;
        if (colon == NULL || !is_field_name(line, (size_t)(colon - line)) ||
            memchr(line, '\n', (size_t)(stop - line)) != NULL)
            return false;
        *content_lengths += colon - line == 14 && strncasecmp(line, "Content-Length", 14) == 0;
        *is_chunked |= colon - line == 17 && strncasecmp(line, "Transfer-Encoding", 17) == 0;
        line = stop + 2;
    }
    return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mg_request_info request = {0};
    const char *end = size >= 4 ? memmem(data, size, "\r\n\r\n", 4) : NULL;
    size_t length = end != NULL ? (size_t)(end + 4 - (const char *)data) : 0;
    char *copy;
    int count;
    int content_lengths;
    int status;
    bool is_chunked;

    /* A head is what ends at the first empty line; NULs civetweb refuses before that. */
    if (length == 0 || size >= HEAD_MAX || memchr(data, '\0', length) != NULL)
        return 0;
    /* Behind it may be what another client's request has left. */
    memcpy(buffer, data, size);
    buffer[size] = '\0';
    copy = text_of(data, length);
    if (parse(&request) && framing_problem(&request, &status) == NULL) {
        REQUIRE(is_strict(copy, length, &count, &content_lengths, &is_chunked));
        REQUIRE(count == request.num_headers && count < MG_MAX_HEADERS);
        REQUIRE(content_lengths <= 1 && !is_chunked);
    }
    free(copy);
    return 0;
}
