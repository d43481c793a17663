/*
 * webspaces enter: a command as the webspace's user, in the namespace where its
 * mounts are. Everything that takes root's rights comes before the user's id is
 * taken on, and what is opened is opened beneath the home root, through no link.
 */
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/model/load.h"
#include "agent/user.h"
#include "agent/verb.h"

#define EXIT_CANNOT_EXECUTE 126

static int enter(const struct host *host, const char *name, bool jail, char **argv, struct err *e)
{
	struct user user;
	int r = user_find(host, name, &user, e);

	if (r == 0)
		r = user_enter(host, &user, jail ? USER_JAIL : USER_HOME, e);
	if (r == 0)
		r = user_become(&user, e);
	if (r < 0)
		return r;
	/* What a shell of root's had open besides the usual three is not the user's to have. */
	if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return err_sys(e, "let go of descriptors");
	execvpe(argv[0], argv, user_environment(&user));
	return err_sys(e, "%s", argv[0]);
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool jail = in->argc > 0 && strcmp(in->argv[0], "--jail") == 0;
	struct err e = { 0 };
	struct host *host;

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
	(void)enter(host, words.argv[0], jail, words.argv + 1, &e);
	host_free(host);
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
		"    webspaces enter alice ls -l\n"
		"    webspaces enter alice php -l index.php\n"
		"\n"
		"Exit: the command's own; 126 it could not be run, 64 usage.\n",
	.run = run,
	.needs_root = true,
};
