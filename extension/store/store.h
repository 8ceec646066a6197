/* SPDX-License-Identifier: MIT
 *
 * store.h: what the tables have in common.  Each has a header of its own: one function a statement; the
 * callers see structs, and no SPI.
 *
 * All run as the extension's owner, whoever called; palloc'ed results live in the caller's context.
 */
#ifndef AUTH_SERVICE_STORE_H
#define AUTH_SERVICE_STORE_H

/* Takes a row of a list; is_last: none is behind it. */
typedef void (*StoreRowSink)(void *context, const Datum *values, const bool *nulls, bool is_last);

extern Oid StoreOwner(void);
extern void StoreCommitDurably(void);
extern void StoreRequireSeen(bool seen);
extern void StoreCommand(const char *sql);

#endif
