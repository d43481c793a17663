/* webspaces exec-nginx: what webspaces-nginx.service runs. */
#include <string.h>

#include "agent/model/load.h"
#include "agent/verb.h"
#include "reconcile/service.h"
#include "reconcile/tree/namespace.h"

static int become(const struct invocation *in, const struct host *host, struct err *e)
{
	const char *word = in->argc > 0 ? in->argv[0] : NULL;

	if (word && strcmp(word, "--survey") == 0)
		return nginx_rehearse(host, NULL, e);
	if (word)
		return nginx_rehearse(host, in->argv[1], e);
	if (namespace_require(host, e) == 0)
		(void)nginx_exec(host, e);
	return -1;
}

static bool is_understood(const struct invocation *in)
{
	return in->argc == 0 || (in->argc == 1 && strcmp(in->argv[0], "--survey") == 0) ||
	       (in->argc == 2 && strcmp(in->argv[0], "--test") == 0);
}

static int run(const struct invocation *in)
{
	struct err e = { 0 };
	struct host *host;

	if (!is_understood(in))
		return verb_usage(in, "it is for units and the agent");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	(void)become(in, host, &e);
	host_free(host);
	return verb_failed(&e);
}

const struct verb exec_nginx_verb = {
	.name = "exec-nginx",
	.summary = "becomes the nginx of the webspaces, for its systemd unit",
	.page = "Usage: webspaces [--config FILE] exec-nginx [--test DIR | --survey]\n"
		"\n"
		"A unit cannot know where nginx, its configuration and the mount namespace are, "
		"so\n"
		"webspaces-nginx.service runs this: it joins the namespace, removes the socket "
		"that\n"
		"a killed nginx left, and becomes nginx with the generation in force. Not for "
		"people.\n"
		"\n"
		"  --test DIR   becomes the check of the host's own nginx with the generation in "
		"DIR\n"
		"  --survey     becomes what prints the host's configuration without webspaces\n"
		"\n"
		"Exit: nginx's own; 1 it could not be started, 64 usage.\n",
	.option = NULL,
	.run = run,
	.needs_root = true,
	.is_internal = true,
};
