/*
 * webspaces access: gives the web server its access to content that came without it: unpacked
 * archives, files moved in from elsewhere, mode 0600.
 *
 * The walk is the user's own, by a helper (cmd_walk.c). This process stays root's, has the terminal,
 * and believes what the helper says as little as it would believe the user.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/shown.h"
#include "agent/base/spawn.h"
#include "agent/model/load.h"
#include "agent/user.h"
#include "agent/verb.h"
#include "agent/walk.h"

#define LOOK_MSEC 500 /* whether somebody has stopped the helper */
#define TEXT_MAX  65536

struct access {
	const struct host *host;
	struct user user;
	const char **paths; /* below data */
	size_t n_paths;
	bool is_shown; /* what is found to be opened is listed */
	unsigned open, closed, failed;
};

/* What the helper says ------------------------------------------------------ */

static void print_found(FILE *to, const char *before, const char *path, const char *why)
{
	autobuf struct buf name = { 0 };

	shown_add_name(&name, path);
	fprintf(to, "%s%s", before, buf_text(&name));
	if (*why)
		shown_print(to, ": %s", why);
	fputc('\n', to);
}

static void take(struct access *a, char kind, const char *path, const char *why)
{
	if (kind == FOUND_FAILED) {
		a->failed++;
		print_found(stderr, "webspaces: ", path, why);
	} else if (kind == FOUND_CLOSED) {
		a->closed++;
		print_found(stdout, "stays closed: ", path, why);
	} else {
		a->open++;
		if (a->is_shown)
			print_found(stdout, "would open: ", path, why);
	}
}

/* Whole findings: a letter with the path, NUL, why, NUL. What follows them stays. */
static void take_all(struct access *a, struct buf *b)
{
	const char *at = buf_text(b), *end = at + b->len;

	for (;;) {
		const char *path_end = memchr(at, '\0', (size_t)(end - at));
		const char *why_end =
			path_end ? memchr(path_end + 1, '\0', (size_t)(end - path_end - 1)) : NULL;

		if (!why_end)
			break;
		if (*at)
			take(a, *at, at + 1, path_end + 1);
		at = why_end + 1;
	}
	memmove(b->data, at, (size_t)(end - at));
	buf_cut(b, (size_t)(end - at));
}

static int read_some(struct access *a, int fd, struct buf *b, struct err *e)
{
	char text[8192];
	ssize_t n = read(fd, text, sizeof(text));

	if (n < 0 && errno == EINTR)
		return 1;
	if (n <= 0)
		return n < 0 ? err_sys(e, "read") : 0;
	buf_add(b, text, (size_t)n);
	take_all(a, b);
	return b->len > TEXT_MAX ? err_set(e, EPROTO, "a name without end") : 1;
}

/* Nobody but the user can have done that. */
static bool is_stopped(const struct spawned *child)
{
	siginfo_t info = { 0 };

	return waitid(P_PIDFD, (id_t)child->pidfd, &info, WSTOPPED | WNOHANG) == 0 &&
	       info.si_pid != 0;
}

/* Until its end, or until it is stopped: whoever does that to it does not keep us waiting. */
static int follow(struct access *a, const struct spawned *child, int fd, struct err *e)
{
	autobuf struct buf b = { 0 };
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
				{ .fd = child->pidfd, .events = POLLIN } };
	int r = 1;

	while (r > 0) {
		if (is_stopped(child))
			return err_set(e, EINTR,
				       "a process of %s stopped the walk through the files",
				       a->user.name);
		if (poll(fds, ELEMENTS(fds), LOOK_MSEC) < 0 && errno != EINTR)
			return err_sys(e, "poll");
		if (fds[0].revents)
			r = read_some(a, fd, &b, e);
		else if (fds[1].revents)
			r = 0;
	}
	return r;
}

static int start(struct access *a, bool really, int out, struct spawned *ret, struct err *e)
{
	static const char *const empty[] = { NULL };
	autofree char *uid = memory_printf("%u", (unsigned)a->user.uid);
	autofree char *gid = memory_printf("%u", (unsigned)a->user.gid);
	autofree char *web_uid = memory_printf("%u", (unsigned)a->host->web_uid);
	const char *const words[] = { SPAWN_OURSELVES,         "walk", uid, gid, web_uid,
				      really ? "open" : "look" };
	autofree const char **all = memory_new((ELEMENTS(words) + a->n_paths + 1) * sizeof(*all));

	memcpy(all, words, sizeof(words));
	if (a->n_paths)
		memcpy(all + ELEMENTS(words), a->paths, a->n_paths * sizeof(*all));
	return spawn_start(
		&(struct spawn){ .argv = all, .env = empty, .out = out, .new_session = true }, ret,
		e);
}

