/* SPDX-License-Identifier: MIT
 *
 * text.c: see text.h.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

#include "base/compat.h"
#include "base/text.h"

bool
TextIsPrintable(text *value, int chars_max)
{
    const char *c = VARDATA_ANY(value);
    Size size = VARSIZE_ANY_EXHDR(value);
    Size i;

    if (size > (Size)chars_max * MAX_MULTIBYTE_CHAR_LEN)
        return false;
    for (i = 0; i < size; i++)
        if ((unsigned char)c[i] < 0x20 || c[i] == 0x7F)
            return false;
    return size > 0 && pg_mbstrlen_with_len(c, (int)size) <= chars_max;
}

text *
TextUpTo(Datum argument, Size bytes_max)
{
    return toast_raw_datum_size(argument) - VARHDRSZ <= bytes_max ? DatumGetTextPP(argument) : NULL;
}

char *
TextToJson(const char *member, const char *value)
{
    StringInfoData json;

    initStringInfo(&json);
    appendStringInfoChar(&json, '{');
    escape_json(&json, member);
    appendStringInfoChar(&json, ':');
    escape_json(&json, value);
    appendStringInfoChar(&json, '}');
    return json.data;
}
