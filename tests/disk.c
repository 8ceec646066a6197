/* SPDX-License-Identifier: MIT
 *
 * disk.c: a disk that is full at a chosen moment, for tests/t/55_faults.pl.
 *
 * Preloaded into the server: while the file that DISK_FULL names is there, what it holds is a part of a path, and
 * nothing can be written to files of such a path.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static bool
is_full(int fd)
{
    const char *flag = getenv("DISK_FULL");
    char link[64];
    char path[1024];
    char part[64];
    ssize_t length;
    int file;

    if (flag == NULL || access(flag, F_OK) != 0)
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - 1);
    file = open(flag, O_RDONLY | O_CLOEXEC);
    if (length < 0 || file < 0)
        return false;
    path[length] = '\0';
    length = read(file, part, sizeof(part) - 1);
    close(file);
    if (length <= 0)
        return false;
    part[length] = '\0';
    return strstr(path, part) != NULL;
}

#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (real == NULL)                                                                              \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define FULL(fd)                                                                                   \
    if (is_full(fd)) {                                                                             \
        errno = ENOSPC;                                                                            \
        return -1;                                                                                 \
    }

ssize_t
pwrite(int fd, const void *data, size_t size, off_t offset)
{
    REAL(pwrite);
    FULL(fd)
    return real(fd, data, size, offset);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL(pwritev);
    FULL(fd)
    return real(fd, parts, count, offset);
}

ssize_t
write(int fd, const void *data, size_t size)
{
    REAL(write);
    FULL(fd)
    return real(fd, data, size);
}

int
posix_fallocate(int fd, off_t offset, off_t size)
{
    REAL(posix_fallocate);
    if (is_full(fd))
        return ENOSPC;
    return real(fd, offset, size);
}
