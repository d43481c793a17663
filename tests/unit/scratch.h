/* A directory of a test program's own below /tmp: a group's setup and teardown. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/path.h"

static char root[] = "/tmp/webspaces-test.XXXXXX";
static int dir = -1; /* root, opened */

static inline int make_root(void **state)
{
	(void)state;
	if (!mkdtemp(root))
		return -1;
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0;
}

static inline int remove_root(void **state)
{
	(void)state;
	close(dir);
	dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return path_remove_tree(dir, strrchr(root, '/') + 1, NULL) != 1 || close(dir) < 0;
}
