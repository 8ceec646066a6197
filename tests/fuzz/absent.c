/* SPDX-License-Identifier: MIT
 *
 * absent.c: functions of the server and of ours that the harnesses' files name and no harness calls.
 */
#include <stdlib.h>

#define ABSENT(name)                                                                               \
    extern void name(void);                                                                        \
    void name(void)                                                                                \
    {                                                                                              \
        abort();                                                                                   \
    }

ABSENT(DirectFunctionCall1Coll)
ABSENT(DirectFunctionCall2Coll)
ABSENT(ProcessInterrupts)
ABSENT(KekCurrent)
ABSENT(KekLoad)
ABSENT(EnvelopeUnwrap)
ABSENT(KekRequire)
ABSENT(EnvelopeWrap)
ABSENT(StoreKeyInsert)
ABSENT(StoreKeyNewest)
ABSENT(StoreKeySigning)
ABSENT(lower)
ABSENT(unicode_normalize_func)
