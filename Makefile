# webspaces: build, test, install. `make help` lists the targets.

VERSION := 0.1.0
PREFIX ?= /usr
DESTDIR ?=
B ?= build
SECONDS ?= 60
N ?= 1000

ifeq ($(origin CC),default)
CC := gcc
endif
# V=1 shows whole commands.
Q := $(if $(V),,@)
say = $(if $(V),,@echo '  $1')
CFLAGS ?= -O2 -g
PACKAGES := libconfig libidn2 libsystemd jansson libacl libcrypto libssl libpsl libcurl libcares libseccomp
WERROR ?= -Werror
WARNINGS := -Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wno-unknown-warning-option \
	-Wformat-truncation=0 -Wvla -Wpointer-arith -Wwrite-strings -Wundef -Wimplicit-fallthrough
HARDENING := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
# The directory of this architecture's libraries in /usr/lib.
MULTIARCH = $(or $(shell $(CC) -print-multiarch),$(shell uname -m)-linux-gnu)
# Expanded at use, not at reading: `make deps` must run before the libraries are there.
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -I. -I$B/gen -DVERSION=\"$(VERSION)\" -DMULTIARCH=\"$(MULTIARCH)\" $(WARNINGS) $(HARDENING) \
	$(shell pkg-config --cflags $(PACKAGES)) $(CFLAGS) $(SANITIZE)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS) $(SANITIZE)
LIBS = $(shell pkg-config --libs $(PACKAGES)) -linotifytools -lresolv
LIBS_ONCE := $(LIBS)

