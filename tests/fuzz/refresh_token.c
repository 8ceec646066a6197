/* SPDX-License-Identifier: MIT
 *
 * refresh_token.c: refresh tokens.  A text that is read has one form: written again it is the same, and
 * authentic with the key of that alone; no other text is authentic.
 */
#include "postgres.h"

#include "base/compat.h"
#include "fuzz.h"
#include "tokens/refresh_token.h"
#include "server.h"

static const unsigned char key[AUTH_REFRESH_KEY_BYTES] = "a key that is no secret";

static void
Read(void *context)
{
    const text *given = context;
    const char *bytes = VARDATA_ANY(given);
    Size size = VARSIZE_ANY_EXHDR(given);
    RefreshToken token;
    RefreshToken again;
    char *written;

    if (!RefreshTokenDecode(bytes, size, &token))
        return;
    REQUIRE(size == AUTH_REFRESH_TOKEN_CHARS);
    written = RefreshTokenEncode(&token, key);
    REQUIRE(strlen(written) == size);
    REQUIRE(RefreshTokenDecode(written, size, &again) && again.user_id == token.user_id &&
            memcmp(&again.session_id, &token.session_id, sizeof(again.session_id)) == 0 &&
            again.generation.counter == token.generation.counter &&
            again.generation.nonce == token.generation.nonce);
    REQUIRE(RefreshTokenIsAuthentic(written, size, &again, key));
    /* All but the tag is the same: then it is authentic where the tag is, too. */
    REQUIRE(RefreshTokenIsAuthentic(bytes, size, &token, key) ==
            (memcmp(bytes, written, size) == 0));
    REQUIRE(memcmp(bytes, written, 54) == 0);
}

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

static void
Run(void *context)
{
    const Input *input = context;

    Read(ServerText(input->data, input->size));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = {data, size};

    ServerRun(Run, &input);
    return 0;
}
