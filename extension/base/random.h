/* SPDX-License-Identifier: MIT
 *
 * random.h: bytes that nobody can guess.
 */
#ifndef AUTH_SERVICE_BASE_RANDOM_H
#define AUTH_SERVICE_BASE_RANDOM_H

/* Fill the buffer from the system's generator, or raise. */
static inline void
RandomBytes(void *buffer, Size size)
{
    if (!pg_strong_random(buffer, size))
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes")));
}

#endif
