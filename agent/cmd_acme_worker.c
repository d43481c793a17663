/* webspaces acme-worker: what the agent runs to talk to a CA; the line to it is standard input. */
#include "acme/worker/worker.h"
#include "agent/verb.h"

static int run(const struct invocation *in)
{
	struct err e = { 0 };

	if (in->argc != 2)
		return verb_usage(in, "a user and a file of CAs");
	(void)worker_run(
		&(struct worker_config){ .line = 0, .user = in->argv[0], .ca_file = in->argv[1] },
		&e);
	return verb_failed(&e);
}

const struct verb acme_worker_verb = {
	.name = "acme-worker",
	.summary = "talks to a CA, for the agent",
	.page = "Usage: webspaces acme-worker USER CA_FILE\n"
		"\n"
		"The agent starts this with a socket as standard input, by which it says what to "
		"ask\n"
		"of a certificate authority, of the DNS and of its own listeners. It becomes USER "
		"and\n"
		"gives up whatever it does not need for that. CA_FILE (may be empty: the system's) "
		"has\n"
		"the CAs by which servers are known. Not for people.\n"
		"\n"
		"Exit: 0 the agent closed the socket, 1 failed, 64 usage.\n",
	.run = run,
	.is_internal = true,
};
