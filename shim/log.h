/* SPDX-License-Identifier: MIT
 *
 * log.h: lines on standard error.  Nothing of a request is ever logged but its id.
 */
#ifndef SHIM_LOG_H
#define SHIM_LOG_H

/* One line, whatever is in the arguments: control characters become '?'. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
