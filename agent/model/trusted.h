/* Is what a path leads to in nobody's hands but ours? */
#pragma once

#include "agent/base/err.h"

/*
 * Opens the directory, following links, on condition that it and every directory on the way,
 * those of links included, is root's (or ours) and not to be written by others. A sticky
 * directory such as /tmp will do on the way. Returns a descriptor that can be read, or -errno.
 */
int trusted_open_dir(const char *path, struct err *e);

/*
 * The same for a regular file that a link in the directory leads to; the file's own rights are
 * the caller's to check. -EPERM: one of the steps is not ours, and the error names it.
 */
int trusted_open_link(int dir, const char *name, struct err *e);
