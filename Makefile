# webspaces: build, test, install. `make help` lists the targets.

VERSION := 0.1.0
PREFIX ?= /usr
DESTDIR ?=
B ?= build
SECONDS ?= 60
N ?= 1000

CC ?= gcc
CFLAGS ?= -O2 -g
PACKAGES := libconfig libidn2 libsystemd jansson libacl libcrypto libssl
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
	-Wformat-truncation=0 -Wvla -Wpointer-arith -Wwrite-strings -Wundef -Wimplicit-fallthrough
HARDENING := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
# Expanded at use, not at reading: `make deps` must run before the libraries are there.
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -I. -I$B/gen -DVERSION=\"$(VERSION)\" $(WARNINGS) $(HARDENING) \
	$(shell pkg-config --cflags $(PACKAGES)) $(CFLAGS) $(SANITIZE)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now $(LDFLAGS) $(SANITIZE)
LIBS = $(shell pkg-config --libs $(PACKAGES)) -linotifytools
LIBS_ONCE := $(LIBS)

FOLDERS := agent agent/base agent/model watchers renderers acme reconcile reconcile/resources \
	reconcile/services reconcile/managers
SOURCES := $(sort $(foreach f,$(FOLDERS),$(wildcard $f/*.c)))
TEMPLATES := $(sort $(wildcard renderers/templates/*.in))
OBJECTS := $(SOURCES:%.c=$B/obj/%.o) $B/obj/gen/templates.o
UNIT_TESTS := $(patsubst tests/unit/%.c,$B/unit/%,$(wildcard tests/unit/*_test.c))

all: $B/webspaces

$B/webspaces: $B/obj/agent/main.o $B/libwebspaces.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_ONCE)

$B/libwebspaces.a: $(filter-out $B/obj/agent/main.o,$(OBJECTS))
	@rm -f $@
	$(AR) rcs $@ $^

$B/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$B/obj/gen/templates.o: $B/gen/templates.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

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
	$(CC) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< $B/libwebspaces.a -lcmocka $(LIBS_ONCE)

unit: $(UNIT_TESTS)
	@for t in $(UNIT_TESTS); do $$t > $$t.log 2>&1 || { cat $$t.log; echo "$$t failed"; exit 1; }; done
	@echo "unit: $(words $(UNIT_TESTS)) programs passed"

clean:
	rm -rf $B

-include $(OBJECTS:.o=.d) $(UNIT_TESTS:=.d)
.PHONY: all unit clean
.DELETE_ON_ERROR:
