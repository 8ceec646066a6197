/* SPDX-License-Identifier: MIT
 *
 * email.c: e-mail addresses, and names.  An address that is taken has one '@', a dot behind it, and nothing
 * that ends a line, is blank or quotes.  Bytes that are no UTF-8, which no text in such a database is, are
 * left out.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base/email.h"
#include "fuzz.h"
#include "server.h"
#include "base/text.h"

static bool
IsUtf8(const uint8_t *data, size_t size)
{
    while (size > 0) {
        int length = pg_utf_mblen(data);

        if (*data == '\0' || (size_t)length > size || !pg_utf8_islegal(data, length))
            return false;
        data += length;
        size -= (size_t)length;
    }
    return true;
}

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

static void
Run(void *context)
{
    const Input *input = context;
    text *given = ServerText(input->data, input->size);
    char *email = text_of(input->data, input->size);
    bool good = EmailIsValid(email);

    if (good) {
        const char *at = strchr(email, '@');
        const char *c;

        REQUIRE(strlen(email) <= AUTH_EMAIL_BYTES_MAX && at == strrchr(email, '@'));
        REQUIRE(at - email >= 1 && at - email <= 64 && strchr(at, '.') != NULL);
        REQUIRE(strstr(email, "..") == NULL && strstr(email, "@.") == NULL && email[0] != '.');
        for (c = email; *c != '\0'; c++)
            REQUIRE((unsigned char)*c > ' ' && strchr("\"(),:;<>[]\\\x7F", *c) == NULL);
        for (c = email; *c != '\0'; c += pg_utf_mblen((const unsigned char *)c)) {
            pg_wchar u = utf8_to_unicode((const unsigned char *)c);

            REQUIRE(!(u >= 0x80 && u <= 0xA0) && !(u >= 0x2000 && u <= 0x200F) &&
                    !(u >= 0x202A && u <= 0x202E) && u != 0xFEFF);
        }
    }
    if (TextIsPrintable(given, 255)) {
        REQUIRE(input->size > 0 && input->size <= 255 * 4);
        REQUIRE(strpbrk(email, "\r\n\t\x1B\x7F") == NULL);
    }
    free(email);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = {data, size};

    if (IsUtf8(data, size))
        ServerRun(Run, &input);
    return 0;
}
