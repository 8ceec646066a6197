/* SPDX-License-Identifier: MIT
 *
 * log.c: see log.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "log.h"

void
log_line(const char *format, ...)
{
    char line[1024];
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    va_list arguments;
    char *c;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    for (c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
    gmtime_r(&now, &utc);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
    fprintf(stderr, "%s auth-service: %s\n", when, line);
}
