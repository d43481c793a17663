/* webspaces run: the agent that stays. */
#include <errno.h>

#include "agent/agent.h"
#include "agent/base/log.h"
#include "agent/model/load.h"
#include "agent/verb.h"

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool debug = verb_flag(&words, "--debug");
	struct agent_config config = { .mode = AGENT_RUN };
	struct agent *agent = NULL;
	struct host *host;
	struct err e = { 0 };
	int r;

	if (words.argc > 0)
		return verb_usage(in, "unexpected word '%s'", words.argv[0]);
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	log_open(debug);
	config.host = host;
	r = agent_open(&config, &agent, &e);
	if (r == 0)
		r = agent_loop(agent, &e);
	agent_close(agent);
	if (r < 0)
		log_error("%s", e.text);
	host_free(host);
	return r == -EBUSY ? EXIT_BUSY : r < 0 ? EXIT_FAILED : EXIT_OK;
}

const struct verb run_verb = {
	.name = "run",
	.summary = "the agent: watches, and makes the machine follow the files",
	.page = "Usage: webspaces [--config FILE] run [--debug]\n"
		"\n"
		"Runs the agent in the foreground. It reads every NAME.conf of config_dir, makes\n"
		"accounts, directories, mounts, certificates, PHP pools and virtual hosts follow\n"
		"them, and then watches: a file that is dropped, edited or removed takes effect "
		"at\n"
		"once, and whatever drifts on the machine is put back. Everything is looked at "
		"again\n"
		"every minute (reconcile.full_pass_s), should a notice be lost.\n"
		"\n"
		"The host's file is read at the start: restart the agent when it has changed.\n"
		"\n"
		"What it changes goes to the journal (or to stderr where there is none): drift "
		"item\n"
		"by item with old and new value, new webspaces with a line each. --debug tells "
		"all.\n"
		"\n"
		"Signals: SIGHUP looks at everything again. SIGTERM and SIGINT end the agent; "
		"nginx\n"
		"and PHP go on serving, and the next agent finds them.\n"
		"\n"
		"Exit: 0 ended by a signal, 1 cannot run, 64 usage, 75 another agent runs.\n",
	.run = run,
	.needs_root = true,
};
