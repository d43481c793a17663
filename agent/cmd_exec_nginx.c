/* webspaces exec-nginx: what webspaces-nginx.service runs. */
#include "agent/model/load.h"
#include "agent/verb.h"
#include "reconcile/service.h"
#include "reconcile/tree/namespace.h"

static int run(const struct invocation *in)
{
	struct err e = { 0 };
	struct host *host = verb_host(in);

	if (!host)
		return EXIT_FAILED;
	if (namespace_require(host, &e) == 0)
		(void)nginx_exec(host, &e);
	host_free(host);
	return verb_failed(&e);
}

const struct verb exec_nginx_verb = {
	.name = "exec-nginx",
	.summary = "becomes the nginx of the webspaces, for its systemd unit",
	.page = "Usage: webspaces [--config FILE] exec-nginx\n"
		"\n"
		"A unit cannot know where nginx, its configuration and the mount namespace are, "
		"so\n"
		"webspaces-nginx.service runs this: it joins the namespace, removes the socket "
		"that\n"
		"a killed nginx left, and becomes nginx with the generation in force. Not for "
		"people.\n"
		"\n"
		"Exit: nginx's own; 1 it could not be started, 64 usage.\n",
	.option = "",
	.run = run,
	.needs_root = true,
	.is_internal = true,
};
