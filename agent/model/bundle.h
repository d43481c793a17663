/*
 * Bundles: names for sets of the host's paths that applications ask for, as
 * Debian has them. One table; what of it is on this host is looked up where
 * jails are made (reconcile/tree/bundled.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/arena.h"
#include "agent/base/err.h"

#define BUNDLE_PATHS 12

struct bundle_path {
	const char *pattern; /* absolute, glob(7); each match is a bind of its own. NULL: no more */
	const char *target;  /* in the jail, relative; NULL: as on the host */
	const char *proof;   /* a pattern of what a package puts there; NULL: the pattern itself */
	bool exec;
	bool optional; /* else the bundle is of no use without it */
};

struct bundle {
	const char *name;
	const char *cure; /* what to do where it is not there: "install php-imagick" */
	struct bundle_path paths[BUNDLE_PATHS];
};

extern const struct bundle bundles[];
extern const size_t n_bundles;

/* NULL: there is no bundle of this name. */
const struct bundle *bundle_find(const char *name);

/* Text of an option: the name of a bundle. */
int value_bundle(struct arena *a, const char *text, const char **ret, struct err *e);
