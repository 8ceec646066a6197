/* SPDX-License-Identifier: MIT
 *
 * file.h: a file with environment variables, for config.c.
 *
 * Lines NAME=value, as Docker, systemd and the service before us read them: blank lines and those that begin with
 * "#" are none, "export " may stand before the name, and the value may be in quotes, single or double, which
 * change nothing in it.
 */
#ifndef SHIM_CONFIG_FILE_H
#define SHIM_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct config_file {
    char *text; /* what values point into; each is its own string */
    struct config_variable *variables;
    size_t count;
    bool is_public; /* everybody on the machine may read it */
};

struct config_variable {
    const char *name;
    const char *value;
    int line;
};

/*
 * Read a file.  False, with a problem of up to `size` bytes that quotes nothing of it, where it cannot be read or a
 * line is none.  config_file_free frees it.
 */
bool config_file_read(struct config_file *file, const char *path, char *problem, size_t size);
void config_file_free(struct config_file *file);

/* Whether there is a password in it, or a connection string. */
bool config_has_secret(const struct config_file *file);

/* The value of a variable, of the last line that has it; NULL where it is not there or empty.  file may be NULL. */
const char *config_file_value(const struct config_file *file, const char *name);

#endif
