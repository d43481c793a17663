/* The managed directories of every webspace: whose may have changed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "agent/base/table.h"

#define HOME_LEVELS 3

struct home {
	const char *name; /* the table's key */
	int wd[HOME_LEVELS];
	bool misplaced;    /* a watched directory came, went or moved */
	struct home *next; /* in the list of those to tell about */
	bool listed;
	bool hinted;          /* … and something of ours may have changed */
	unsigned n_events;    /* since it was last told about */
	uint64_t paid_usec;   /* when all that it cost is forgiven */
	uint64_t unmute_usec; /* it is not watched until then; 0: it is */
	/* For mounts.c: a sum over the lines of the mount table that are this home's. */
	uint64_t mounts, mounts_now;
	bool mounts_known;
};

struct home_watch;

struct homes {
	const char *root;
	int root_wd;
	struct table homes; /* name → struct home */
	struct home_watch *watches;
	size_t n_watches, room; /* room is a power of two, or 0 */
	struct home *changed;
	bool any;          /* tell about anybody's */
	uint64_t any_usec; /* … not before */
	uint64_t due_usec; /* when homes_due has something to do; UINT64_MAX: never */
	bool full;         /* the kernel gives no more watches */
};

typedef void homes_fn(const char *name, void *data);

void homes_open(struct homes *h, const char *root);
void homes_close(struct homes *h);

/* 0, -ENOSPC once when watches run out, then 1 for those without. */
int homes_watch(struct homes *h, const char *name, struct err *e);
void homes_forget(struct homes *h, const char *name);

void homes_event(struct homes *h, int wd, uint32_t mask, const char *name);
/* Events were lost: it may be anybody, and any directory may be another. */
void homes_lost(struct homes *h);
void homes_mark(struct homes *h, struct home *home);
/* After a run of events: follows moved directories, and tells, each name once. Whoever makes too many is muted. */
void homes_tell(struct homes *h, uint64_t now_usec, homes_fn *fn, void *data);
/* due_usec has come: watches those again who have been muted for long enough. homes_tell is to follow. */
void homes_due(struct homes *h, uint64_t now_usec);
