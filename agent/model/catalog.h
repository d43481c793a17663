/*
 * All webspaces of the host that are in force: what each file says now, or the
 * last text of it that loaded (kept in state_dir/good/NAME.conf, so it holds
 * over restarts), with names that two of them want given to one (conflict.h),
 * and removals held back until they are certain (removal.h), also over restarts.
 *
 * To look again at one file costs the same whatever the host holds.
 */
#pragma once

#include <stdbool.h>
#include <time.h>

#include "agent/base/buf.h"
#include "agent/base/table.h"
#include "agent/model/host.h"
#include "agent/model/load.h"
#include "agent/model/webspace.h"

/* What a look has found out about a file, for a diary: bits. */
enum entry_news {
	ENTRY_ASKED = 1,  /* it asks for something else than before */
	ENTRY_MISSED = 2, /* it is not there, or not meant for this host any more */
	ENTRY_BACK = 4,   /* it is there again before its webspace was taken out of service */
};

/* One webspace's place in the catalog; it outlives replaced contents. */
struct entry {
	const char *name;
	const struct webspace *webspace; /* in force; NULL: never loaded */
	const char *problem; /* why the file as it is now does not load; NULL: it does */
	const char *
		problem_reason; /* a word for the problem: "Invalid", or "NotSaved" where it is in force */
	const char *lost; /* names it wants but another has, in a sentence; NULL: none */
	bool rolled_back; /* in force is what its file said earlier (catalog_roll_back) */
	bool from_good;   /* in force is the last known good text, not the file */
	bool elsewhere; /* `hosts` places it on other hosts: treated as absent, and not told if it never was here */
	time_t absent_since; /* clock_steady() of the first look that missed the file; 0: it is there */
	bool held;           /* its removal waits for `webspaces confirm` */
	bool going;          /* to be taken out of service now */
	/* What this look has found; until the last call of its catalog_changed_fn has returned. */
	unsigned news;                /* of enum entry_news */
	const struct webspace *asks;  /* what its file asks for, names that it lost included */
	const struct webspace *asked; /* … and asked for before; NULL: it is new */
};

struct catalog;

/* host is borrowed and outlives the catalog. writable false (plan, check): no good/ files are written. */
int catalog_open(const struct host *host, bool writable, struct catalog **ret, struct err *e);
void catalog_close(struct catalog *c);

/*
 * Called at the end of a look, once for each entry in which something changed: what is in force,
 * its problem, lost names, held, going. What was in force before lives until the last of these
 * calls of the look has returned, and no longer. NULL: nobody wants to know.
 */
typedef void catalog_changed_fn(struct entry *entry, void *data);

/* Looks at one file again (and at those whose names conflict with it). now: clock_steady(). */
int catalog_look(struct catalog *c, const char *name, time_t now, catalog_changed_fn *fn,
		 void *data, struct err *e);
/* Looks at every file, by stat alone where nothing changed. An unreadable directory is an error and changes nothing. */
int catalog_look_all(struct catalog *c, time_t now, catalog_changed_fn *fn, void *data,
		     struct err *e);

/* Lets held removals go on. Returns how many. */
size_t catalog_confirm(struct catalog *c, catalog_changed_fn *fn, void *data);
/* … at the next look of whoever opens the catalog next. Returns how many. */
int catalog_approve(struct catalog *c, struct err *e);
/* When a removal in its grace time wants the next look, of clock_steady(); 0: none. */
time_t catalog_next_look(const struct catalog *c);

/*
 * Which generation is the newest: changes that are found from now on come after it. Before
 * it is told (0), nothing is kept to go back to.
 */
void catalog_generation(struct catalog *c, uint64_t newest);
/*
 * Back to what was in force as of this generation (0: before the last change of a file; it is set),
 * held over restarts until a file changes. 1: done, told at the end of the next look; 0: nothing
 * has changed since; -ENOENT: there is no such generation, or it is not known any more.
 */
int catalog_roll_back(struct catalog *c, uint64_t *generation, time_t now, struct err *e);
/* What files say is in force again. False: it was. Told at the end of the next look. */
bool catalog_release(struct catalog *c, time_t now);
/* As of which generation, 0: it is as files say. ret_since may be NULL. */
uint64_t catalog_rolled_back(const struct catalog *c, time_t *ret_since);
/* Of whom: "alice, bob and 3 more". */
void catalog_rollback_names(const struct catalog *c, struct buf *ret);

/* The webspace's removal is done: forgets it and its good text. Nothing happens if it is not going (any more). */
void catalog_forget(struct catalog *c, const char *name);

struct entry *catalog_get(const struct catalog *c, const char *name);
/* name → struct entry, those that are going included. */
const struct table *catalog_entries(const struct catalog *c);
/* The git commit of config_dir, or NULL. */
const char *catalog_revision(const struct catalog *c);
/* Files of the directory that are not webspaces', for people: "README, alice.conf.bak and 3 more"; "": none. */
void catalog_passed_over(const struct catalog *c, struct buf *ret);
/* How many removals are held. */
size_t catalog_held(const struct catalog *c);
