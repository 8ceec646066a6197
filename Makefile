# SPDX-License-Identifier: MIT
#
# Two halves.  The first needs nothing but make: its targets install what is missing, then call the
# second.  The second is PGXS, which exists only once postgresql-server-dev is installed.

EXTENSION := auth_service
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" auth_service.control)
EXTREQUIRES := $(shell sed -n "s/^requires *= *'\(.*\)'/\1/p" auth_service.control)
PORT ?= 8000
export PORT

# ---- Targets that bootstrap ---------------------------------------------------------------------

.PHONY: run test test-debian fuzz-tokens fuzz lint sanitize valgrind leaks soak-refresh crash soak bench bench-growth docker-check psql help
.DEFAULT_GOAL := all

run:
	@scripts/bootstrap build
	@scripts/run

test:
	@scripts/bootstrap build test
	@scripts/test $(TESTS)

# Installs nothing here: what it needs is in the roots.
test-debian:
	@TESTS='$(TESTS)' scripts/test-debian $(SUITE)

fuzz-tokens:
	@scripts/bootstrap build test
	@FUZZ_TOKENS=$${FUZZ_TOKENS:-2000000} scripts/test tests/t/63_token_mutations.pl

fuzz:
	@scripts/bootstrap build fuzz
	@scripts/fuzz $(FUZZ)

lint:
	@scripts/bootstrap build lint
	@scripts/lint

sanitize:
	@scripts/bootstrap build test
	@scripts/sanitize $(TESTS)

valgrind:
	@scripts/bootstrap build test valgrind
	@scripts/valgrind $(TESTS)

leaks:
	@scripts/bootstrap build test
	@LEAK_REQUESTS='$(or $(LEAK_REQUESTS),200000)' scripts/test tests/t/57_leaks.pl

soak-refresh:
	@scripts/bootstrap build test
	@ROUNDS='$(or $(ROUNDS),5000)' scripts/test tests/t/33_lost_answers.pl

crash:
	@scripts/bootstrap build test
	@ROUNDS='$(or $(ROUNDS),20)' scripts/test tests/t/91_kill.pl

soak:
	@scripts/bootstrap build test
	@SOAK_SECONDS='$(or $(SOAK_SECONDS),3600)' FAULT_EVERY='$(or $(FAULT_EVERY),30)' scripts/test tests/t/92_soak.pl

bench:
	@scripts/bootstrap build test bench
	@scripts/bench; status=$$?; \
	if [ -z "$$QUICK$$LINES_ONLY" ]; then $(MAKE) -s bench-growth || status=1; fi; \
	exit $$status

# The picture shows the sizes of this run.
bench-growth:
	@scripts/bootstrap build bench
	@scripts/bench bench/growth.pl; status=$$?; \
	gnuplot -e "tsv='.build/bench/growth.tsv'; svg='docs/growth.svg'" bench/growth.gnuplot && sed -i 's/[[:blank:]]*$$//' docs/growth.svg || status=1; \
	exit $$status

# Needs Docker, which bootstrap does not install: see the script.
docker-check:
	@scripts/docker-check

psql:
	@scripts/psql $(ARGS)

help:
	@echo 'make run        install what is missing, build, serve on http://127.0.0.1:8000 (PORT=...)'
	@echo 'make test       the same, then every test (TESTS="tests/pgtap/01_register.sql ..." for some)'
	@echo 'make test-debian  the same two on a bare Debian (SUITE=bookworm, trixie or sid)'
	@echo 'make fuzz-tokens  2,000,000 mutated access tokens, of which none may be good (FUZZ_TOKENS=, FUZZ_SEED=)'
	@echo 'make fuzz       libFuzzer on what reads tokens, e-mail addresses, forms and headers (FUZZ_SECONDS=60, FUZZ="token ...")'
	@echo 'make psql       psql on the cluster of make run (ARGS="-Atc ...")'
	@echo 'make            build the extension and shim/auth-service'
	@echo 'make install    install both; make installcheck tests against a running server'
	@echo 'make lint       format and static checks'
	@echo 'make soak-refresh  refreshes whose connections are cut at random bytes (ROUNDS=5000, SEED=...)'
	@echo 'make crash      kill -9 of the server in the middle of registrations, refreshes and balance changes (ROUNDS=20)'
	@echo 'make soak       an hour of mixed load with a fault every 30 seconds (SOAK_SECONDS=3600, FAULT_EVERY=30, SEED=...)'
	@echo 'make sanitize   the tests over HTTP, with the shim under ASan and UBSan, then under TSan'
	@echo 'make valgrind   the SQL tests in a server under valgrind (TESTS=...)'
	@echo 'make leaks      what 200,000 requests and 200,000 calls leave behind (LEAK_REQUESTS=...)'
	@echo 'make bench      throughput, times, memory, each beside what this machine can do (QUICK=1, LINES_ONLY="me refresh")'
	@echo 'make bench-growth  what grows with the number of accounts, up to 5 million, and docs/growth.svg (SIZES="1000 100000", SAMPLE=, REFRESHES=)'
	@echo 'make docker-check  build the images, run them with Docker Compose, try what docs/docker.md says of them'
	@echo 'make clean      remove what was built'

# ---- PGXS ---------------------------------------------------------------------------------------

ifeq ($(origin PG_CONFIG),undefined)
PG_CONFIG := $(shell scripts/pg_config 2>/dev/null)
endif
PGXS := $(shell test -n "$(PG_CONFIG)" && $(PG_CONFIG) --pgxs)

