/*
 * When a webspace whose file is gone is taken out of service. Pure: the caller
 * (catalog.c) has looked, twice and into a readable directory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum removal {
	REMOVAL_WAIT, /* in its grace time */
	REMOVAL_HELD, /* looks like an accident: waits for `webspaces confirm` */
	REMOVAL_GO,
};

struct removal_view {
	time_t now, absent_since; /* of clock_steady(): no jump of the wall clock ends a grace */
	unsigned grace_s;
	bool directory_ok; /* it could be read just now */
	bool held; /* already: only its file or a person ends that, not that others come back */
	bool confirmed;
	size_t n_files;    /* webspaces' files that are in the directory, of whatever kind */
	size_t n_in_force; /* webspaces in force, the absent ones too */
	size_t n_absent;   /* … of them, those whose file is gone */
};

/* Are this many at once more often an accident than meant? Of accounts as of files. */
bool removal_is_many(size_t n_absent, size_t n_in_force);
enum removal removal_decide(const struct removal_view *v);
