/* The issuer that needs no network: a CA of our own, made at first use. */
#pragma once

#include <stdbool.h>
#include <time.h>

#include "acme/crypto/authority.h"

/*
 * Opens state_dir/ca (state: a descriptor of state_dir). If may_make, what is missing, damaged or due is
 * made anew. -ENOENT: there is none.
 */
int internal_open(int state, bool may_make, time_t now, struct authority **ret, struct err *e);

/* It is not valid at `now`, or not for long: it is to be opened again, to be made anew. */
bool internal_is_due(const struct authority *a, time_t now);

/* A certificate for these names and this key: 90 days, or as long as the CA lives. */
int internal_issue(const struct authority *a, const struct key *k, const char *const *names,
		   size_t n_names, time_t now, struct buf *ret, struct err *e);
