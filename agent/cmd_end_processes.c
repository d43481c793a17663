/*
 * webspaces end-processes: takes on a user's ids and sends SIGKILL to everybody whom it may send it
 * to: all processes of the user's, in one system call, that none of them can fork away from. It makes
 * sure first that it has no way to reach others.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "agent/user.h"
#include "agent/verb.h"

/* Our parent is root's: who may signal that one may signal everybody. */
static bool reaches_others(void)
{
	return kill(getppid(), 0) == 0 || errno != EPERM || kill(1, 0) == 0 || errno != EPERM;
}

static int end_all(char **words, struct err *e)
{
	id_t uid, gid;
	int r = user_parse_id(words[0], FIRST_USER_ID, &uid, e);

	if (r == 0)
		r = user_parse_id(words[1], FIRST_USER_ID, &gid, e);
	if (r == 0)
		r = user_become(uid, gid, e);
	if (r < 0)
		return r;
	if (reaches_others())
		return err_set(e, EPERM, "the ids %s:%s can end processes of others", words[0],
			       words[1]);
	return kill(-1, SIGKILL) < 0 && errno != ESRCH ? err_sys(e, "kill") : 0;
}

static int run(const struct invocation *in)
{
	struct err e = { 0 };

	if (in->argc != 2)
		return verb_usage(in, "it is for 'webspaces purge' and 'webspaces enter'");
	return end_all(in->argv, &e) < 0 ? verb_failed(&e) : EXIT_OK;
}

const struct verb end_processes_verb = {
	.name = "end-processes",
	.summary = "ends all processes of a user",
	.page = "Usage: webspaces end-processes UID GID\n"
		"\n"
		"Takes on these ids and kills every process that has them. Not for people.\n"
		"\n"
		"Exit: 0 none is left, 1 failed, 64 usage.\n",
	.option = "",
	.run = run,
	.needs_root = true,
	.is_internal = true,
};
