/* SPDX-License-Identifier: MIT
 *
 * fuzz.h: what the harnesses share.  Each is a file NAME.c with LLVMFuzzerTestOneInput, as libFuzzer calls
 * it, and so does replay.c; its corpus is corpus/NAME.  A harness takes any bytes, and stops the program
 * where what our code made of them cannot be.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stop, and say where, unless this holds. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* One run on these bytes; 0. */
extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes with a NUL behind them, to be freed: a byte beyond it is a byte too far. */
static inline char *
text_of(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);

    REQUIRE(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

#endif
