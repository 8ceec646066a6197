/* SPDX-License-Identifier: MIT
 *
 * base64url.c: base64url and the cursors in it.  What is read is written again as the same text, and any
 * bytes are read again as they were.
 */
#include "postgres.h"

#include "base/base64url.h"
#include "lists/cursor.h"
#include "fuzz.h"
#include "server.h"

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

static void
Decode(const Input *input)
{
    /* As much room as base64url.h asks for, and no more. */
    unsigned char *bytes = palloc(input->size * 3 / 4);
    int size = Base64UrlDecode((const char *)input->data, input->size, bytes);
    char *written;

    if (size < 0)
        return;
    REQUIRE((size_t)size <= input->size * 3 / 4);
    written = palloc((Size)size * 4 / 3 + 3);
    Base64UrlEncode(bytes, (Size)size, written);
    REQUIRE(strlen(written) == input->size && memcmp(written, input->data, input->size) == 0);
}

static void
Encode(const Input *input)
{
    char *written = palloc((input->size * 4 + 2) / 3 + 1);
    unsigned char *bytes = palloc(input->size);

    Base64UrlEncode(input->data, input->size, written);
    REQUIRE(strlen(written) == (input->size * 4 + 2) / 3);
    REQUIRE(Base64UrlDecode(written, strlen(written), bytes) == (int)input->size);
    REQUIRE(memcmp(bytes, input->data, input->size) == 0);
}

static void
ReadCursor(const Input *input)
{
    text *given = ServerText(input->data, input->size);
    char list;

    for (list = 0; list < 16; list++) {
        Cursor cursor;

        if (CursorDecode(given, list, &cursor)) {
            REQUIRE(cursor.list == list && input->size == 24);
            REQUIRE(memcmp(CursorEncode(&cursor), input->data, input->size) == 0);
        }
    }
}

static void
Run(void *context)
{
    const Input *input = context;

    Decode(input);
    Encode(input);
    ReadCursor(input);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = {data, size};

    ServerRun(Run, &input);
    return 0;
}
