/* SPDX-License-Identifier: MIT
 *
 * docs.c: see docs.h.
 *
 * What is served is a list of this file's; no name is ever made from a request.  The files are opened
 * once: a request opens none.  They are sent from where they are, since 1.5 MB in memory for a page that is
 * seldom looked at would be a tenth of what the front takes.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/http.h"
#include "pages/docs.h"
#include "telemetry/log.h"

#define FILE_SIZE_MAX (16 * 1024 * 1024)

/* Make a file of the source a constant of the program's. */
#define EMBED(name, file)                                                                          \
    extern const char name[] __attribute__((visibility("hidden")));                                \
    extern const char name##_end[] __attribute__((visibility("hidden")));                          \
    __asm__(".pushsection .rodata\n" #name ":\n.incbin \"" file "\"\n" #name "_end:\n.byte 0\n"    \
            ".popsection\n")

EMBED(docs_page, "shim/pages/docs/page.html");
EMBED(docs_init, "shim/pages/docs/init.js");

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
    const char *data; /* of ours */
    const char *end;
    int descriptor; /* of the folder's, while it is open */
    size_t length;
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

/* Open a file of the folder; false where that cannot be done. */
static bool
open_file(const char *folder, struct file *file)
{
    char path[4096];
    struct stat status;
    int descriptor;

    if (snprintf(path, sizeof(path), "%s/%s", folder, file->name) >= (int)sizeof(path))
        return false;
    descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0 ||
        status.st_size > FILE_SIZE_MAX) {
        close(descriptor);
        return false;
    }
    file->descriptor = descriptor;
    file->length = (size_t)status.st_size;
    return true;
}

/* Add bytes to a hash that is another one for other bytes (FNV-1a). */
static uint64_t
hash_more(uint64_t hash, const char *bytes, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t
hash_file(const struct file *file)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    char piece[4096];
    off_t at = 0;
    ssize_t n;

    if (file->name == NULL)
        return hash_more(hash, file->data, file->length);
    while ((n = pread(file->descriptor, piece, sizeof(piece), at)) > 0) {
        hash = hash_more(hash, piece, (size_t)n);
        at += n;
    }
    return hash;
}

static void
make_headers(struct file *file)
{
    snprintf(file->etag, sizeof(file->etag), "\"%016llx\"", (unsigned long long)hash_file(file));
    snprintf(file->headers, sizeof(file->headers), "Cache-Control: %s\r\nETag: %s\r\n%s",
             file->name ? CACHE_VIEWER : CACHE_OURS, file->etag, SECURITY_HEADERS);
}

void
docs_open(const char *folder)
{
    size_t i;

    is_open = true;
    for (i = 0; i < FILE_COUNT; i++) {
        if (files[i].name == NULL)
            files[i].length = (size_t)(files[i].end - files[i].data);
        else if (!open_file(folder, &files[i])) {
            is_open = false;
            break;
        }
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
        if (files[i].descriptor != 0) {
            close(files[i].descriptor);
            files[i].descriptor = 0;
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
        response->body_file = file->descriptor;
        response->body_length = file->length;
    }
    return true;
}
