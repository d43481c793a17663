/*
 * The trail to a path: every directory and link on the way to it is watched, so
 * that no swap on the way goes unseen. A watch stays on the directory it was
 * set on, not on its name; a swapped link or an exchanged directory makes no
 * event where it used to lead.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/err.h"

struct trail_step {
	int wd;
	char *name; /* the component that matters in this directory */
};

struct trail {
	const char *path; /* absolute; the owner's */
	uint32_t step_mask, target_mask;

	struct trail_step *steps;
	size_t n_steps;
	int target; /* wd of what it leads to, if that is a directory; else -1 */
	bool found;
	dev_t dev;
	ino_t ino;
};

/* What an event means to a trail. */
enum {
	TRAIL_WAY = 1,    /* a component changed: walk again */
	TRAIL_SELF = 2,   /* attributes of what it leads to */
	TRAIL_INSIDE = 4, /* an entry of the directory that it leads to */
};
unsigned trail_event(const struct trail *t, int wd, uint32_t mask, const char *name);

/* Sets the watches anew. 1: it leads elsewhere than before, 0: to the same, -errno: no watches left. */
int trail_walk(struct trail *t, struct err *e);
void trail_clear(struct trail *t);
