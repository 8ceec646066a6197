/* SPDX-License-Identifier: MIT
 *
 * log.c: see log.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

/* So many bytes at most of a member's text, as written; and what is kept free for a line's end. */
#define TEXT_MAX  2048
#define END_SPACE 8

/* The longest escape: \uXXXX. */
#define ESCAPE_MAX 6

/* Stands for bytes that are no UTF-8. */
#define NO_CHARACTER 0xFFFD

/* How long a reader who does not keep up is waited for, and how often, in milliseconds; else lines
 * are dropped. */
#define READER_PATIENCE 1000
#define PATIENCE_EVERY  60000

static _Atomic(enum log_level) logged_level = LEVEL_INFO;
static atomic_bool is_json = true;
static bool is_file; /* standard error is a file: no reader has to be waited for */

/* Guards what follows, and keeps the lines of threads apart. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long long lost;         /* lines that could not be written since one could */
static long long patient_from; /* the moment from which the reader is waited for again */
static bool is_unfinished;     /* the last write ended within a line: the disk is full */

void
log_open(enum log_level level, enum log_format format)
{
    struct stat output;
    int fd;

    for (fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
            break;
    is_file = fstat(STDERR_FILENO, &output) == 0 && S_ISREG(output.st_mode);
    log_set(level, format);
}

void
log_set(enum log_level level, enum log_format format)
{
    logged_level = level;
    is_json = format == FORMAT_JSON || (format == FORMAT_AUTO && !isatty(STDERR_FILENO));
}

/* ---- Putting a line together ------------------------------------------------------------ */

/* Add bytes where they fit, all or none. */
static bool
add(struct log_line *line, const char *data, size_t length)
{
    if (line->length + length + END_SPACE > sizeof(line->text))
        return false;
    memcpy(line->text + line->length, data, length);
    line->length += length;
    return true;
}

static bool __attribute__((format(printf, 2, 3)))
add_format(struct log_line *line, const char *format, ...)
{
    char data[128];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(data, sizeof(data), format, arguments);
    va_end(arguments);
    return length >= 0 && (size_t)length < sizeof(data) && add(line, data, (size_t)length);
}

/*
 * The character that begins these bytes, of which there is one at least, and its length; NO_CHARACTER and
 * 1 where that is none (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF).
 */
static unsigned int
next_character(const char *bytes, size_t available, size_t *length)
{
    static const unsigned int least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *b = (const unsigned char *)bytes;
    size_t size = b[0] < 0x80 ? 1 : b[0] < 0xC0 ? 0 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    unsigned int c = size == 1 ? b[0] : b[0] & (0xFFU >> (size + 1));
    size_t i;

    *length = 1;
    if (size == 0 || size > available || b[0] > 0xF4)
        return NO_CHARACTER;
    for (i = 1; i < size; i++) {
        if ((b[i] & 0xC0) != 0x80)
            return NO_CHARACTER;
        c = c << 6 | (b[i] & 0x3F);
    }
    if (c < least[size] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return NO_CHARACTER;
    *length = size;
    return c;
}

/*
 * Whether a character goes into a line as it is: not what ends a line anywhere, steers a terminal
 * (C0, DEL, C1) or turns the direction of what follows.
 */
static bool
is_plain(unsigned int c)
{
    return c >= 0x20 && c != '"' && c != '\\' && !(c >= 0x7F && c <= 0x9F) &&
           !(c >= 0x200B && c <= 0x200F) && !(c >= 0x2028 && c <= 0x202E) &&
           !(c >= 0x2060 && c <= 0x206F) && c != 0xFEFF && c != NO_CHARACTER;
}

/* Add one character as it is, or escaped as in a JSON string. */
static bool
add_character(struct log_line *line, unsigned int c, const char *bytes, size_t length)
{
    char escape[8];

    if (is_plain(c))
        return add(line, bytes, length);
    if (c == '"' || c == '\\')
        snprintf(escape, sizeof(escape), "\\%c", (char)c);
    else
        snprintf(escape, sizeof(escape), "\\u%04x", c & 0xFFFF);
    return add(line, escape, strlen(escape));
}

/* Add text without quotes, as in a JSON string; what does not fit is cut, and "..." says so. */
static void
add_escaped(struct log_line *line, const char *text)
{
    size_t limit = line->length + TEXT_MAX;
    const char *end = text + strlen(text);

    if (limit > sizeof(line->text) - 2 * END_SPACE)
        limit = sizeof(line->text) - 2 * END_SPACE;
    while (text < end) {
        size_t length;
        unsigned int c = next_character(text, (size_t)(end - text), &length);

        if (line->length + ESCAPE_MAX > limit || !add_character(line, c, text, length)) {
            add(line, "...", 3);
            return;
        }
        text += length;
    }
}

/* Add ,"name": or, in text, a blank and name=. */
static bool
add_name(struct log_line *line, const char *name)
{
    /* A member needs some room behind its name, or it is no use. */
    if (!line->is_wanted || line->length + strlen(name) + 64 > sizeof(line->text))
        return false;
    add(line, line->is_json ? ",\"" : " ", line->is_json ? 2 : 1);
    add(line, name, strlen(name));
    return add(line, line->is_json ? "\":" : "=", line->is_json ? 2 : 1);
}

void
log_begin(struct log_line *line, enum log_level level, const char *message)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    static _Thread_local time_t second = -1;
    static _Thread_local char when[32]; /* that second */
    struct timespec now;
    struct tm utc;

    line->length = 0;
    line->is_wanted = level <= logged_level;
    line->is_json = is_json;
    if (!line->is_wanted)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != second) {
        gmtime_r(&now.tv_sec, &utc);
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
        second = now.tv_sec;
    }
    add_format(line,
               line->is_json ? "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"message\":\""
                             : "%s.%03ldZ %s ",
               when, now.tv_nsec / 1000000, names[level]);
    add_escaped(line, message);
    if (line->is_json)
        add(line, "\"", 1);
}

