/* The issuer that needs no network: a CA of our own, made at first use. */
#pragma once

#include <stdbool.h>
#include <time.h>

#include "acme/crypto/authority.h"

/* Opens state_dir/ca (state: a descriptor of state_dir), makes what is missing if may_make. -ENOENT: there is none. */
int internal_open(int state, bool may_make, time_t now, struct authority **ret, struct err *e);

/* A certificate for these names and this key: 90 days, or as long as the CA lives. */
int internal_issue(const struct authority *a, const struct key *k, const char *const *names,
		   size_t n_names, time_t now, struct buf *ret, struct err *e);
