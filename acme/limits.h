/*
 * The rate limits of a CA, kept before they are hit: token buckets that refill
 * with time, on disk, so that neither a restart nor a crash forgets what was
 * spent. The numbers are Let's Encrypt's. Pure, but for reading and writing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "agent/base/err.h"
#include "agent/base/table.h"

struct limits {
	struct table buckets; /* "account", "domain example.org", "set HASH" → struct bucket */
	bool changed;         /* since the last limits_write */
};

/* What an order costs. */
struct limits_order {
	const char *const *names;
	size_t n_names;
	bool renewal;  /* the same set of names as a certificate before */
	bool replaces; /* … and it says so (RFC 9773): free */
};

/* May it be ordered at `now`? False: *ret_until says when, *ret_what (static) which limit. Counts nothing. */
bool limits_allow(struct limits *l, const struct limits_order *order, time_t now, time_t *ret_until,
		  const char **ret_what);
/* It is ordered: of each bucket one less. */
void limits_spend(struct limits *l, const struct limits_order *order, time_t now);
/* … but no certificate came of it: only these count, but for the orders of an account. */
void limits_return(struct limits *l, const struct limits_order *order);
/* The CA said that this is empty until then: the account, a domain, or these names together. */
void limits_drain_account(struct limits *l, time_t until, time_t now);
void limits_drain_domain(struct limits *l, const char *domain, time_t until, time_t now);
void limits_drain_set(struct limits *l, const char *const *names, size_t n, time_t until,
		      time_t now);

/* dir: of the CA. A file that cannot be read counts as "nothing spent". */
void limits_read(struct limits *l, int dir, time_t now);
/* Only if it changed; full buckets are left out. */
int limits_write(struct limits *l, int dir, time_t now, struct err *e);
void limits_clear(struct limits *l);

/* The registered domain of a name by the public suffix list: "example.co.uk". Falls back to the name. */
const char *limits_domain(const char *name);