void
log_text(struct log_line *line, const char *name, const char *text)
{
    bool is_bare;

    if (text == NULL || !add_name(line, name))
        return;
    is_bare = !line->is_json && text[0] != '\0' &&
              text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-._/:{}")] == '\0';
    if (!is_bare)
        add(line, "\"", 1);
    add_escaped(line, text);
    if (!is_bare)
        add(line, "\"", 1);
}

void
log_number(struct log_line *line, const char *name, long long number)
{
    if (add_name(line, name))
        add_format(line, "%lld", number);
}

void
log_milliseconds(struct log_line *line, const char *name, long long microseconds)
{
    if (add_name(line, name))
        add_format(line, "%lld.%03lld", microseconds / 1000, microseconds % 1000);
}

/* ---- Writing it ------------------------------------------------------------------------- */

/*
 * Whether a line can be written without waiting for long.  A reader who has stopped, or is slower than
 * the service, costs one pause a minute; beside that lines are dropped while he is behind: the service
 * goes on.
 */
static bool
has_room(void)
{
    struct pollfd output = {.fd = STDERR_FILENO, .events = POLLOUT};

    if (is_file || poll(&output, 1, 0) > 0)
        return true;
    if (clock_now() < patient_from)
        return false;
    patient_from = clock_now() + PATIENCE_EVERY;
    return poll(&output, 1, READER_PATIENCE) > 0;
}

/* One write(2) a line, so that neither threads nor processes mix theirs. */
static void
write_line(const char *text, size_t length)
{
    ssize_t written;

    if (!has_room()) {
        lost++;
        metrics_add(METRIC_LOG_LINES_LOST);
        return;
    }
    if (is_unfinished && write(STDERR_FILENO, "\n", 1) == 1)
        is_unfinished = false;
    written = is_unfinished ? -1 : write(STDERR_FILENO, text, length);
    if (written == (ssize_t)length) {
        lost = 0;
        return;
    }
    lost++;
    metrics_add(METRIC_LOG_LINES_LOST);
    if (written > 0)
        is_unfinished = true;
}

/* Finish a line; add had to leave room for this. */
static void
close_line(struct log_line *line)
{
    if (line->is_json)
        line->text[line->length++] = '}';
    line->text[line->length++] = '\n';
}

void
log_end(struct log_line *line)
{
    long long missing;

    if (!line->is_wanted)
        return;
    close_line(line);
    pthread_mutex_lock(&mutex);
    missing = lost;
    write_line(line->text, line->length);
    if (missing > 0 && lost == 0) {
        log_begin(line, LEVEL_WARNING, "log lines were lost");
        log_number(line, "count", missing);
        close_line(line);
        write_line(line->text, line->length);
    }
    pthread_mutex_unlock(&mutex);
}

void
log_event(enum log_level level, const char *message, const char *name, const char *text)
{
    struct log_line line;

    log_begin(&line, level, message);
    if (name != NULL)
        log_text(&line, name, text);
    log_end(&line);
}

void
log_print(FILE *stream, const char *text, size_t length)
{
    const char *end = text + length;

    while (text < end) {
        size_t size;
        unsigned int c = next_character(text, (size_t)(end - text), &size);

        if (is_plain(c) || c == '"' || c == '\\')
            fwrite(text, 1, size, stream);
        else
            fprintf(stream, "\\u%04x", c & 0xFFFF);
        text += size;
    }
}
