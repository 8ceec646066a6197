/* SPDX-License-Identifier: MIT
 *
 * cursor.h: where a page of a list begins.
 */
#ifndef AUTH_SERVICE_LISTS_CURSOR_H
#define AUTH_SERVICE_LISTS_CURSOR_H

/* The row that a page begins behind: its place in the list's order. */
typedef struct Cursor {
    char list;   /* which list in which order: a cursor of another one is refused */
    int64 value; /* what the list is ordered by; 0 where that is the id */
    int64 id;
} Cursor;

extern char *CursorEncode(const Cursor *cursor);
extern bool CursorDecode(text *given, char list, Cursor *cursor);

#endif