static int walk(struct access *a, bool really, struct err *e)
{
	autofd int in = -1, out = -1;
	struct spawned child;
	int fds[2], status, r;

	a->open = a->closed = a->failed = 0;
	a->is_shown = !really;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, "pipe");
	in = fds[0];
	out = fds[1];
	r = start(a, really, out, &child, e);
	if (r < 0)
		return r;
	close(take_fd(out));
	r = follow(a, &child, in, e);
	(void)pidfd_send_signal(child.pidfd, SIGKILL, NULL, 0); /* it has ended, or is to */
	status = spawn_reap_killed(&child);
	close(child.pidfd);
	if (r == 0 && !spawn_succeeded(status) && a->failed == 0)
		r = err_set(e, EINTR, "the walk through the files of %s was ended before its end",
			    a->user.name);
	return r;
}

/* What is asked for ----------------------------------------------------------- */

/* Below data, also where it is said from the top. */
static int add_path(struct access *a, const char *path, struct err *e)
{
	size_t len = strlen(a->user.home);

	if (*path == '/') {
		if (strncmp(path, a->user.home, len) != 0 || (path[len] && path[len] != '/'))
			return err_set(e, EINVAL, "%s is not below %s", path, a->user.home);
		path += len;
		path += strspn(path, "/");
	}
	a->paths[a->n_paths++] = *path ? path : ".";
	return 0;
}

static bool asked_and_confirmed(const struct access *a)
{
	char answer[16];

	printf("Open %s to the web server? [y/N] ", a->open == 1 ? "it" : "these");
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

static int result(const struct access *a, bool really)
{
	printf(really ? "%u opened to the web server, %u could not be"
		      : "%u would be opened to the web server, %u could not be checked",
	       a->open, a->failed);
	if (a->closed)
		printf(", %u left closed: a PATH opens what it names", a->closed);
	putchar('\n');
	return a->failed ? EXIT_FAILED : EXIT_OK;
}

/* How to go about it: only show, show and ask, or do. */
enum manner { MANNER_SHOW, MANNER_ASK, MANNER_DO };

/* The exit code; -errno. */
static int go(struct access *a, enum manner manner, char **paths, struct err *e)
{
	int r = user_enter(a->host, &a->user, USER_HOME, e);

	for (; r == 0 && *paths; paths++)
		r = add_path(a, *paths, e);
	if (r == 0 && manner != MANNER_DO)
		r = walk(a, false, e);
	if (r < 0)
		return r;
	if (manner == MANNER_SHOW || (manner == MANNER_ASK && a->open == 0))
		return result(a, false);
	if (manner == MANNER_ASK && !asked_and_confirmed(a))
		return err_set(e, ECANCELED, "nothing was opened");
	r = walk(a, true, e);
	return r < 0 ? r : result(a, true);
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool really = verb_flag(&words, "--do"), show = verb_flag(&words, "--list");
	bool by_hand = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	struct access a = { 0 };
	struct err e = { 0 };
	struct host *host;
	int r;

	if (words.argc < 1 || (really && show))
		return verb_usage(in, "a name, and paths below its data");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	a.host = host;
	a.paths = memory_new((size_t)words.argc * sizeof(*a.paths));
	r = user_find(host, words.argv[0], &a.user, &e);
	if (r == 0)
		r = go(&a,
		       show                                   ? MANNER_SHOW
		       : really || words.argc > 1 || !by_hand ? MANNER_DO
							      : MANNER_ASK,
		       words.argv + 1, &e);
	free(a.paths);
	host_free(host);
	return r < 0 ? verb_failed(&e) : r;
}

const struct verb access_verb = {
	.name = "access",
	.option = "--do --list",
	.summary = "gives the web server access to content that came without it",
	.page = "Usage: webspaces [--config FILE] access NAME [PATH…] [--do | --list]\n"
		"\n"
		"The web server reads content by an ACL entry that new files inherit. What came "
		"from\n"
		"elsewhere (an archive unpacked with its modes, a directory moved in) or was made\n"
		"with mode 0600 lacks it. This walks NAME's data, or what PATH names below it, as "
		"NAME,\n"
		"and adds the entry to every file and directory of NAME's, through no link. Files "
		"with\n"
		"more than one hard link and files of other owners are left alone and named.\n"
		"\n"
		"Without a PATH, what an application closed on purpose stays closed: a directory "
		"whose\n"
		".htaccess denies everybody, and with rights for its owner alone a script or what "
		"begins\n"
		"with a dot. A PATH is opened whole.\n"
		"\n"
		"On a terminal and without a PATH it shows first what it would open, and asks.\n"
		"\n"
		"  --list  shows only\n"
		"  --do    does not ask\n"
		"\n"
		"Exit: 0 all done, 1 some could not be (said on stderr), 64 usage.\n",
	.run = run,
	.needs_root = true,
};
