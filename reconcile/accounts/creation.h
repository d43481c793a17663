/*
 * Makes accounts with the ids they are to have, many in one run, and takes one back that came
 * out otherwise because somebody made a group or a user at the same moment.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/err.h"
#include "agent/base/table.h"
#include "reconcile/accounts/accounts.h"

struct creation {
	uid_t uid;
	gid_t gid;
	bool has_group; /* her group is there already */
};

/* Can a program of this host make a user of this name? */
bool creation_knows_name(const char *name, struct err *e);
/* all: name → struct creation. What came of it shows in /etc/passwd alone; the first error. */
int creation_make(const struct table *all, const char *home_root, struct err *e);
/* Removes the user, and the group that was made with it; nothing that creation_make did not make. */
int creation_undo(const char *name, const struct creation *c, const char *home_root, struct err *e);
