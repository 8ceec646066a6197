/* SPDX-License-Identifier: MIT
 *
 * shim_faults.c: memory that runs out now and then, for tests/t/75_shim_faults.pl.
 *
 * Preloaded into the shim it stands in for malloc and its like.  The file that SHIM_FAULTS names is mapped,
 * and says at any moment which of them fail; the test writes it while the shim serves.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* As the test packs it. */
struct faults {
    atomic_int per_million; /* so many of a million allocations fail, at random */
    atomic_int countdown;   /* the one with which it comes to 0 fails, and then so many more */
    atomic_int more;
    atomic_int failed; /* how many have */
};

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static struct faults none;
static struct faults *faults = &none;
static _Thread_local unsigned long long state;

__attribute__((constructor)) static void
open_faults(void)
{
    const char *name = getenv("SHIM_FAULTS");
    int fd = name != NULL ? open(name, O_RDWR | O_CLOEXEC) : -1;
    void *map =
        fd >= 0 ? mmap(NULL, sizeof(none), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (map == MAP_FAILED)
        _exit(126);
    close(fd);
    faults = map;
}

/* xorshift64, begun differently in each thread. */
static int
next_random(void)
{
    if (state == 0)
        state = (unsigned long long)(size_t)&state | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)((state >> 20) % 1000000);
}

static int
fails(void)
{
    int wanted =
        atomic_load(&faults->per_million) > 0 && next_random() < atomic_load(&faults->per_million);

    if (!wanted && atomic_load(&faults->countdown) > 0)
        wanted = atomic_fetch_sub(&faults->countdown, 1) == 1;
    else if (!wanted && atomic_load(&faults->more) > 0)
        wanted = atomic_fetch_sub(&faults->more, 1) > 0;
    if (!wanted)
        return 0;
    atomic_fetch_add(&faults->failed, 1);
    errno = ENOMEM;
    return 1;
}

void *
malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}
