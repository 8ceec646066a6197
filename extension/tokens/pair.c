/* SPDX-License-Identifier: MIT
 *
 * pair.c: see pair.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/random.h"
#include "base/types.h"
#include "keys/key.h"
#include "tokens/access_token.h"
#include "tokens/pair.h"
#include "tokens/refresh_token.h"

Datum
TokenPair(FunctionCallInfo fcinfo, UserRole role, const RefreshToken *refresh,
          const unsigned char *refresh_key)
{
    Datum values[4];
    bool nulls[4] = {false};
    TupleDesc descriptor;

    if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "auth.token_pair is no composite type");
    descriptor = BlessTupleDesc(descriptor);
    if (descriptor->natts != lengthof(values))
        elog(ERROR, "auth.token_pair has not its columns");
    values[0] = CStringGetTextDatum(TokenIssue(KeyActive(), role, refresh));
    values[1] = CStringGetTextDatum(RefreshTokenEncode(refresh, refresh_key));
    values[2] = CStringGetTextDatum("bearer");
    values[3] = Int32GetDatum(TokenLifetime());
    return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
}

int64
TokenPairNonce(void)
{
    uint64 nonce;

    RandomBytes(&nonce, sizeof(nonce));
    return (int64)(nonce >> 1);
}
