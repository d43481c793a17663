/*
 * Looking at one place of a webspace's tree, and putting it right: two functions
 * for each kind of place. A wrong mode, owner or ACL is a drift and put right. A
 * wrong type (a file where a directory has to be) is somebody's and only
 * reported: nothing that may have content is removed or replaced, and what lies
 * in a user's own directories is not even looked at.
 */
#pragma once

#include "reconcile/resource.h"
#include "reconcile/tree/home.h"
#include "reconcile/tree/skeleton.h"

/* One place, seen from the directory it lies in. */
struct sight {
	struct world *w;
	struct home *home; /* of the webspace at hand, whose account is there */
	const struct place *place;
	int parent; /* borrowed */
	const char *leaf;
	/*
	 * A place's inode as it was when all its rights were found right; 0: not known.
	 * Whatever changes owner, mode or ACL of an inode changes its ctime too.
	 */
	uint64_t *mark;
	int outside;     /* HOME_ROOT as the host sees it; -1: not known */
	bool is_covered; /* … and it is another directory than ours */
};

struct place_type {
	void (*observe)(const struct sight *s, struct finding *f);
	int (*apply)(const struct sight *s, struct err *e);
};
extern const struct place_type place_types[PLACE_KINDS];

/* Sets state, reason and text. */
void place_found(struct finding *f, enum observed state, const char *reason, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));
/* FOREIGN: something else is where `wanted` ("a directory") has to be. */
void place_found_wrong_type(const struct sight *s, struct finding *f, const char *wanted);
/* Why the place could not be opened: error is -errno. */
void place_found_error(const struct sight *s, struct finding *f, int error, const char *wanted);
/* "a directory" */
const char *place_type_name(mode_t mode);
