/* SPDX-License-Identifier: MIT
 *
 * framing.c: see framing.h.
 *
 * civetweb 1.15 and 1.16 stop reading headers at the 64th, at a folded line and at a line without
 * a name, and drop the rest silently; they take "5abc" for a Content-Length of 5, and the first of
 * two.  With a connection that is used again, the body of such a request becomes the next request
 * (RFC 9112, 11.2).  So a request is let through only where its head was understood to the last
 * byte.  That can be seen: civetweb parses in place and writes a NUL where it ends a word, so the
 * words must stand exactly as far from each other as the grammar of RFC 9112, 3 to 5 has them.
 */
#include <civetweb.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "http/framing.h"

/* Limits in bytes; civetweb's buffer (http.c) is larger. */
#define TARGET_MAX 12288
#define HEAD_MAX   16384

static const char *
end_of(const char *word)
{
    return word + strlen(word);
}

/* "CR LF" became two NULs; after a lone LF there is one. */
static const char *
behind_line_end(const char *end)
{
    return end[0] == '\0' && end[1] == '\0' ? end + 2 : NULL;
}

/*
 * What stands right before the method.  In a clean request that is the allocator's byte, glibc's size
 * of the chunk, of which the highest byte is 0; ours to look at, but not for a sanitizer to allow.
 */
__attribute__((no_sanitize("address", "thread"))) static char
byte_before(const char *method)
{
    return method[-1];
}

/*
 * Whether the head begins where civetweb's buffer does.  civetweb looks for the head's end from the
 * buffer's start, but skips white space before it parses: of "CR LF CR LF" it takes four bytes for
 * the head, and parses what lies behind them, which may be another client's request from before.
 * Each thread has one buffer for its life; where it starts is found out once, by the byte before.
 */
static bool
is_at_start(const struct mg_request_info *request)
{
    static _Thread_local const char *buffer_start;
    const char *method = request->request_method;

    if (buffer_start == NULL) {
        const char before = byte_before(method);

        if (before != '\0' && strchr(" \t\r\n\v\f", before) != NULL)
            return false;
        buffer_start = method;
    }
    return method == buffer_start;
}

/* Method SP target SP "HTTP/1.x": the start of the first header line, or NULL. */
static const char *
behind_request_line(const struct mg_request_info *request)
{
    const char *target_end =
        end_of(request->query_string ? request->query_string : request->request_uri);

    if (!is_at_start(request) || request->request_uri != end_of(request->request_method) + 1 ||
        request->http_version != target_end + 1 + strlen("HTTP/"))
        return NULL;
    return behind_line_end(end_of(request->http_version));
}

/* "name: value": the NUL for the colon directly behind the name, then nothing but blanks. */
static bool
is_clean_line(const struct mg_header *header)
{
    const char *c = end_of(header->name) + 1;

    for (; c < header->value; c++)
        if (*c != ' ' && *c != '\t')
            return false;
    return true;
}

/* Whether all lines were understood: each follows the one before, and the empty line the last. */
static bool
is_whole(const struct mg_request_info *request)
{
    const char *expected = behind_request_line(request);
    int i;

    for (i = 0; i < request->num_headers; i++) {
        if (expected == NULL || request->http_headers[i].name != expected ||
            !is_clean_line(&request->http_headers[i]))
            return false;
        expected = behind_line_end(end_of(request->http_headers[i].value));
    }
    if (expected == NULL)
        return false;
    /* The empty line: CR, and its LF, where civetweb put the NUL that ends the head. */
    return (request->num_headers > 0 ? expected[0] == '\r' : expected[0] == '\0') &&
           expected[1] == '\0';
}

/* How often a header stands there, and its first value. */
static int
count_header(const struct mg_request_info *request, const char *name, const char **value)
{
    int count = 0;
    int i;

    for (i = 0; i < request->num_headers; i++)
        if (strcasecmp(request->http_headers[i].name, name) == 0 && count++ == 0)
            *value = request->http_headers[i].value;
    return count;
}

/* RFC 9112, 3.2: one Host in 1.1, and something that can be one. */
static bool
has_good_host(const struct mg_request_info *request)
{
    const char *host = NULL;
    int count = count_header(request, "Host", &host);

    if (count == 0)
        return strcmp(request->http_version, "1.0") == 0;
    return count == 1 && strpbrk(host, " \t,/?#@\\") == NULL;
}

static bool
has_good_content_length(const struct mg_request_info *request)
{
    const char *length = NULL;
    int count = count_header(request, "Content-Length", &length);

    if (count == 0)
        return true;
    return count == 1 && length[0] != '\0' && strlen(length) <= 18 &&
           length[strspn(length, "0123456789")] == '\0';
}

/* How long a whole head is, but for the last line ends. */
static size_t
head_length(const struct mg_request_info *request)
{
    const char *end = request->num_headers > 0
                          ? end_of(request->http_headers[request->num_headers - 1].value)
                          : end_of(request->http_version);

    return (size_t)(end - request->request_method);
}

static size_t
target_length(const struct mg_request_info *request)
{
    return strlen(request->request_uri) +
           (request->query_string ? strlen(request->query_string) : 0);
}

const char *
framing_problem(const struct mg_request_info *request, int *status)
{
    const char *value = NULL;

    *status = 400;
    if (request->num_headers >= MG_MAX_HEADERS)
        return "Too many header fields";
    if (!is_whole(request))
        return "Malformed request head";
    if (target_length(request) > TARGET_MAX) {
        *status = 414;
        return "Request target is too long";
    }
    if (head_length(request) > HEAD_MAX) {
        *status = 431;
        return "Request head is too large";
    }
    if (count_header(request, "Transfer-Encoding", &value) > 0)
        return "Transfer-Encoding is not supported, send Content-Length";
    if (!has_good_content_length(request))
        return "Bad Content-Length";
    if (!has_good_host(request))
        return "Bad or missing Host";
    if (count_header(request, "Authorization", &value) > 1 ||
        count_header(request, "Content-Type", &value) > 1 ||
        count_header(request, "Idempotency-Key", &value) > 1 ||
        count_header(request, "Origin", &value) > 1)
        return "A header field that may stand there once is repeated";
    return NULL;
}
