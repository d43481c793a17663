/*
 * All binds of a webspace: its own, and those that its bundles stand for on
 * this host today. What matches a pattern is looked up once for many webspaces.
 */
#pragma once

#include <stdint.h>

#include "agent/base/arena.h"
#include "agent/model/webspace.h"

struct bind_list {
	const struct bind *items;
	size_t count;
	uint64_t hash; /* of what came from bundles; 0: nothing */
};

struct bundled {
	struct arena arena;
	struct bind_list *found; /* of each bundle; NULL: nothing was looked up */
	uint64_t looked_usec;
};

/* What was found is looked up again if it is older than a moment. */
void bundled_refresh(struct bundled *b, uint64_t now_usec);
void bundled_clear(struct bundled *b);

/*
 * The binds of w; borrowed from w, b and the arena. A bind of w's own takes the place of a
 * bundle's that it covers. A path that is not there is a bind with `missing` set.
 */
void bundled_binds(struct bundled *b, const struct webspace *w, struct arena *a,
		   struct bind_list *ret);
