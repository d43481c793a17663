/* webspaces purge: data, certificates and account of a webspace whose file has gone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/control.h"
#include "agent/model/history.h"
#include "agent/model/load.h"
#include "agent/model/names.h"
#include "agent/verb.h"
#include "reconcile/purge.h"

static bool is_there(const char *dir, const char *name)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s.conf", dir, name);
	return lstat(path, &st) == 0;
}

/* Refuses what is in service, or could be at the agent's next look. */
static int check_gone(const struct host *host, const char *name, struct err *e)
{
	autobuf struct buf message = { 0 };
	char good[4096];
	bool serves = false;
	int r = name_check_webspace(name, e);

	if (r < 0)
		return r;
	if (is_there(host->config_dir, name))
		return err_set(e, EBUSY, "%s is a webspace: remove %s/%s.conf first", name,
			       host->config_dir, name);
	snprintf(good, sizeof(good), "%s/good", host->state_dir);
	if (control_ask(host, "serves", name, &serves, &message, NULL) < 0)
		serves = is_there(good, name);
	if (serves)
		return err_set(e, EBUSY,
			       "%s is still in service: its removal is not done yet (see "
			       "'webspaces status')",
			       name);
	return 0;
}

/* A person has to write the name, so that no stray key purges anything. */
static bool asked_and_confirmed(const struct host *host, const char *name)
{
	char answer[64];
	size_t len;

	printf("This ends %s/%s with all data, the certificates and the account of %s, for good.\n"
	       "Write the name to go on: ",
	       host->home_root, name, name);
	fflush(stdout);
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	len = strcspn(answer, "\n");
	answer[len] = '\0';
	return strcmp(answer, name) == 0;
}

static int forget(const struct host *host, const char *name, struct err *e)
{
	struct history history;
	int r = history_open(host->state_dir, false, &history, e);

	if (r == 0)
		r = history_forget(&history, name, e);
	history_close(&history);
	return r;
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool yes = verb_flag(&words, "--yes");
	struct err e = { 0 };
	struct host *host;
	int r;

	if (words.argc != 1)
		return verb_usage(in, "one name");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	r = check_gone(host, words.argv[0], &e);
	if (r == 0 && !yes && !asked_and_confirmed(host, words.argv[0]))
		r = err_set(&e, ECANCELED, "nothing was purged");
	if (r == 0)
		r = purge(host, words.argv[0], &e);
	if (r == 0)
		r = forget(host, words.argv[0], &e);
	if (r == 0)
		printf("nothing is left of %s\n", words.argv[0]);
	host_free(host);
	return r < 0 ? verb_failed(&e) : EXIT_OK;
}

const struct verb purge_verb = {
	.name = "purge",
	.option = "--yes",
	.summary = "data and account of a removed webspace",
	.page = "Usage: webspaces [--config FILE] purge NAME [--yes]\n"
		"\n"
		"Removing a webspace's file stops serving it and keeps its data. This ends the "
		"data\n"
		"too: home_root/NAME, its certificates, and the account if the agent made it (one\n"
		"that came from elsewhere is left alone). It asks for the name first; --yes does "
		"not.\n"
		"\n"
		"It refuses while the file is there or the webspace is still in service. The "
		"account's\n"
		"id is not given to anybody else later.\n"
		"\n"
		"Exit: 0 done, 1 refused or failed, 64 usage.\n",
	.run = run,
	.needs_root = true,
};
