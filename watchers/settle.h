/*
 * Changes that come in storms (an editor's save, a checkout, an rsync) are
 * told when they have been quiet for a while, and at the latest after a longer
 * one. Pure: time is an argument. Up to a bound names are told one by one;
 * beyond it "any" is both shorter and cheaper to act upon.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/table.h"

#define SETTLE_NAMES_MAX 256

struct settle {
	uint64_t quiet_usec, most_usec; /* set by the owner */
	uint64_t first_usec, last_usec; /* of the changes waiting */
	bool waiting, any;
	struct table names;
};

typedef void settle_fn(const char *name, void *data);

/* Something happened to name (NULL: to any of them). */
void settle_add(struct settle *s, const char *name, uint64_t now_usec);
/* When it is time to tell; UINT64_MAX: nothing waits. */
uint64_t settle_due(const struct settle *s);
/* Tells what waits, in the order it came (name NULL: any), and starts over. */
void settle_tell(struct settle *s, settle_fn *fn, void *data);
void settle_clear(struct settle *s);
