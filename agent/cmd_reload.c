/*
 * webspaces reload: what ExecReload= of the agent's unit runs. A signal would not
 * do: systemd would take the reload for done before the agent has said that it
 * begins. The door answers after that has been said.
 */
#include <stdio.h>

#include "agent/control.h"
#include "agent/model/load.h"
#include "agent/verb.h"

static int run(const struct invocation *in)
{
	autobuf struct buf message = { 0 };
	struct host *host = verb_host(in);
	struct err e = { 0 };
	bool ok = false;
	int r;

	if (!host)
		return EXIT_FAILED;
	r = control_ask(host, "reload", NULL, &ok, &message, &e);
	host_free(host);
	if (r < 0)
		return verb_failed(&e);
	return ok ? EXIT_OK : EXIT_FAILED;
}

const struct verb reload_verb = {
	.name = "reload",
	.summary = "lets the agent look at everything again, for its systemd unit",
	.page = "Usage: webspaces [--config FILE] reload\n"
		"\n"
		"Asks the agent that runs to look at everything again, and does not wait for the\n"
		"end of that. 'systemctl reload webspaces' runs this, and waits. Not for people.\n"
		"\n"
		"Exit: 0 it begins, 1 it could not be asked, 64 usage.\n",
	.option = "",
	.run = run,
	.needs_root = true,
	.is_internal = true,
};
