/* SPDX-License-Identifier: MIT
 *
 * log.h: lines on standard error.  Of a request nothing is logged but its id and its route.
 */
#ifndef SHIM_LOG_H
#define SHIM_LOG_H

/* One line, whatever is in the arguments: control characters become '?'. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
