/* SPDX-License-Identifier: MIT
 *
 * file.c: see file.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/file.h"

#define FILE_BYTES_MAX (256 * 1024)

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* Open a file, and no pipe, whose writer would be waited for; NULL, and a problem. */
static FILE *
open_file(const char *path, struct stat *about, char *problem, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *stream = NULL;

    if (fd >= 0 && fstat(fd, about) == 0 && !S_ISREG(about->st_mode))
        snprintf(problem, size, "%s is no regular file", path);
    else if (fd < 0 || (stream = fdopen(fd, "r")) == NULL)
        snprintf(problem, size, "cannot read %s: %s", path, strerror(errno));
    if (stream == NULL && fd >= 0)
        close(fd);
    return stream;
}

/* All of a file as a string; NULL, and a problem. */
static char *
read_text(const char *path, bool *is_public, char *problem, size_t size)
{
    struct stat about = {0};
    FILE *stream = open_file(path, &about, problem, size);
    char *text = malloc(FILE_BYTES_MAX + 1);
    size_t length = 0;
    bool good = false;

    if (stream == NULL) {
        free(text);
        return NULL;
    }
    if (text == NULL)
        snprintf(problem, size, "out of memory");
    else {
        length = fread(text, 1, FILE_BYTES_MAX + 1, stream);
        if (ferror(stream))
            snprintf(problem, size, "cannot read %s: %s", path, strerror(errno));
        else if (length > FILE_BYTES_MAX || memchr(text, '\0', length) != NULL)
            snprintf(problem, size, "%s is no file of variables", path);
        else
            good = true;
    }
    fclose(stream);
    if (!good) {
        free(text);
        return NULL;
    }
    *is_public = (about.st_mode & S_IROTH) != 0;
    text[length] = '\0';
    return text;
}

/* Take the blanks off a value's end, or its quotes off; NULL where there is but one of these. */
static char *
read_value(char *value)
{
    size_t length;
    char quote;

    value += strspn(value, " \t");
    length = strlen(value);
    while (length > 0 && strchr(" \t\r", value[length - 1]) != NULL)
        value[--length] = '\0';
    quote = value[0];
    if (quote != '"' && quote != '\'')
        return value;
    if (length < 2 || value[length - 1] != quote)
        return NULL;
    value[length - 1] = '\0';
    return value + 1;
}

/* Read a line; false where it is none.  A line that says nothing leaves the name NULL. */
static bool
read_line(char *line, struct config_variable *variable)
{
    size_t length;
    char *value;

    variable->name = NULL;
    line += strspn(line, " \t\r");
    if (*line == '\0' || *line == '#')
        return true;
    if (strncmp(line, "export ", 7) == 0)
        line += 7 + strspn(line + 7, " ");
    length = strspn(line, NAME_CHARACTERS);
    if (length == 0 || line[length] != '=')
        return false;
    value = read_value(line + length + 1);
    if (value == NULL)
        return false;
    line[length] = '\0';
    variable->name = line;
    variable->value = value;
    return true;
}

static size_t
count_lines(const char *text)
{
    size_t lines = 1;

    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

bool
config_file_read(struct config_file *file, const char *path, char *problem, size_t size)
{
    char *line;
    char *next;
    int number = 0;

    *file = (struct config_file){0};
    file->text = read_text(path, &file->is_public, problem, size);
    if (file->text == NULL)
        return false;
    file->variables = calloc(count_lines(file->text), sizeof(*file->variables));
    if (file->variables == NULL) {
        snprintf(problem, size, "out of memory");
        config_file_free(file);
        return false;
    }
    for (line = file->text; line != NULL; line = next) {
        struct config_variable *variable = &file->variables[file->count];

        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        variable->line = ++number;
        if (!read_line(line, variable)) {
            snprintf(problem, size, "line %d of %s is not NAME=value", number, path);
            config_file_free(file);
            return false;
        }
        if (variable->name != NULL)
            file->count++;
    }
    return true;
}

void
config_file_free(struct config_file *file)
{
    free(file->text);
    free(file->variables);
    *file = (struct config_file){0};
}

const char *
config_file_value(const struct config_file *file, const char *name)
{
    size_t i;

    for (i = file != NULL ? file->count : 0; i > 0; i--)
        if (strcmp(file->variables[i - 1].name, name) == 0)
            return file->variables[i - 1].value[0] != '\0' ? file->variables[i - 1].value : NULL;
    return NULL;
}

bool
config_has_secret(const struct config_file *file)
{
    size_t i;

    for (i = 0; i < file->count; i++) {
        const char *name = file->variables[i].name;

        if (file->variables[i].value[0] != '\0' &&
            (strstr(name, "PASSWORD") != NULL || strstr(name, "SECRET") != NULL ||
             strstr(name, "DATABASE_URL") != NULL || strstr(name, "IMPORT_FROM") != NULL))
            return true;
    }
    return false;
}
