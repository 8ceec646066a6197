/* SPDX-License-Identifier: MIT
 *
 * log.h: lines on standard error, JSON or text.
 *
 * A line is a moment, a level, a message of ours and members.  Members' texts may come from anybody:
 * none can end the line, or reach a terminal as anything but a character.  No secret is logged: of a
 * request neither its path, its query, its headers nor its body.
 */
#ifndef SHIM_TELEMETRY_LOG_H
#define SHIM_TELEMETRY_LOG_H

#include <stdbool.h>
#include <stdio.h>
#include <stddef.h>

/* As --log-level and --log-format list them. */
enum log_level { LEVEL_ERROR, LEVEL_WARNING, LEVEL_INFO, LEVEL_DEBUG };
enum log_format { FORMAT_AUTO, FORMAT_JSON, FORMAT_TEXT };

/* A line of at most PIPE_BUF bytes goes into a pipe at once or not at all. */
#define LOG_LINE_MAX 4096

/* A line that is being put together. */
struct log_line {
    bool is_wanted; /* its level is logged */
    bool is_json;
    size_t length;
    char text[LOG_LINE_MAX];
};

/*
 * What is logged from now on, and how; FORMAT_AUTO is text on a terminal, else JSON.  Also sees to it
 * that no connection gets the descriptor of a standard stream that was closed.
 */
void log_open(enum log_level level, enum log_format format);

/* The same for lines that begin from now on, while others write theirs. */
void log_set(enum log_level level, enum log_format format);

/*
 * A line: begin, members, end.  All but the first do nothing where the level is not logged.  A text
 * that is NULL is left out, a long one cut.
 */
void log_begin(struct log_line *line, enum log_level level, const char *message);
void log_text(struct log_line *line, const char *name, const char *text);
void log_number(struct log_line *line, const char *name, long long number);
void log_milliseconds(struct log_line *line, const char *name, long long microseconds);
void log_end(struct log_line *line);

/* A line with one member, or none where name is NULL. */
void log_event(enum log_level level, const char *message, const char *name, const char *text);

/* Print a text to a stream as a line has it: nothing in it steers a terminal or ends the line. */
void log_print(FILE *stream, const char *text, size_t length);

#endif
