/*
 * webspaces become: takes on a user's ids and becomes the user's command. From the change of ids on
 * this is a process that others of the user's may stop, end and, were it dumpable, look into: it was
 * started with an empty environment, has read no file, and has nothing open but what the command
 * gets anyway.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/terminal.h"
#include "agent/user.h"
#include "agent/verb.h"

/* Of our session; a process of a group behind would be stopped for it. */
static void come_to_front(void)
{
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGTTOU);
	(void)sigprocmask(SIG_BLOCK, &set, &before);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (isatty(fd) && tcsetpgrp(fd, getpgrp()) == 0)
			break;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

static char **environment(const char *name, const char *home)
{
	static char texts[3][4096 + 16];
	static char *all[] = { (char *)"PATH=/usr/local/bin:/usr/bin:/bin",
			       (char *)"LANG=C.UTF-8",
			       texts[0],
			       texts[1],
			       texts[2],
			       NULL };

	snprintf(texts[0], sizeof(texts[0]), "HOME=%s", home);
	snprintf(texts[1], sizeof(texts[1]), "USER=%s", name);
	snprintf(texts[2], sizeof(texts[2]), "LOGNAME=%s", name);
	return all;
}

static int become(char **words, struct err *e)
{
	id_t uid, gid;
	int r = user_parse_id(words[2], FIRST_USER_ID, &uid, e);

	if (r == 0)
		r = user_parse_id(words[3], FIRST_USER_ID, &gid, e);
	if (r < 0)
		return r;
	if (strcmp(words[0], "front") == 0)
		come_to_front();
	if (strcmp(words[1], "jail") == 0 && chroot(".") < 0)
		return err_sys(e, "make the jail the root");
	r = user_become(uid, gid, e);
	if (r == 0)
		r = terminal_guard(e);
	if (r < 0)
		return r;
	environ = environment(words[4], words[5]); /* whose PATH counts, too */
	execvp(words[6], words + 6);
	return err_sys(e, "%s", words[6]);
}

static int run(const struct invocation *in)
{
	struct err e = { 0 };

	if (in->argc < 7)
		return verb_usage(in, "it is for 'webspaces enter'");
	(void)become(in->argv, &e);
	verb_failed(&e);
	return EXIT_CANNOT_EXECUTE;
}

const struct verb become_verb = {
	.name = "become",
	.summary = "takes on a user's ids and becomes a command",
	.page = "Usage: webspaces become front|back jail|host UID GID NAME HOME COMMAND [WORD…]\n"
		"\n"
		"The process that 'webspaces enter' has its command run in: with the user's ids,\n"
		"no supplementary group, no way to more rights and a clean environment. Not for "
		"people.\n"
		"\n"
		"Exit: the command's own; 126 it could not be run, 64 usage.\n",
	.run = run,
	.needs_root = true,
	.is_internal = true,
};
