/* SPDX-License-Identifier: MIT
 *
 * docs.c: see docs.h.
 *
 * What is served is a list of this file's; no name is ever made from a request.  The files are read
 * once: a request opens none.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docs.h"
#include "log.h"

#define FILE_SIZE_MAX (16 * 1024 * 1024)

/* Make a file of the source a constant of the program's. */
#define EMBED(name, file)                                                                          \
    extern const char name[] __attribute__((visibility("hidden")));                                \
    extern const char name##_end[] __attribute__((visibility("hidden")));                          \
    __asm__(".pushsection .rodata\n" #name ":\n.incbin \"" file "\"\n" #name "_end:\n.byte 0\n"    \
            ".popsection\n")

EMBED(docs_page, "shim/docs/page.html");
EMBED(docs_init, "shim/docs/init.js");

/* Nothing from elsewhere, nothing inline, no frame around it; data: is for the style sheet's icons. */
#define SECURITY_HEADERS                                                                           \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "           \
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "              \
    "frame-ancestors 'none'\r\n"                                                                   \
    "Referrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n"                  \
    "Cross-Origin-Resource-Policy: same-origin\r\n"

/* Ours may change with the program, so they are asked for again; the viewer's are kept for an hour. */
#define CACHE_OURS   "no-cache"
#define CACHE_VIEWER "public, max-age=3600"

static const char no_viewer[] =
    "{\"detail\":\"The files of Swagger UI are missing: scripts/viewer DIR gets them, --docs-dir "
    "names the folder\"}";
static const char wrong_method[] = "{\"detail\":\"Method Not Allowed\"}";

static struct file {
    const char *path;
    const char *name; /* in the folder; NULL: it is ours */
    const char *content_type;
    const char *data;
    const char *end;
    char etag[24];
    char headers[640];
} files[] = {
    {.path = "/docs",
     .content_type = "text/html; charset=utf-8",
     .data = docs_page,
     .end = docs_page_end},
    {.path = "/docs/init.js",
     .content_type = "text/javascript; charset=utf-8",
     .data = docs_init,
     .end = docs_init_end},
    {.path = "/docs/swagger-ui-bundle.js",
     .name = "swagger-ui-bundle.js",
     .content_type = "text/javascript; charset=utf-8"},
    {.path = "/docs/swagger-ui.css",
     .name = "swagger-ui.css",
     .content_type = "text/css; charset=utf-8"},
    {.path = "/docs/favicon-32x32.png", .name = "favicon-32x32.png", .content_type = "image/png"},
};

#define FILE_COUNT (sizeof(files) / sizeof(files[0]))

static bool is_open;

/* Read a file of the folder into new memory; false where that cannot be done. */
static bool
read_file(const char *folder, struct file *file)
{
    char path[4096];
    char *data = NULL;
    FILE *stream = NULL;
    long length;

    if (snprintf(path, sizeof(path), "%s/%s", folder, file->name) < (int)sizeof(path))
        stream = fopen(path, "rbe");
    if (stream == NULL)
        return false;
    if (fseek(stream, 0, SEEK_END) == 0 && (length = ftell(stream)) > 0 &&
        length <= FILE_SIZE_MAX && fseek(stream, 0, SEEK_SET) == 0 &&
        (data = malloc((size_t)length)) != NULL &&
        fread(data, 1, (size_t)length, stream) == (size_t)length) {
        file->data = data;
        file->end = data + length;
        data = NULL;
    }
    free(data);
    fclose(stream);
    return file->data != NULL;
}

/* The headers of a file, among them a tag that is another one for other bytes (FNV-1a). */
static void
make_headers(struct file *file)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const char *c;

    for (c = file->data; c < file->end; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    snprintf(file->etag, sizeof(file->etag), "\"%016llx\"", (unsigned long long)hash);
    snprintf(file->headers, sizeof(file->headers), "Cache-Control: %s\r\nETag: %s\r\n%s",
             file->name ? CACHE_VIEWER : CACHE_OURS, file->etag, SECURITY_HEADERS);
}

void
docs_open(const char *folder)
{
    size_t i;

    is_open = true;
    for (i = 0; i < FILE_COUNT && is_open; i++) {
        if (files[i].name != NULL && !read_file(folder, &files[i]))
            is_open = false;
        make_headers(&files[i]);
    }
    if (!is_open)
        log_event(LEVEL_INFO, "there is no /docs: a file of Swagger UI's is missing", "folder",
                  folder);
}

void
docs_close(void)
{
    size_t i;

    is_open = false;
    for (i = 0; i < FILE_COUNT; i++)
        if (files[i].name != NULL) {
            free((char *)files[i].data);
            files[i].data = NULL;
        }
}

/* An answer in JSON whose text is for good. */
static void
respond_problem(struct http_response *response, int status, const char *body)
{
    response->status = status;
    response->body = body;
    response->body_length = strlen(body);
}

bool
docs_respond(const struct http_request *request, struct http_response *response)
{
    const struct file *file = NULL;
    size_t i;

    for (i = 0; i < FILE_COUNT; i++)
        if (strcmp(files[i].path, request->path) == 0)
            file = &files[i];
    if (file == NULL)
        return false;
    response->log.route = file->path;
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        response->allow = "GET, HEAD";
        respond_problem(response, 405, wrong_method);
    } else if (!is_open)
        respond_problem(response, 404, no_viewer);
    else if (request->if_none_match != NULL &&
             (strcmp(request->if_none_match, "*") == 0 ||
              strstr(request->if_none_match, file->etag) != NULL)) {
        response->status = 304;
        response->headers = file->headers;
    } else {
        response->status = 200;
        response->content_type = file->content_type;
        response->headers = file->headers;
        response->body = file->data;
        response->body_length = (size_t)(file->end - file->data);
    }
    return true;
}
