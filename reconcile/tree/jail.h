/*
 * What a jail looks like from inside, besides the user's own directories: one
 * mount point for the shared base, links into it, and the webspace's binds.
 * Pure: from the host's list of base paths and the webspace's binds alone.
 *
 *     .base                  mount point of the shared base
 *     etc → .base/etc        each top level of the base
 *
 * A bind below such a level (etc/ldap/ldap.conf) turns that level into a real,
 * root-owned directory with a link for each of the base's children, as deep as
 * need be.
 */
#pragma once

#include <stddef.h>

#include "agent/base/arena.h"
#include "agent/model/host.h"
#include "agent/model/webspace.h"

#define JAIL_BASE   ".base"
/* The one line of its own account that a jail has; the base's /etc/passwd and /etc/group lead here. */
#define JAIL_PASSWD ".passwd"
#define JAIL_GROUP  ".group"

enum jail_kind {
	JAIL_DIR,        /* root:root 0755 */
	JAIL_LINK,       /* relative, into the base */
	JAIL_MOUNTPOINT, /* of the base (bind NULL) or of a bind */
	JAIL_REFUSED,    /* a bind that cannot be; text says why */
	JAIL_SEALED,     /* not of a plan: a mount from which nothing is run; path from the home */
};

struct jail_entry {
	const char *path; /* relative to chroot */
	enum jail_kind kind;
	const char *target;      /* JAIL_LINK */
	const struct bind *bind; /* JAIL_MOUNTPOINT, JAIL_REFUSED */
	const char *text;        /* JAIL_REFUSED: a sentence */
};

struct jail {
	struct jail_entry *entries; /* a directory comes before what lies in it */
	size_t count, room;
};

/* Everything is allocated in the arena; strings of host and webspace are borrowed. */
void jail_plan(const struct host *host, const struct bind *binds, size_t n_binds, struct arena *a,
	       struct jail *ret);

/* True if a is b, or b lies below a; both without leading and trailing slashes. */
bool jail_path_holds(const char *a, const char *b);
