/*
 * Who is at fault? Items stand in a row and any first few of them can be tried
 * together, on top of what is known to be good. This says which few to try
 * next, and in the end names an item. Pure: it never sees what an item is.
 *
 * The search halves, so k culprits of n cost about k · (log2 n + 2) trials; a
 * guess that the caller puts first costs two. Whoever is named is named by a
 * pair: with it the trial failed, and right after that, without it, the same
 * trial passed (the control). When the control fails too, nobody is at fault
 * but what all share.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum bisect_verdict {
	BISECT_TRY,     /* try the first b->attempt items */
	BISECT_GOOD,    /* all b->count items are good together */
	BISECT_CULPRIT, /* item b->culprit is at fault; then bisect_remove */
	BISECT_NOBODY,  /* it fails without any of them */
};

struct bisect {
	enum { BISECT_ALL, BISECT_GUESS, BISECT_HALF, BISECT_CONTROL } phase;
	size_t count;     /* items in the row */
	size_t accepted;  /* the first few, good together */
	size_t low, high; /* low items passed (or none was tried), high items failed */
	size_t attempt, culprit;
};

/* The first trial is of all of them. */
void bisect_start(struct bisect *b, size_t count);
/* The outcome of a trial. guess: the item at b->accepted is a good guess (for a failed trial of all). */
enum bisect_verdict bisect_told(struct bisect *b, bool passed, bool guess);
/*
 * The culprit leaves the row: the caller moves the last item to its place. The
 * next trial is of all the rest, unless that was the control: then BISECT_GOOD.
 */
enum bisect_verdict bisect_remove(struct bisect *b);
