/*
 * The last text of each webspace's file that loaded, in state_dir/good/NAME.conf,
 * and in .denied which names were refused to whom: what must be known after a
 * restart to go on as before. The first line of each file carries a hash of the
 * rest, so that what a crash left half-written is never taken for a webspace.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"

struct good {
	int dir; /* -1: there is none */
	bool writable;
};

/* Not there yet and not writable is no error. */
int good_open(const char *state_dir, bool writable, struct good *ret, struct err *e);
void good_close(struct good *g);

/* What the hash of a text is; never 0. */
uint64_t good_hash(const char *text, size_t len);
/* The text without its first line, the caller's; or NULL: none, or damaged. */
char *good_read(const struct good *g, const char *file, size_t *ret_len, uint64_t *ret_hash);
/* Nothing happens when not writable. */
int good_put(struct good *g, const char *file, const char *text, size_t len, struct err *e);
void good_drop(struct good *g, const char *file);
