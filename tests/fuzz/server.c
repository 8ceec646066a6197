/* SPDX-License-Identifier: MIT
 *
 * server.c: stands in for the PostgreSQL server around the extension's files, so that they run under
 * sanitizers: palloc is malloc, and ereport jumps to ServerRun.  What PostgreSQL has in libpgcommon and
 * libpgport is taken from there.
 */
#include "postgres.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <time.h>

#include "access/detoast.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "fuzz.h"
#include "base/settings.h"
#include "server.h"

int auth_service_access_token_ttl = AUTH_ACCESS_TOKEN_TTL_DEFAULT;
int auth_service_refresh_token_idle_ttl = AUTH_REFRESH_TOKEN_IDLE_TTL_DEFAULT;
char *auth_service_issuer = "auth_service";
char *auth_service_audience = "";

volatile sig_atomic_t InterruptPending = false;
volatile sig_atomic_t ProcDiePending = false;
volatile sig_atomic_t QueryCancelPending = false;

/* ---- Memory: a list of what is to be freed, and no header before a chunk ---------------------- */

static void **chunks = NULL;
static size_t chunk_count = 0;
static size_t chunk_room = 0;

static void *
Keep(void *chunk)
{
    REQUIRE(chunk != NULL);
    if (chunk_count == chunk_room) {
        chunk_room = chunk_room * 2 + 64;
        chunks = realloc(chunks, chunk_room * sizeof(*chunks));
        REQUIRE(chunks != NULL);
    }
    chunks[chunk_count++] = chunk;
    return chunk;
}

/* Take a chunk out of the list; it has to be there. */
static void
Forget(const void *chunk)
{
    size_t i = chunk_count;

    while (i > 0 && chunks[i - 1] != chunk)
        i--;
    REQUIRE(i > 0);
    chunks[i - 1] = chunks[--chunk_count];
}

void *
palloc(Size size)
{
    return Keep(malloc(size));
}

void *
palloc0(Size size)
{
    return Keep(calloc(1, size));
}

void *
palloc_extended(Size size, int flags)
{
    return flags & MCXT_ALLOC_ZERO ? palloc0(size) : palloc(size);
}

void *
repalloc(void *chunk, Size size)
{
    Forget(chunk);
    return Keep(realloc(chunk, size));
}

void
pfree(void *chunk)
{
    Forget(chunk);
    free(chunk);
}

char *
pstrdup(const char *from)
{
    return strcpy(palloc(strlen(from) + 1), from);
}

/* libpgcommon's own; here so that its file with another palloc is not linked. */
extern void *pg_malloc(size_t size);
extern void *pg_malloc0(size_t size);
extern void pg_free(void *chunk);

void *
pg_malloc(size_t size)
{
    void *chunk = malloc(size);

    REQUIRE(chunk != NULL);
    return chunk;
}

void *
pg_malloc0(size_t size)
{
    return memset(pg_malloc(size), 0, size);
}

void
pg_free(void *chunk)
{
    free(chunk);
}

/* ---- Errors ------------------------------------------------------------------------------- */

static jmp_buf *handler = NULL;

/* The issuer of the harnesses has nothing to escape. */
void
escape_json(StringInfo json, const char *string)
{
    REQUIRE(string[strcspn(string, "\"\\")] == '\0');
    appendStringInfo(json, "\"%s\"", string);
}

bool
ServerRun(void (*code)(void *context), void *context)
{
    jmp_buf here;
    volatile bool good = false;

    handler = &here;
    if (setjmp(here) == 0) {
        code(context);
        good = true;
    }
    handler = NULL;
    while (chunk_count > 0)
        free(chunks[--chunk_count]);
    return good;
}

bool
errstart(int level, const char *domain)
{
    return level >= ERROR;
}

bool
errstart_cold(int level, const char *domain)
{
    return errstart(level, domain);
}

void
errfinish(const char *file, int line, const char *function)
{
    REQUIRE(handler != NULL);
    longjmp(*handler, 1);
}

#define SAYS_NOTHING(name)                                                                         \
    int name(const char *format, ...)                                                              \
    {                                                                                              \
        return 0;                                                                                  \
    }
SAYS_NOTHING(errmsg)
SAYS_NOTHING(errmsg_internal)
SAYS_NOTHING(errhint)
SAYS_NOTHING(errdetail_internal)
SAYS_NOTHING(errdetail_log)

#define DOES_NOTHING(name, type)                                                                   \
    int name(type nothing)                                                                         \
    {                                                                                              \
        return 0;                                                                                  \
    }
DOES_NOTHING(errcode, int)
DOES_NOTHING(errhidestmt, bool)
DOES_NOTHING(errhidecontext, bool)

int
err_generic_string(int field, const char *value)
{
    return 0;
}

/* ---- Texts --------------------------------------------------------------------------------- */

text *
ServerText(const uint8_t *data, size_t size)
{
    text *value = palloc(VARHDRSZ + size);

    SET_VARSIZE(value, VARHDRSZ + size);
    memcpy(VARDATA(value), data, size);
    return value;
}

char *
text_to_cstring(const text *value)
{
    Size size = VARSIZE_ANY_EXHDR(value);
    char *copy = palloc(size + 1);

    memcpy(copy, VARDATA_ANY(value), size);
    copy[size] = '\0';
    return copy;
}

text *
cstring_to_text(const char *from)
{
    return ServerText((const uint8_t *)from, strlen(from));
}

struct varlena *
pg_detoast_datum_packed(struct varlena *datum)
{
    return datum;
}

Size
toast_raw_datum_size(Datum value)
{
    return VARSIZE_ANY_EXHDR(DatumGetPointer(value)) + VARHDRSZ;
}

int
GetDatabaseEncoding(void)
{
    return PG_UTF8;
}

int
pg_mbstrlen_with_len(const char *from, int size)
{
    int count = 0;

    while (size > 0 && *from != '\0') {
        int length = pg_utf_mblen((const unsigned char *)from);

        size -= length;
        from += length;
        count++;
    }
    return count;
}

/* ---- Time, and the library of libjwt ---------------------------------------------------------- */

extern time_t __wrap_time(time_t *result);
extern void *__real_dlopen(const char *name, int flags);
extern void *__wrap_dlopen(const char *name, int flags);

time_t
__wrap_time(time_t *result)
{
    return SERVER_NOW;
}

TimestampTz
GetCurrentTimestamp(void)
{
    return time_t_to_timestamptz(SERVER_NOW);
}

TimestampTz
time_t_to_timestamptz(pg_time_t moment)
{
    return (moment - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (TimestampTz)SECS_PER_DAY) *
           USECS_PER_SEC;
}

pg_time_t
timestamptz_to_time_t(TimestampTz moment)
{
    return (pg_time_t)(moment / USECS_PER_SEC +
                       (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (TimestampTz)SECS_PER_DAY);
}

/* RTLD_DEEPBIND, which keeps libjwt's jansson and the server apart, and a sanitizer exclude each other. */
void *
__wrap_dlopen(const char *name, int flags)
{
    return __real_dlopen(name, flags & ~RTLD_DEEPBIND);
}
