/*
 * Ending all that a command has left behind. Whoever loses its parent becomes our child (subreaper,
 * prctl(2)), and a child's number is not given to anybody else before we have reaped it: so killing
 * children until there are none reaches everything, and nothing of others.
 */
#pragma once

#include <sys/types.h>

#include "agent/base/err.h"

/*
 * All children of this process, and theirs: SIGTERM, a second, SIGKILL. Who forks faster than that has
 * all processes of these ids ended at once, those beside us too. -EBUSY: one does not end (it waits
 * for a disk, say).
 */
int descendants_end(uid_t uid, gid_t gid, struct err *e);
