/*
 * webspaces enter: a command as the webspace's user, in the namespace where its mounts are. This
 * process joins that and stays root's: it holds the terminal (session.h), which the command never
 * gets. What the command leaves behind ends with it.
 */
#include <stdio.h>
#include <string.h>

#include "agent/model/load.h"
#include "agent/session.h"
#include "agent/user.h"
#include "agent/verb.h"

/* The exit code; -errno. */
static int enter(const struct host *host, const char *name, bool jail, char **argv, struct err *e)
{
	enum user_place place = jail ? USER_JAIL : USER_HOME;
	struct user user;
	int status, r = user_find(host, name, &user, e);

	if (r == 0)
		r = user_enter(host, &user, place, e);
	if (r == 0)
		r = session_run(&user, place, argv, &status, e);
	return r < 0 ? r : session_end_like(status);
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool jail = in->argc > 0 && strcmp(in->argv[0], "--jail") == 0;
	struct err e = { 0 };
	struct host *host;
	int r;

	if (jail) {
		words.argv++;
		words.argc--;
	}
	if (words.argc > 1 && strcmp(words.argv[1], "--jail") == 0) {
		jail = true;
		words.argv[1] = words.argv[0];
		words.argv++;
		words.argc--;
	}
	if (words.argc < 2 || words.argv[0][0] == '-')
		return verb_usage(in, "a name and a command");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	r = enter(host, words.argv[0], jail, words.argv + 1, &e);
	host_free(host);
	if (r >= 0)
		return r;
	verb_failed(&e);
	return EXIT_CANNOT_EXECUTE;
}

const struct verb enter_verb = {
	.name = "enter",
	.summary = "runs a command as the webspace's user, where its mounts are",
	.page = "Usage: webspaces [--config FILE] enter NAME [--jail] COMMAND [WORD…]\n"
		"\n"
		"The mounts of all webspaces live in a mount namespace of their own, so that they "
		"do\n"
		"not weigh on the rest of the system. This joins it, takes on the user's ids (no\n"
		"supplementary groups, no way to more rights), goes to the user's data, and runs "
		"the\n"
		"command with a clean environment. --jail also makes the jail its root, as for "
		"PHP:\n"
		"then the command has to be there.\n"
		"\n"
		"From a terminal, the command gets one of its own, as with ssh. When the command "
		"ends, so\n"
		"does all that it started, daemons too: SIGTERM, and a second later SIGKILL.\n"
		"\n"
		"    webspaces enter alice ls -l\n"
		"    webspaces enter alice php -l index.php\n"
		"\n"
		"Exit: the command's own; 126 it could not be run, 64 usage.\n",
	.run = run,
	.needs_root = true,
};
