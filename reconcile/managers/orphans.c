/*
 * See orphans.h. Children that somebody in this process follows by a pidfd are
 * waited for within a turn of the loop; so a child that is a zombie in two looks
 * two seconds apart is nobody's, and is reaped here. That spares every other
 * part of the program a common register of children.
 *
 * A group is ended only through processes that were looked at: its members by
 * /proc, each with the program it runs. A number alone may be somebody else's.
 */
#include "reconcile/managers/orphans.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define LOOK_AGAIN (2 * USEC_PER_SEC)

struct orphans {
	struct loop_source *died, *timer;
	bool armed;
	pid_t *seen; /* zombies of the last look */
	size_t n_seen;
};

static bool was_seen(const struct orphans *o, pid_t pid)
{
	for (size_t i = 0; i < o->n_seen; i++)
		if (o->seen[i] == pid)
			return true;
	return false;
}

static bool is_zombie_of_ours(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == pid;
}

static void arm(struct orphans *o)
{
	if (!o->armed)
		loop_timer_set(o->timer, clock_usec() + LOOK_AGAIN);
	o->armed = true;
}

static void look(void *data)
{
	struct orphans *o = data;
	FILE *children = fopen("/proc/thread-self/children", "re");
	pid_t *now = NULL;
	size_t n = 0;
	int pid;

	o->armed = false;
	while (children && fscanf(children, "%d", &pid) == 1) {
		if (!is_zombie_of_ours(pid))
			continue;
		if (was_seen(o, pid)) {
			(void)waitpid(pid, NULL, WNOHANG);
			continue;
		}
		now = memory_resize(now, n + 1, sizeof(*now));
		now[n++] = pid;
	}
	if (children)
		fclose(children);
	free(o->seen);
	o->seen = now;
	o->n_seen = n;
	if (n > 0)
		arm(o);
}

static void somebody_died(void *data)
{
	arm(data);
}

struct orphans *orphans_open(struct loop *loop)
{
	struct orphans *o = memory_new(sizeof(*o));

	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	o->timer = loop_timer(loop, UINT64_MAX, look, o);
	o->died = loop_signal(loop, SIGCHLD, somebody_died, o);
	return o;
}

void orphans_close(struct orphans *o)
{
	if (!o)
		return;
	loop_drop(o->died);
	loop_drop(o->timer);
	free(o->seen);
	free(o);
}

/* Groups ------------------------------------------------------------- */

bool process_runs(pid_t pid, const char *program)
{
	char link[32], is[PATH_MAX + 1], want[PATH_MAX];
	char *deleted;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, is, sizeof(is) - 1);
	if (n <= 0 || !realpath(program, want))
		return false;
	is[n] = '\0';
	deleted = strstr(is, " (deleted)");
	if (deleted)
		*deleted = '\0';
	return strcmp(is, want) == 0;
}

static pid_t group_of(pid_t pid)
{
	char path[32], text[512];
	autofd int fd = -1;
	ssize_t n;
	const char *after;
	int group;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	after = strrchr(text, ')'); /* the name may hold anything, parentheses too */
	return after && sscanf(after, ") %*c %*d %d", &group) == 1 ? group : -1;
}

/* The descriptor is taken first: then what is looked at is what is ended. */
static bool end_one(pid_t pid, pid_t group, const char *program)
{
	autofd int fd = pidfd_open(pid, 0);

	if (fd < 0 || group_of(pid) != group || !process_runs(pid, program))
		return false;
	return pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0;
}

bool orphans_end(pid_t group, const char *program)
{
	autodir DIR *proc = NULL;
	bool ended = false;

	if (group <= 1 || kill(-group, 0) < 0)
		return false;
	proc = opendir("/proc");
	for (struct dirent *it; proc && (it = readdir(proc)) != NULL;) {
		long pid = strtol(it->d_name, NULL, 10);

		if (pid > 1 && group_of((pid_t)pid) == group)
			ended |= end_one((pid_t)pid, group, program);
	}
	return ended;
}
