/* SPDX-License-Identifier: MIT
 *
 * cursor.c: the form of cursors.
 *
 *   base64url( version 1 || list 1 || value 8 || id 8 )
 *
 * 24 characters, opaque for clients.  Not signed: who may read the list may begin where he likes.
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "base/base64url.h"
#include "base/compat.h"
#include "lists/cursor.h"

#define VERSION      1
#define CURSOR_BYTES 18
#define CURSOR_CHARS 24

char *
CursorEncode(const Cursor *cursor)
{
    unsigned char raw[CURSOR_BYTES] = {VERSION, (unsigned char)cursor->list};
    uint64 value = pg_hton64((uint64)cursor->value);
    uint64 id = pg_hton64((uint64)cursor->id);
    char *encoded = palloc(CURSOR_CHARS + 1);

    memcpy(raw + 2, &value, 8);
    memcpy(raw + 10, &id, 8);
    Base64UrlEncode(raw, sizeof(raw), encoded);
    return encoded;
}

/* False where it is no cursor of this list. */
bool
CursorDecode(text *given, char list, Cursor *cursor)
{
    unsigned char raw[CURSOR_BYTES + 2];
    uint64 value;
    uint64 id;

    if (VARSIZE_ANY_EXHDR(given) != CURSOR_CHARS ||
        Base64UrlDecode(VARDATA_ANY(given), CURSOR_CHARS, raw) != CURSOR_BYTES ||
        raw[0] != VERSION || (char)raw[1] != list)
        return false;
    memcpy(&value, raw + 2, 8);
    memcpy(&id, raw + 10, 8);
    cursor->list = list;
    cursor->value = (int64)pg_ntoh64(value);
    cursor->id = (int64)pg_ntoh64(id);
    return true;
}
