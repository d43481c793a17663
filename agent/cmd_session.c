/*
 * webspaces session: the leader of a command's session, between `webspaces enter` and the command
 * (session.h says why). It belongs to root, so that the user's processes cannot stop or end it, and
 * does next to nothing: passes signals on that its parent sends, stops when the command does, and
 * ends as the command ends.
 *
 * Signals of the terminal are for its group in the front. A process of the user's may make ours that
 * group; so only those of the parent count.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/spawn.h"
#include "agent/session.h"
#include "agent/verb.h"

struct leader {
	int terminal; /* one of the standard three, or -1 */
	pid_t command;
	bool has_jobs, is_in_front;
};

/* The first that is a terminal becomes the session's, which has none yet. */
static int take_terminal(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (isatty(fd) && ioctl(fd, TIOCSCTTY, 0) == 0)
			return fd;
	return -1;
}

static int start(struct leader *l, const struct invocation *in, struct err *e)
{
	static const char *const empty[] = { NULL };
	size_t n = (size_t)in->argc - 1;
	autofree const char **words = memory_new((n + 3) * sizeof(*words));
	struct spawned child;
	mode_t mask = umask(0);
	int files[3], r;

	(void)umask(mask);
	words[0] = SPAWN_OURSELVES;
	words[1] = "become";
	memcpy(words + 2, in->argv + 1, n * sizeof(*words));
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		files[fd] = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	r = spawn_start(&(struct spawn){ .argv = words,
					 .env = empty,
					 .in = files[0],
					 .out = files[1],
					 .err = files[2],
					 .new_group = true,
					 .umask = mask },
			&child, e);
	for (size_t i = 0; i < ELEMENTS(files); i++)
		if (files[i] >= 0)
			close(files[i]);
	if (r < 0)
		return r;
	l->command = child.pid;
	close(child.pidfd);
	return 0;
}

/* It wants the terminal: what is typed is its from now on, says our parent with a SIGCONT. */
static void bring_to_front(struct leader *l)
{
	l->is_in_front = true;
	(void)tcsetpgrp(l->terminal, l->command);
	(void)kill(getppid(), SIGTTIN);
}

static void stopped(struct leader *l, int signo)
{
	if (l->terminal >= 0 && !l->is_in_front && (signo == SIGTTIN || signo == SIGTTOU))
		bring_to_front(l);
	else if (l->has_jobs)
		(void)kill(getpid(), SIGSTOP);
}

static bool has_ended(struct leader *l, int *ret_status)
{
	while (waitpid(l->command, ret_status, WNOHANG | WUNTRACED) == l->command)
		if (WIFSTOPPED(*ret_status))
			stopped(l, WSTOPSIG(*ret_status));
		else
			return true;
	return false;
}

static int follow(struct leader *l, const sigset_t *all)
{
	siginfo_t info;
	int status;

	while (!has_ended(l, &status)) {
		int signo = sigwaitinfo(all, &info);

		if (signo > 0 && signo != SIGCHLD && info.si_code == SI_USER &&
		    info.si_pid == getppid())
			(void)kill(-l->command, signo);
	}
	return status;
}

static int run(const struct invocation *in)
{
	struct leader l = { .terminal = -1 };
	struct invocation rest = *in;
	struct err e = { 0 };
	sigset_t all;

	if (in->argc < 3)
		return verb_usage(in, "it is for 'webspaces enter'");
	sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return EXIT_CANNOT_EXECUTE;
	l.has_jobs = strcmp(in->argv[0], "jobs") == 0;
	l.is_in_front = strcmp(in->argv[1], "front") == 0;
	l.terminal = take_terminal();
	if (start(&l, &rest, &e) < 0) {
		verb_failed(&e);
		return EXIT_CANNOT_EXECUTE;
	}
	return session_end_like(follow(&l, &all));
}

const struct verb session_verb = {
	.name = "session",
	.summary = "leads the session of an entered command",
	.page = "Usage: webspaces session jobs|alone front|back jail|host UID GID NAME HOME "
		"COMMAND [WORD…]\n"
		"\n"
		"The process between 'webspaces enter' and the command that it runs: it has the "
		"command's\n"
		"terminal, and passes signals, stops and the end on. Not for people.\n"
		"\n"
		"Exit: the command's own; 126 it could not be run, 64 usage.\n",
	.run = run,
	.needs_root = true,
	.is_internal = true,
};
