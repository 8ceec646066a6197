/* SPDX-License-Identifier: MIT
 *
 * email.c: which e-mail addresses we take, and which are the same.
 *
 * Taken: a dot-atom, '@', and a domain name with at least one dot (RFC 5321, 4.1.2; lengths of
 * 4.5.3.1), and letters beyond ASCII as RFC 6531 allows them.  Not taken: quoted local parts and
 * address literals, which nobody registers with.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "base/email.h"

#define LOCAL_BYTES_MAX 64
#define LABEL_BYTES_MAX 63

static inline bool
IsAlphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           IS_HIGHBIT_SET(c);
}

/* RFC 5322, 3.2.3: atext, and a dot between atoms. */
static bool
IsLocalPart(const char *from, Size size)
{
    Size i;

    if (size == 0 || size > LOCAL_BYTES_MAX || from[0] == '.' || from[size - 1] == '.')
        return false;
    for (i = 0; i < size; i++) {
        if (from[i] == '.' && from[i + 1] == '.')
            return false;
        if (from[i] != '.' && !IsAlphanumeric(from[i]) &&
            (from[i] == '\0' || strchr("!#$%&'*+-/=?^_`{|}~", from[i]) == NULL))
            return false;
    }
    return true;
}

static bool
IsLabel(const char *from, Size size)
{
    Size i;

    if (size == 0 || size > LABEL_BYTES_MAX || from[0] == '-' || from[size - 1] == '-')
        return false;
    for (i = 0; i < size; i++)
        if (from[i] != '-' && !IsAlphanumeric(from[i]))
            return false;
    return true;
}

/* At least two labels, the last not a number. */
static bool
IsDomain(const char *domain)
{
    const char *label = domain;
    const char *dot;

    while ((dot = strchr(label, '.')) != NULL) {
        if (!IsLabel(label, (Size)(dot - label)))
            return false;
        label = dot + 1;
    }
    return label != domain && IsLabel(label, strlen(label)) &&
           strspn(label, "0123456789") < strlen(label);
}

/*
 * Beyond ASCII, UTF-8 only, and nothing that does not show: C1 controls, spaces, joiners,
 * direction marks, variation selectors, tags, private use.  Such an address would look like another.
 */
static bool
IsVisible(const char *email)
{
    const unsigned char *c = (const unsigned char *)email;

    for (; *c != '\0'; c += pg_utf_mblen(c)) {
        pg_wchar u;

        if (!IS_HIGHBIT_SET(*c))
            continue;
        if (GetDatabaseEncoding() != PG_UTF8)
            return false;
        u = utf8_to_unicode(c);
        if (u <= 0xA0 || u == 0xAD || u == 0x034F || u == 0x061C || u == 0x115F || u == 0x1160 ||
            u == 0x1680 || (u >= 0x17B4 && u <= 0x17B5) || (u >= 0x180B && u <= 0x180F) ||
            (u >= 0x2000 && u <= 0x200F) || (u >= 0x2028 && u <= 0x202F) ||
            (u >= 0x205F && u <= 0x206F) || u == 0x3000 || u == 0x3164 ||
            (u >= 0xE000 && u <= 0xF8FF) || (u >= 0xFE00 && u <= 0xFE0F) || u == 0xFEFF ||
            u == 0xFFA0 || (u >= 0xFFF0 && u <= 0xFFFF) || u >= 0xE0000)
            return false;
    }
    return true;
}

bool
EmailIsValid(const char *email)
{
    const char *at = strchr(email, '@');

    return at != NULL && strlen(email) <= AUTH_EMAIL_BYTES_MAX &&
           IsLocalPart(email, (Size)(at - email)) && IsDomain(at + 1) && IsVisible(email);
}

/*
 * The form under which an address is unique and looked up: NFC, and ASCII letters in lower case.
 * The C collation's lower() knows ASCII only, so that a Turkish database does not turn I into ı.
 */
text *
EmailNormalize(const text *email)
{
    Datum value = PointerGetDatum(email);

    if (GetDatabaseEncoding() == PG_UTF8)
        value = DirectFunctionCall2(unicode_normalize_func, value, CStringGetTextDatum("NFC"));
    return DatumGetTextPP(DirectFunctionCall1Coll(lower, C_COLLATION_OID, value));
}
