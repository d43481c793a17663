/* The kernel's table of mounts (proc_pid_mountinfo(5)), read once for a question about all webspaces. */
#pragma once

#include "agent/base/err.h"
#include "agent/base/table.h"

/*
 * Adds to ret_names every NAME for which NAME/place below the directory root is
 * a mount point.
 */
int mountinfo_names(int root, const char *place, struct table *ret_names, struct err *e);
