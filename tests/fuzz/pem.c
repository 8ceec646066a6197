/* SPDX-License-Identifier: MIT
 *
 * pem.c: keys that import_signing_key is given, by KeyImport.  What is taken is the public half of a
 * key of the algorithm.  (Whether OpenSSL finds the numbers of a damaged RSA key good is a matter of chance.)
 */
#include "postgres.h"

#include <openssl/err.h>

#include "base/compat.h"
#include "fuzz.h"
#include "keys/key.h"
#include "server.h"
#include "store/key.h"

const pg_uuid_t no_session = {{0}};

bool
StoreKeyFind(const char *kid, KeyRow *row)
{
    return false;
}

char *
StoreImportedKids(TimestampTz now)
{
    return pstrdup("");
}

static void
Run(void *context)
{
    static const char *const algorithms[] = {"ES256", "RS256", "EdDSA"};
    const char *pem = context;
    Size i;

    for (i = 0; i < lengthof(algorithms); i++) {
        KeyRow row;

        if (KeyImport(algorithms[i], pem, &row)) {
            struct evp_pkey_st *key =
                CryptoReadPublished(algorithms[i], (unsigned char *)VARDATA_ANY(row.public_key),
                                    VARSIZE_ANY_EXHDR(row.public_key));

            REQUIRE(key != NULL && row.secret == NULL);
            CryptoRelease(key);
        }
        REQUIRE(ERR_peek_error() == 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *pem = text_of(data, size);

    ServerRun(Run, pem);
    free(pem);
    return 0;
}
