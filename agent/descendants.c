/* Children, round by round: see descendants.h. */
#include "agent/descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/leavings.h"

#define ASKED_USEC  USEC_PER_SEC       /* for those that end when they are asked to */
#define RACE_USEC   (2 * USEC_PER_SEC) /* … when killed one by one */
#define KILLED_USEC (8 * USEC_PER_SEC)
#define ROUND_NSEC  10000000

/* proc(5), stat: "PID (COMMAND) STATE PPID …"; the command may have anything in it. */
static pid_t parent_of(int proc, const char *pid)
{
	char path[32], text[512];
	const char *end;
	ssize_t n;

	snprintf(path, sizeof(path), "%.16s/stat", pid);

	autofd int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);

	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = '\0';
	end = strrchr(text, ')');
	return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : -1;
}

static void children_signal(int signo)
{
	autodir DIR *d = opendir("/proc");

	for (const struct dirent *it; d && (it = readdir(d));) {
		if (it->d_name[0] < '1' || it->d_name[0] > '9' ||
		    parent_of(dirfd(d), it->d_name) != getpid())
			continue;
		/* One that is stopped takes no SIGTERM before it goes on. */
		(void)kill((pid_t)strtol(it->d_name, NULL, 10), signo);
		(void)kill((pid_t)strtol(it->d_name, NULL, 10), SIGCONT);
	}
}

/* True if there are any still. */
static bool reap(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		;
	return pid == 0;
}

static void wait_for_one(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	(void)sigtimedwait(&set, NULL, &(struct timespec){ .tv_nsec = ROUND_NSEC });
}

int descendants_end(uid_t uid, gid_t gid, struct err *e)
{
	uint64_t begin = clock_usec(), age;

	if (!reap())
		return 0;
	children_signal(SIGTERM);
	while (reap()) {
		age = clock_usec() - begin;
		if (age > KILLED_USEC)
			return err_set(e, EBUSY,
				       "a process that the command left behind does not end");
		if (age > ASKED_USEC)
			children_signal(SIGKILL);
		if (age > RACE_USEC)
			(void)leavings_end_processes(uid, gid, NULL);
		wait_for_one();
	}
	return 0;
}
