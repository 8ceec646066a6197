/* SPDX-License-Identifier: MIT
 *
 * server.h: for harnesses of the extension's files: what stands in for the server around them.
 */
#ifndef FUZZ_SERVER_H
#define FUZZ_SERVER_H

/* The moment at which all runs take place. */
#define SERVER_NOW 1800000000

/*
 * Run this code as the server would a statement: what it pallocs is freed at its end, or when it raises an
 * error.  True where it raised none.
 */
extern bool ServerRun(void (*code)(void *context), void *context);

/* A text of these bytes, in palloc'ed memory of just that size. */
extern text *ServerText(const uint8_t *data, size_t size);

#endif
