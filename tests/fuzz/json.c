/* SPDX-License-Identifier: MIT
 *
 * json.c: JSON strings and lists of problems in answers, and what is printed to terminals.  A string reads
 * back as it was; a line of the log is one line, and its text has no character that steers a terminal.
 */
#include "fuzz.h"
#include "json.h"
#include "telemetry/log.h"
#include "api/problem.h"
#include "api/routes.h"

static void
check_string(const uint8_t *data, size_t size)
{
    struct buffer json = {0};
    struct buffer text = {0};

    buffer_json_string(&json, (const char *)data, size);
    REQUIRE(buffer_ok(&json));
    REQUIRE(json_read_string(json.data, &text) == json.data + json.length);
    REQUIRE(text.length == size && memcmp(text.data, data, size) == 0);
    buffer_free(&json);
    buffer_free(&text);
}

/* Skip a string that stands here. */
static const char *
skip_string(const char *at)
{
    struct buffer text = {0};

    at = json_read_string(at, &text);
    buffer_free(&text);
    REQUIRE(at != NULL);
    return at;
}

static const char *
skip_word(const char *at, const char *word)
{
    REQUIRE(strncmp(at, word, strlen(word)) == 0);
    return at + strlen(word);
}

/* The DETAIL of an error of ours, or of one who raises what looks like it. */
static void
check_problems(const struct route *route, const char *detail)
{
    struct buffer json = {0};
    const char *at;

    problem_list(&json, route, detail);
    REQUIRE(buffer_ok(&json));
    at = skip_word(json.data, "{\"detail\":[");
    while (*at == '{') {
        at = skip_string(skip_word(at, "{\"loc\":["));
        if (*at == ',')
            at = skip_string(at + 1);
        at = skip_string(skip_word(at, "],\"msg\":"));
        at = skip_string(skip_word(at, ",\"type\":"));
        at = skip_word(at, "}");
        if (*at == ',')
            at++;
    }
    REQUIRE(strcmp(at, "]}") == 0);
    buffer_free(&json);
}

static void
check_log(const char *value, enum log_format format)
{
    struct log_line line;
    size_t i;

    log_open(LEVEL_DEBUG, format);
    log_begin(&line, LEVEL_INFO, "fuzz");
    log_text(&line, "path", value);
    log_text(&line, "error", value);
    log_number(&line, "status", 200);
    log_text(&line, "last", value);
    REQUIRE(line.length <= sizeof(line.text) - 2);
    for (i = 0; i < line.length; i++) {
        unsigned char c = (unsigned char)line.text[i];

        REQUIRE(c >= 0x20 && c != 0x7F);
        /* C1 controls and direction marks in UTF-8, and what is no UTF-8. */
        REQUIRE(c < 0xF5 && c != 0xC0 && c != 0xC1);
        if (c == 0xC2)
            REQUIRE(i + 1 < line.length && (unsigned char)line.text[i + 1] >= 0xA0);
        if (c == 0xE2 && i + 2 < line.length && (unsigned char)line.text[i + 1] == 0x80)
            REQUIRE((unsigned char)line.text[i + 2] < 0xA8 ||
                    (unsigned char)line.text[i + 2] > 0xAE);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere = NULL;
    char *value = text_of(data, size);

    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    check_string(data, size);
    check_problems(&routes[size % route_count], value);
    check_log(value, FORMAT_JSON);
    check_log(value, FORMAT_TEXT);
    log_print(nowhere, (const char *)data, size);
    free(value);
    return 0;
}