ifeq ($(wildcard $(PGXS)),)

all install installcheck: ; @echo 'make $@: no PostgreSQL development files; run "make run" or "make test" once, they install them' >&2; exit 1
clean: ; rm -rf extension/*.o extension/*/*.o extension/*.d extension/*/*.d *.so .build shim/auth-service

else

MODULE_big = auth_service
# extension/ and shim/ have a folder for each room: docs/architecture.md.
OBJS = $(patsubst %.c,%.o,$(wildcard extension/*.c extension/*/*.c))

# The install script of this version is made of these, in this order: each uses what stands before it.
SQL_SUBJECTS = schema accounts balances sessions hooks keys identity rpc protection lists privileges
SQL_PARTS = $(SQL_SUBJECTS:%=sql/%.sql)
DATA = $(wildcard sql/updates/$(EXTENSION)--*.sql)
DATA_built = .build/$(EXTENSION)--$(EXTVERSION).sql
EXTRA_CLEAN = extension/*.d extension/*/*.d .build
NO_INSTALLCHECK = 1

WARNINGS = -Wall -Wextra -Werror -Wmissing-prototypes -Wshadow -Wvla

# libjwt is opened at run time, not linked: see extension/keys/libjwt.c.
LIBJWT_SONAME := $(shell objdump -p "$$($(CC) -print-file-name=libjwt.so)" | awk '$$1 == "SONAME" {print $$2}')
LIBJWT_MINOR := $(shell sed -n 's/^Version: 1\.\([0-9]*\).*/\1/p' "$$(dirname "$$($(CC) -print-file-name=libjwt.so)")/pkgconfig/libjwt.pc")
PG_CPPFLAGS = -Iextension -DAUTH_SERVICE_VERSION='"$(EXTVERSION)"' -DAUTH_LIBJWT_SONAME='"$(LIBJWT_SONAME)"' -DAUTH_LIBJWT_MINOR=$(LIBJWT_MINOR) -MMD -MP
# PostgreSQL's own headers are not written for -Wextra's unused parameters and signs.
PG_CFLAGS = -std=gnu11 $(WARNINGS) -Wno-unused-parameter -Wno-sign-compare -Wno-declaration-after-statement

override with_llvm = no
SHLIB_LINK += -lcrypto -Wl,--version-script=extension/exports.map
include $(PGXS)

-include $(OBJS:.o=.d)

$(DATA_built): $(SQL_PARTS) auth_service.control Makefile
	@$(MKDIR_P) $(@D)
	@cat $(SQL_PARTS) >$@

auth_service.so: extension/exports.map
$(OBJS): auth_service.control

# ---- The shim: an ordinary program, without a header of the server ----------------------------

SHIM_CFLAGS = -std=gnu11 -O2 -g $(WARNINGS) -Wconversion -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
	-DAUTH_SERVICE_VERSION='"$(EXTVERSION)"' -DAUTH_SERVICE_REQUIRES='"$(EXTREQUIRES)"' -DAUTH_SERVICE_DATADIR='"$(SHIM_DATADIR)"' -Ishim -I$(shell $(PG_CONFIG) --includedir)
SHIM_LIBS = -L$(shell $(PG_CONFIG) --libdir) -lpq -lcivetweb -lpthread -Wl,--export-dynamic-symbol=_gnutls_global_init_skip
SHIM_SOURCES = $(wildcard shim/*.c shim/*/*.c)

# Where make install puts the command, and the files of /docs where scripts/viewer has got them.
SHIM_BINDIR ?= /usr/local/bin
SHIM_DATADIR ?= /usr/share/auth-service
VIEWER_FILES = $(wildcard .build/swagger-ui/*)

all: shim/auth-service

# The shim under a sanitizer, for scripts/sanitize: SANITIZER=... OUTPUT=...
sanitized-shim:
	$(CC) $(filter-out -D_FORTIFY_SOURCE=2,$(SHIM_CFLAGS)) -fno-omit-frame-pointer -fsanitize=$(SANITIZER) -o $(OUTPUT) $(SHIM_SOURCES) $(SHIM_LIBS)

install: install-shim
install-shim: shim/auth-service
	$(MKDIR_P) '$(DESTDIR)$(SHIM_BINDIR)'
	$(INSTALL_PROGRAM) shim/auth-service '$(DESTDIR)$(SHIM_BINDIR)/'
ifneq ($(VIEWER_FILES),)
	$(MKDIR_P) '$(DESTDIR)$(SHIM_DATADIR)/swagger-ui'
	$(INSTALL_DATA) $(VIEWER_FILES) '$(DESTDIR)$(SHIM_DATADIR)/swagger-ui/'
endif

uninstall: uninstall-shim
uninstall-shim:
	rm -f '$(DESTDIR)$(SHIM_BINDIR)/auth-service'
	rm -rf '$(DESTDIR)$(SHIM_DATADIR)/swagger-ui'

clean: clean-shim
clean-shim:
	rm -f shim/auth-service

shim/auth-service: $(SHIM_SOURCES) $(wildcard shim/*/*.h shim/pages/docs/*) Makefile auth_service.control
	$(CC) $(SHIM_CFLAGS) $(SHIM_CFLAGS_EXTRA) -o $@ $(SHIM_SOURCES) $(SHIM_LIBS)

installcheck:
	@scripts/installcheck

include tests/fuzz/fuzz.mk

.PHONY: installcheck sanitized-shim install-shim uninstall-shim clean-shim

endif
