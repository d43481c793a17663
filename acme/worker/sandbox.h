/*
 * What the worker gives up before it reads its first message: its user, its
 * rights, its files, most system calls. The only file that knows seccomp and
 * Landlock is behind this.
 */
#pragma once

#include "agent/base/err.h"

struct sandbox {
	const char *user; /* whom to become; ignored by others than root */
	const char *const
		*files; /* NULL-ended: besides these, files and directories that stay readable */
};

/*
 * For a process of one thread, and for good. Landlock is left out where the kernel has none; all
 * else has to be. -ENOENT: there is no such user.
 */
int sandbox_enter(const struct sandbox *s, struct err *e);
