/*
 * The mounts of the home tree from which a user's file could be run: whatever is
 * mounted there and does not say noexec, nosuid and nodev. There are binds that
 * may be so; all others (a disk of the host's below a home, what somebody mounted
 * or remounted by hand in the namespace) have to be sealed again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/arena.h"
#include "agent/base/err.h"
#include "agent/base/table.h"

/* One that is not sealed; path: from HOME_ROOT/NAME, "" for that itself. */
struct loose_mount {
	const struct loose_mount *next;
	const char *path;
};

struct sealed {
	int changes;        /* of the mount table; -1: not open */
	uint64_t due_usec;  /* not read again before; 0: never read */
	bool home_is_loose; /* the mount of the home root itself */
	struct table loose; /* name → struct loose_mount * */
	struct arena arena; /* owns them */
};

int sealed_open(struct sealed *s, struct err *e);
void sealed_close(struct sealed *s);

/* Reads the mount table if it has changed since; where it is long, not at once after the last time. */
int sealed_observe(struct sealed *s, int home_root, struct err *e);

/* Those of the webspace, as last observed; NULL: all are sealed. */
const struct loose_mount *sealed_loose(const struct sealed *s, const char *name);

/*
 * Seals the mount that HOME_ROOT/NAME/path lies on, which is mounted there or at
 * a directory above it, the home root at the most.
 */
int sealed_apply(int home_root, const char *name, const char *path, struct err *e);
