/* SPDX-License-Identifier: MIT
 *
 * replay.c: a main for the harnesses where there is no libFuzzer: replay [-m] FILE...
 *
 * Runs each file's bytes; with -m also each beginning of them, and all of them with each byte in turn
 * replaced by some that mean something in one of our grammars, or taken out, where they are not many.
 */
#include "fuzz.h"

#define MUTATED_BYTES_MAX 512

static long executions = 0;

/* One run, on a copy of just this size, so that a byte too far is noticed. */
static void
run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    REQUIRE(copy != NULL);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    executions++;
}

static void
run_mutations(uint8_t *data, size_t size)
{
    static const uint8_t others[] = {0,   1,   0x7F, 0x80, 0xC3, 0xFF, '"', '\\',
                                     '%', '+', '&',  '=',  '.',  '/',  ':', ';',
                                     '{', '0', '9',  ' ',  '-',  '\n', '@', 'A'};
    uint8_t *rest = malloc(size > 0 ? size : 1);
    size_t i;
    size_t j;

    REQUIRE(rest != NULL);
    for (i = 0; i < size; i++) {
        uint8_t kept = data[i];

        run(data, i);
        for (j = 0; j < sizeof(others); j++) {
            data[i] = others[j];
            run(data, size);
        }
        data[i] = kept;
        memcpy(rest, data, i);
        memcpy(rest + i, data + i + 1, size - i - 1);
        run(rest, size - 1);
    }
    free(rest);
}

int
main(int argc, char **argv)
{
    bool mutates = argc > 1 && strcmp(argv[1], "-m") == 0;
    int i;

    for (i = mutates ? 2 : 1; i < argc; i++) {
        static uint8_t data[65536];
        FILE *file = fopen(argv[i], "rb");
        size_t size;

        REQUIRE(file != NULL);
        size = fread(data, 1, sizeof(data), file);
        fclose(file);
        run(data, size);
        if (mutates && size <= MUTATED_BYTES_MAX)
            run_mutations(data, size);
    }
    printf("%ld executions\n", executions);
    return 0;
}
