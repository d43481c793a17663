/*
 * See rehearsal.h. A mount namespace for one command, in which the include file
 * is covered. Rejected: a copy of the main file with another include, since all
 * that is relative in it is relative to where it lies, and a copy of everything
 * is not what will be read.
 */
#include "reconcile/services/nginx/rehearsal.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "reconcile/service.h"
#include "reconcile/services/nginx/nginx_instance.h"

/* This program, as it runs: one that an upgrade has replaced, too. */
#define OURSELVES "/proc/self/exe"

const char *const *rehearsal_argv(const struct host *host, const char *dir, struct arena *a)
{
	const char **argv = arena_new(a, 8 * sizeof(*argv));
	size_t n = 0;

	argv[n++] = OURSELVES;
	if (host->file && access(host->file, F_OK) == 0) {
		argv[n++] = "--config";
		argv[n++] = arena_dup(a, host->file);
	}
	argv[n++] = "exec-nginx";
	argv[n++] = dir ? "--test" : "--survey";
	if (dir)
		argv[n++] = arena_dup(a, dir);
	return argv;
}

static int cover(const char *path, const char *with, struct err *e)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(e, "a mount namespace for one command");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(e, "make the mounts private");
	if (mount(with, path, NULL, MS_BIND, NULL) < 0)
		return err_sys(e, "put %s in the place of %s", with, path);
	return 0;
}

int nginx_rehearse(const struct host *host, const char *dir, struct err *e)
{
	autoarena struct arena a = { 0 };
	const char *const argv[] = {
		host->nginx.binary, dir ? "-t" : "-T", "-q", "-c", host->nginx.main, NULL
	};
	const char *with = dir ? arena_printf(&a, "%s/nginx.conf", dir) : "/dev/null";
	int r = cover(host->nginx.include, with, e);

	if (r == 0) {
		(void)execve(argv[0], (char *const *)argv, (char *const *)nginx_environment);
		r = err_sys(e, "%s", argv[0]);
	}
	return r;
}
