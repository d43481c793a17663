/*
 * Who says how much: of entries of one kind so many in a span of time are told one by one, the
 * others are counted, with their resources and the names of their webspaces, to be summed up in
 * one. So that ten thousand changes at once can still be read, and journald, which drops
 * what a service says beyond 10,000 entries in 30 s, never has a reason to.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/table.h"

#define TALLY_SPAN_USEC UINT64_C(10000000)
#define TALLY_FULL      100  /* told one by one in a span */
#define TALLY_NAMES     1000 /* in one sum: an entry of the journal has at most 1,024 fields */

/* What was only counted of one kind, since the last sum. */
struct tally_sum {
	int level;          /* the gravest of them */
	const char *like;   /* the message of the first */
	const char *change; /* its change, as it was given; may be NULL */
	size_t count;
	const struct table *webspaces; /* a set */
	const struct table *resources; /* name → size_t, how many */
};

struct tally {
	struct table kinds; /* private */
	size_t counted;     /* since the last sum, of all kinds */
};

struct tally_entry {
	int level;
	const char *kind;                         /* what is alike has the same */
	const char *change, *webspace, *resource; /* may be NULL; change is static */
	const char *message;
};

/* True: tell it. False: it was counted. */
bool tally_admits(struct tally *t, const struct tally_entry *entry, uint64_t now_usec);
/* A sum of this kind would hold as many names as it may. */
bool tally_is_full(const struct tally *t, const char *kind);
/* Sums up every kind of which something was only counted, in the order in which they came. */
typedef void tally_fn(const struct tally_sum *sum, void *data);
void tally_sum(struct tally *t, tally_fn *fn, void *data);
void tally_clear(struct tally *t);