SOURCES := $(sort $(shell find agent watchers renderers acme reconcile -name '*.c'))
TEMPLATES := $(sort $(wildcard renderers/templates/*.in))
OBJECTS := $(SOURCES:%.c=$B/obj/%.o) $B/obj/gen/templates.o
UNIT_TESTS := $(patsubst tests/unit/%.c,$B/unit/%,$(wildcard tests/unit/*_test.c))

# The program, and what it runs to talk to CAs: each is linked with the libraries that it calls, no other.
PROGRAMS := $B/webspaces $B/acme-worker
MAIN_OBJECTS := $B/obj/agent/main.o $B/obj/acme/worker/acme_worker.o
all: $(PROGRAMS)

$B/webspaces: $B/obj/agent/main.o
$B/acme-worker: $B/obj/acme/worker/acme_worker.o
$(PROGRAMS): $B/libwebspaces.a
	$(call say,LD $@)
	$Q$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $B/libwebspaces.a $(LIBS_ONCE)

$B/libwebspaces.a: $(filter-out $(MAIN_OBJECTS),$(OBJECTS))
	@rm -f $@
	$(call say,AR $@)
	$Q$(AR) rcs $@ $^

$B/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC $<)
	$Q$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$B/obj/gen/templates.o: $B/gen/templates.c
	@mkdir -p $(@D)
	$Q$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Each template becomes a string, named as its file.
$B/gen/templates.c: $(TEMPLATES) Makefile
	@mkdir -p $(@D)
	@{ echo '#include "renderers/embedded.h"'; \
	   echo 'const struct embedded embedded_templates[] = {'; \
	   for t in $(TEMPLATES); do \
		echo "{ \"$$(basename $$t .in)\","; \
		sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $$t; echo '},'; \
	   done; echo '{ 0, 0 } };'; } > $@

# Tests of one module each; they see the whole library.
$B/unit/%: tests/unit/%.c $B/libwebspaces.a
	@mkdir -p $(@D)
	$(call say,LD $@)
	$Q$(CC) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< $B/libwebspaces.a -lcmocka $(LIBS_ONCE)

# Programs that system tests drive, where the real program is too much around what is tested.
SYSTEM_PROGRAMS := $(patsubst tests/system/%.c,$B/system/%,$(wildcard tests/system/*.c))
$B/system/%: tests/system/%.c $B/libwebspaces.a
	@mkdir -p $(@D)
	$(call say,LD $@)
	$Q$(CC) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< $B/libwebspaces.a $(LIBS_ONCE)

unit-programs: $(UNIT_TESTS)
unit: $(UNIT_TESTS)
	@for t in $(UNIT_TESTS); do $$t > $$t.log 2>&1 || { cat $$t.log; echo "$$t failed"; exit 1; }; done
	@echo "unit: $(words $(UNIT_TESTS)) programs passed"

# Writes tests/golden anew; its diff is to be read like one of code.
golden: $B/unit/golden_test
	$< --write > /dev/null

# The loop that a full pass is measured against.
$B/bare: tests/bench/bare.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

# What the tests need besides, on a machine that has nothing. RUNLEVEL=1: no daemon is started.
BUILD_PACKAGES := gcc make pkg-config libinotifytools0-dev libconfig-dev libssl-dev libsystemd-dev \
	libcurl4-openssl-dev libc-ares-dev libseccomp-dev libjansson-dev libacl1-dev libidn2-dev libpsl-dev
RUN_PACKAGES := nginx-light php-fpm php-cli php-curl iproute2 util-linux mount
TEST_PACKAGES := logrotate libcmocka-dev clang clang-format libclang-rt-14-dev python3 python3-pytest acl strace curl wrk openssl \
	libfcgi-bin mandoc systemd-container mmdebstrap diffutils git \
	lintian prometheus php-soap php-apcu php-imagick php-gd locales fonts-dejavu-core netbase pebble caddy uacme lego faketime bind9-dnsutils
BENCH_PACKAGES := php wordpress wordpress-theme-twentytwentythree php-mysql php-gd mariadb-server strace
DEB_PACKAGES := build-essential debhelper dpkg-dev
define install_packages
	@if [ "$$(dpkg-query -W -f '$${db:Status-Abbrev}\n' $1 2>/dev/null | grep -c '^ii')" != "$(words $1)" ]; then \
		apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -q --no-install-recommends $1; \
	fi
endef

deps-build:
	$(call install_packages,$(BUILD_PACKAGES))
deps-deb: deps-build
	$(call install_packages,$(DEB_PACKAGES))
deps-demo: deps-build
	$(call install_packages,$(RUN_PACKAGES) curl acl python3)
deps: deps-demo deps-deb
	$(call install_packages,$(TEST_PACKAGES))

# The tests on the real program with real daemons, each on a host of its own in private namespaces.
PYTEST := /usr/bin/python3 -B -m pytest -q
# The container root is made here: the tests' own network has no mirror.
FILES ?= tests/system
PART ?= all
system: $(PROGRAMS) $(SYSTEM_PROGRAMS)
	@/usr/bin/python3 -B tests/system/systemd_root.py
	WEBSPACES=$(abspath $B/webspaces) tests/private $(PYTEST) -o cache_dir=$(abspath $B)/pytest-$(PART) $(FILES) $(TESTS)

# Each step in a make of its own: what the first installs, the second sees.
check:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@tests/check

demo:
	@$(MAKE) --no-print-directory deps-demo
	@$(MAKE) --no-print-directory all
	@tests/private --host-net /usr/bin/python3 -B tests/demo/demo.py

asan:
	$(MAKE) B=$B-asan CFLAGS='-O1 -g -fno-omit-frame-pointer' SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined' all unit

lint:
	@tests/lint/lint
format:
	clang-format -i $(shell git ls-files '*.[ch]')

# Only the table goes to stdout.
deps-bench: deps-demo
	$(call install_packages,$(BENCH_PACKAGES))
bench:
	@$(MAKE) --no-print-directory deps-bench >&2
	@$(MAKE) --no-print-directory $B/webspaces $B/bare >&2
	@WEBSPACES=$(abspath $B/webspaces) tests/private /usr/bin/python3 -B tests/bench/bench.py $(N)

# The client alone, beside the worker that it looks for there; and the least that a client can do.
ACME_BENCHES := $B/acme-bench $B/acme-bare
$B/acme-bench: tests/bench/acme.c
$B/acme-bare: tests/bench/acme_bare.c
$(ACME_BENCHES): $B/libwebspaces.a
	$(call say,LD $@)
	$Q$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.c,$^) $B/libwebspaces.a $(LIBS_ONCE)

bench-acme:
	@$(MAKE) --no-print-directory $B/acme-worker $(ACME_BENCHES) >&2
	@BENCH=$(abspath $B/acme-bench) BARE=$(abspath $B/acme-bare) tests/private /usr/bin/python3 -B tests/bench/bench_acme.py

# Webspaces by chance against the real daemons, for SECONDS, each time by another seed.
promise: $(PROGRAMS) $(SYSTEM_PROGRAMS)
	@end=$$(($$(date +%s) + $(SECONDS))); while [ $$(date +%s) -lt $$end ]; do \
		$(MAKE) --no-print-directory system PART=promise FILES=tests/system/test_check_promise.py TESTS=-s || exit 1; done

# Arbitrary bytes for SECONDS each, with sanitizers; what is found stays in build-fuzz.
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz:
	$(MAKE) CC=clang B=$B-fuzz CFLAGS='-O1 -g' SANITIZE='-fsanitize=fuzzer-no-link,address,undefined' $B-fuzz/libwebspaces.a
	$(MAKE) CC=clang B=$B-fuzz CFLAGS='-O1 -g' SANITIZE='-fsanitize=fuzzer,address,undefined' $(FUZZERS:%=$B-fuzz/%)
	@mkdir -p $(FUZZERS:%=$B-fuzz/corpus/%)
	@printf '%s\n' $(FUZZERS) | xargs -P 2 -I% env $B-fuzz/% -max_total_time=$(SECONDS) -artifact_prefix=$B-fuzz/ \
		$B-fuzz/corpus/% tests/fuzz/seeds/%
$B/%_fuzz: tests/fuzz/%_fuzz.c
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $B/libwebspaces.a $(LIBS_ONCE)

# Which lines the unit tests reach.
cover:
	$(MAKE) B=$B-cover CFLAGS='-O0 -g --coverage' LDFLAGS=--coverage HARDENING= unit
	@cd $B-cover && gcov -n $$(find obj -name '*.gcda') 2>/dev/null | \
		awk "/^File/ { f=\$$2 } /^Lines/ && f ~ /\\.c/ && f !~ /tests/ { print \$$2, f }" | sort -t: -k2 -n

# The manual of the files has its keys from the table that reads them, that of the figures from the one that writes them.
MANUALS := $B/webspaces.conf.5 $B/webspaces-metrics.7
$B/webspaces.conf.5: TABLE := options
$B/webspaces-metrics.7: TABLE := metrics
$(MANUALS): $B/%: packaging/man/%.in $B/webspaces
	@$B/webspaces $(TABLE) --man > $B/$(TABLE).man
	sed -e '/^@TABLE@$$/{r $B/$(TABLE).man' -e 'd}' $< > $@
man: $(MANUALS)

# Completion is made from the usage lines of the commands' own pages.
$B/webspaces.bash: $B/webspaces
	@$B/webspaces completion bash > $@

# The host's file as an admin finds it first: every key that it may have, commented out.
$B/webspaces.conf: packaging/webspaces.conf.head $B/webspaces
	{ cat $< && $B/webspaces options --sample | sed -e '1,2d' -e '/^# ---- A webspace/,$$d'; } > $@
sample: $B/webspaces.conf

# Where systemd looks for units depends on who installs.
UNIT_DIR ?= $(PREFIX)/lib/systemd/system
UNITS := $(wildcard packaging/systemd/*.service packaging/systemd/*.slice)
D = $(DESTDIR)$(PREFIX)

install: $(PROGRAMS) $B/webspaces.bash man sample
	install -D -m 0755 $B/webspaces $D/bin/webspaces
	install -D -m 0755 $B/acme-worker $D/lib/webspaces/acme-worker
	install -D -m 0644 packaging/man/webspaces.8 $D/share/man/man8/webspaces.8
	install -D -m 0644 $B/webspaces.conf.5 $D/share/man/man5/webspaces.conf.5
	install -D -m 0644 $B/webspaces-metrics.7 $D/share/man/man7/webspaces-metrics.7
	install -D -m 0644 $B/webspaces.bash $D/share/bash-completion/completions/webspaces
	install -D -m 0644 packaging/logrotate $(DESTDIR)/etc/logrotate.d/webspaces
	sed -i 's,/usr/bin/webspaces,$(PREFIX)/bin/webspaces,g' $(DESTDIR)/etc/logrotate.d/webspaces
	install -D -m 0644 packaging/journal.catalog $D/lib/systemd/catalog/webspaces.catalog
	install -D -m 0644 packaging/systemd/webspaces.sysusers $D/lib/sysusers.d/webspaces.conf
	install -D -m 0644 packaging/systemd/webspaces.tmpfiles $D/lib/tmpfiles.d/webspaces.conf
	install -D -m 0644 packaging/systemd/webspaces.sysctl $D/lib/sysctl.d/30-webspaces.conf
	install -d $(DESTDIR)$(UNIT_DIR) $(DESTDIR)/etc/webspaces $(DESTDIR)/etc/webspaces.d $(DESTDIR)/etc/nginx/webspaces.d
	install -m 0644 $(UNITS) $(DESTDIR)$(UNIT_DIR)
	sed -i 's,/usr/bin/webspaces,$(PREFIX)/bin/webspaces,' $(UNITS:packaging/systemd/%=$(DESTDIR)$(UNIT_DIR)/%)
	@# What an admin has changed stays.
	[ -e $(DESTDIR)/etc/webspaces/webspaces.conf ] || install -m 0644 $B/webspaces.conf $(DESTDIR)/etc/webspaces/webspaces.conf

# Out of a copy, so that nothing is left here; the newest entry of both changelogs is this version.
DEB = $B/webspaces_$(VERSION)_$(shell dpkg --print-architecture 2>/dev/null).deb
DEB_DIR = $B/deb/webspaces-$(VERSION)
DEB_INPUTS := $(shell find agent watchers renderers acme reconcile packaging -type f) Makefile README.md SECURITY.md CHANGELOG.md LICENSE
deb: $(DEB)
$(DEB): $(DEB_INPUTS) | deps-deb
	@packaging/check-version $(VERSION)
	@rm -rf $B/deb $B/webspaces*.deb && mkdir -p $(DEB_DIR)
	@tar -cf - --exclude=./build --exclude='./build-*' --exclude=./.git --exclude=__pycache__ . | tar -C $(DEB_DIR) -xf -
	@mv $(DEB_DIR)/packaging/debian $(DEB_DIR)/debian
	$(call say,DEB $@)
	$Qcd $(DEB_DIR) && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u B -u CFLAGS DEB_BUILD_OPTIONS="nocheck parallel=2" \
		dpkg-buildpackage -b -us -uc > ../build.log 2>&1 || { tail -n 40 ../build.log; exit 1; }
	@touch $B/deb/*.deb && mv $B/deb/*.deb $B/

help:
	@echo 'make           build/webspaces and its acme-worker (needs: make deps-build)'
	@echo 'make demo      two webspaces served on 127.0.0.1:8080/8443, drift put back (root)'
	@echo 'make check     installs what is missing, builds, runs every test (root)'
	@echo 'make unit      the unit tests alone; make system TESTS="-k name": the system tests'
	@echo 'make golden    writes the expected texts of tests/golden anew'
	@echo 'make asan      everything with address and undefined-behaviour sanitizers'
	@echo 'make fuzz SECONDS=60 · make promise SECONDS=60 · make bench N=10000 · make bench-acme · make lint · make format · make cover'
	@echo 'make deb       build/webspaces_$(VERSION)_*.deb'
	@echo 'make install DESTDIR= PREFIX= · make man · make clean'

clean:
	rm -rf $B

-include $(OBJECTS:.o=.d) $(UNIT_TESTS:=.d) $(SYSTEM_PROGRAMS:=.d)
.PHONY: all unit unit-programs golden deps-build deps-deb deps-demo deps-bench deps system check demo asan lint format bench bench-acme fuzz promise cover man sample install deb help clean
.DELETE_ON_ERROR:
