/*
 * A private view of this machine for tests that make accounts and mounts: own
 * mounts, a tmpfs at ROOT, and a copy of /etc in its place. Gone with the process.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"
#include "tests/unit/cmocka_all.h"

#define ROOT "/mnt" /* there on every host */

static inline void machine_run(const char *const *argv)
{
	struct err e = { 0 };

	if (spawn_run(&(struct spawn){ .argv = argv }, NULL, clock_usec() + 10 * USEC_PER_SEC, NULL,
		      &e) < 0)
		fail_msg("%s: %s", argv[0], e.text);
}
#define RUN(...) machine_run((const char *const[]){ __VA_ARGS__, NULL })

static inline void machine_mkdirs(const char *path)
{
	assert_true(path_make_dirs(path, 0755, NULL) >= 0);
}

/* False, and it is said why, if this process may not have one. */
static inline bool machine_make(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", ROOT, "tmpfs", 0, "mode=0755") < 0) {
		printf("skipped: needs root and the right to have mounts of its own\n");
		return false;
	}
	RUN("/bin/cp", "-a", "/etc", ROOT "/etc");
	return mount(ROOT "/etc", "/etc", NULL, MS_BIND, NULL) == 0;
}
