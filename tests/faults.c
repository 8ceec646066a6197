/* SPDX-License-Identifier: MIT
 *
 * faults.c: memory that runs out at a chosen moment, for tests/t/67_faults.pl.
 *
 * Preloaded into the server it stands in for malloc and its like; as a module of the server it has the
 * SQL function fault(nth integer, lasting boolean): the nth allocation from now on fails, or all from
 * it on.  0: none.  libjwt's jansson is opened so that it has a malloc of its own, and is told of ours.
 */
#include "postgres.h"

#include <dlfcn.h>
#include <errno.h>

#include "fmgr.h"

PG_MODULE_MAGIC;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

void *faulty_malloc(size_t size);
Datum fault(PG_FUNCTION_ARGS);
Datum failures(PG_FUNCTION_ARGS);

static int countdown = 0;
static bool is_lasting = false;
static int failed = 0;

static bool
Fails(void)
{
    if (countdown == 0 || (countdown > 1 && --countdown > 0))
        return false;
    if (!is_lasting)
        countdown = 0;
    failed++;
    errno = ENOMEM;
    return true;
}

void *
malloc(size_t size)
{
    return Fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
    return Fails() ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
    return Fails() ? NULL : __libc_realloc(old, size);
}

void *
faulty_malloc(size_t size)
{
    return malloc(size);
}

PG_FUNCTION_INFO_V1(fault);
Datum
fault(PG_FUNCTION_ARGS)
{
    void *jansson = dlopen("libjansson.so.4", RTLD_NOW | RTLD_NOLOAD);
    void (*set)(void *(*)(size_t), void (*)(void *)) = NULL;

    if (jansson != NULL)
        *(void **)&set = dlsym(jansson, "json_set_alloc_funcs");
    if (set != NULL)
        set(faulty_malloc, free);
    is_lasting = PG_GETARG_BOOL(1);
    failed = 0;
    /* "x > 1 && --x > 0" passes x - 1 times. */
    countdown = PG_GETARG_INT32(0);
    PG_RETURN_BOOL(set != NULL);
}

PG_FUNCTION_INFO_V1(failures);
Datum
failures(PG_FUNCTION_ARGS)
{
    countdown = 0;
    PG_RETURN_INT32(failed);
}
