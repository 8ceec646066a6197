/* SPDX-License-Identifier: MIT
 *
 * import.h: the command import.
 */
#ifndef SHIM_COMMAND_IMPORT_H
#define SHIM_COMMAND_IMPORT_H

#include "config/config.h"

/*
 * Take over the users of another database's table "users".  A line on standard output for each that was
 * refused, and one with the counts at the end.  The exit status: 0 where none was refused.
 */
int import_run(const struct config *config);

#endif
