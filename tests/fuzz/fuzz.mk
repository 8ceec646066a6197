# SPDX-License-Identifier: MIT
#
# fuzz.mk: the harnesses, one program each, for scripts/fuzz and tests/t/74_fuzz_corpora.pl:
#
#   make fuzz-harnesses FUZZ_DIR=DIR [FUZZ_CC=clang FUZZ_FLAGS=... FUZZ_MAIN=]
#
# Without more they are built by the compiler that builds all else, under ASan and UBSan, to replay files.

FUZZ_CC ?= $(CC)
FUZZ_FLAGS ?= -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_MAIN ?= tests/fuzz/replay.c
FUZZ_HARNESSES = base64url email field form framing header json pem refresh_token token

FUZZ_CFLAGS = -std=gnu11 -D_GNU_SOURCE -g $(WARNINGS) -Wno-unused-parameter -Wno-sign-compare -fno-omit-frame-pointer \
	$(FUZZ_FLAGS) -Itests/fuzz
FUZZ_SERVER_CFLAGS = -Iextension -I$(shell $(PG_CONFIG) --includedir-server) $(filter-out -MMD -MP,$(PG_CPPFLAGS))
FUZZ_SERVER = tests/fuzz/server.c tests/fuzz/absent.c extension/base/base64url.c
FUZZ_SERVER_LIBS = -Wl,--wrap=time,--wrap=dlopen -L$(shell $(PG_CONFIG) --pkglibdir) -L$(shell $(PG_CONFIG) --libdir) \
	-lpgcommon -lpgport -lcrypto -ldl -lm

FUZZ_KEY = $(addprefix extension/keys/,key.c key_row.c libjwt.c libcrypto_key.c libcrypto_signature.c)
fuzz_base64url = extension/lists/cursor.c
fuzz_email = extension/base/email.c extension/base/text.c
fuzz_field = extension/rpc/argument_type.c extension/base/errors.c
fuzz_pem = $(FUZZ_KEY)
fuzz_refresh_token = extension/tokens/refresh_token.c
fuzz_token = extension/tokens/access_token.c extension/tokens/claims.c $(FUZZ_KEY)
FUZZ_ROUTES = $(addprefix api/,parameters.c router.c routes.c statements.c)
fuzz_form = $(addprefix shim/,http/form.c base/buffer.c $(FUZZ_ROUTES))
fuzz_framing = shim/http/framing.c
fuzz_header = $(addprefix shim/,http/header.c api/router.c api/routes.c api/statements.c)
fuzz_json = $(addprefix shim/,base/buffer.c telemetry/log.c telemetry/metrics.c api/problem.c http/form.c $(FUZZ_ROUTES))

FUZZ_OF_SHIM = form framing header json

ifdef FUZZ_DIR

fuzz-harnesses: $(addprefix $(FUZZ_DIR)/,$(FUZZ_HARNESSES))

$(addprefix $(FUZZ_DIR)/,$(FUZZ_OF_SHIM)): $(FUZZ_DIR)/%: tests/fuzz/%.c
	$(FUZZ_CC) $(FUZZ_CFLAGS) -Ishim -I$(shell $(PG_CONFIG) --includedir) -o $@ $< $(FUZZ_MAIN) $(fuzz_$*)

$(addprefix $(FUZZ_DIR)/,$(filter-out $(FUZZ_OF_SHIM),$(FUZZ_HARNESSES))): $(FUZZ_DIR)/%: tests/fuzz/%.c
	$(FUZZ_CC) $(FUZZ_CFLAGS) $(FUZZ_SERVER_CFLAGS) -o $@ $< $(FUZZ_MAIN) $(FUZZ_SERVER) $(fuzz_$*) $(FUZZ_SERVER_LIBS)

.PHONY: fuzz-harnesses

endif
