/* SPDX-License-Identifier: MIT
 *
 * command.h: the output of a command of the operator's.
 */
#ifndef AUTH_SERVICE_KEYS_COMMAND_H
#define AUTH_SERVICE_KEYS_COMMAND_H

/*
 * Run a command with /bin/sh and write what it prints into the buffer, with a NUL behind it.  Raises,
 * with its processes killed, where it fails, prints size bytes or more, takes longer than so many
 * seconds, or where this statement is cancelled.  name: what it is, for the message.
 */
extern void CommandOutput(const char *name, const char *command, char *buffer, Size size,
                          int seconds);

#endif
