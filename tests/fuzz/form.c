/* SPDX-License-Identifier: MIT
 *
 * form.c: forms.  What form_to_json writes is an object of strings, whose names and values are those of the
 * pairs, decoded by a second, slower reading of the standard; and parameters_decode leaves no NUL.
 */
#include "http/form.h"
#include "fuzz.h"
#include "json.h"
#include "api/parameters.h"

/* The byte that is sent as these, and how many they are. */
static unsigned char
decode_byte(const uint8_t *from, size_t left, bool plus_is_blank, size_t *length)
{
    char digits[3] = "";
    char *end = digits;
    long value = 0;

    *length = 1;
    if (*from == '+' && plus_is_blank)
        return ' ';
    if (*from != '%' || left < 3 || from[1] == '+' || from[1] == '-' || from[1] == ' ')
        return *from;
    memcpy(digits, from + 1, 2);
    value = strtol(digits, &end, 16);
    if (end != digits + 2 || digits[1] == 'x' || digits[1] == 'X' ||
        strspn(digits, "\t\n\v\f\r") > 0)
        return *from;
    *length = 3;
    return (unsigned char)value;
}

/* Whether the text is what these bytes stand for. */
static bool
is_decoded(const struct buffer *text, const uint8_t *from, size_t size, bool plus_is_blank)
{
    size_t at = 0;

    while (size > 0) {
        size_t length;
        unsigned char c = decode_byte(from, size, plus_is_blank, &length);

        if (at == text->length || (unsigned char)text->data[at++] != c)
            return false;
        from += length;
        size -= length;
    }
    return at == text->length;
}

static void
check_json(const struct buffer *json, const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    const char *at = json->data;
    struct buffer text = {0};
    bool is_first = true;

    REQUIRE(*at++ == '{');
    while (data < end) {
        const uint8_t *stop = memchr(data, '&', (size_t)(end - data));
        const uint8_t *equals;

        stop = stop != NULL ? stop : end;
        if (stop > data) {
            equals = memchr(data, '=', (size_t)(stop - data));
            equals = equals != NULL ? equals : stop;
            if (!is_first)
                REQUIRE(*at++ == ',');
            is_first = false;
            at = json_read_string(at, &text);
            REQUIRE(at != NULL && is_decoded(&text, data, (size_t)(equals - data), true));
            REQUIRE(*at++ == ':');
            data = equals < stop ? equals + 1 : stop;
            at = json_read_string(at, &text);
            REQUIRE(at != NULL && is_decoded(&text, data, (size_t)(stop - data), true));
        }
        data = stop < end ? stop + 1 : end;
    }
    REQUIRE(strcmp(at, "}") == 0 && at + 1 == json->data + json->length);
    buffer_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer json = {0};
    struct buffer text = {0};
    int plus_is_blank;

    form_to_json(&json, (const char *)data, size);
    REQUIRE(buffer_ok(&json));
    check_json(&json, data, size);
    for (plus_is_blank = 0; plus_is_blank < 2; plus_is_blank++) {
        form_decode(&text, (const char *)data, size, plus_is_blank);
        REQUIRE(buffer_ok(&text) && is_decoded(&text, data, size, plus_is_blank));
        buffer_free(&text);
        parameters_decode(&text, (const char *)data, size, plus_is_blank);
        REQUIRE(buffer_ok(&text) && strlen(text.data) == text.length);
        buffer_free(&text);
    }
    buffer_free(&json);
    return 0;
}
