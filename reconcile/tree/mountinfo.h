/* The kernel's table of mounts (proc_pid_mountinfo(5)), read once for a question about all webspaces. */
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"
#include "agent/base/table.h"

/* path: of the mount point, from the root asked about ("": that itself); options: "rw,nosuid,relatime". */
typedef void mountinfo_fn(const char *path, const char *options, void *data);

/* Each mount at or below the directory root. */
int mountinfo_below(int root, mountinfo_fn *fn, void *data, struct err *e);

/* fd: of /proc/self/mountinfo, kept open. True the first time after the table changed. */
bool mountinfo_changed(int fd);

/*
 * Adds to ret_names every NAME for which NAME/place below the directory root is
 * a mount point.
 */
int mountinfo_names(int root, const char *place, struct table *ret_names, struct err *e);
