/* webspaces apply: one pass, daemons included, then the end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/base/log.h"
#include "agent/base/shown.h"
#include "agent/model/load.h"
#include "agent/verb.h"

/* Is the name among the words, or are there none? */
static bool asked_for(const struct invocation *in, const char *name)
{
	for (int i = 0; i < in->argc; i++)
		if (strcmp(in->argv[i], name) == 0)
			return true;
	return in->argc == 0;
}

static int told_unready(const struct subject *s)
{
	int n = 0;

	for (enum condition_type t = 0; t < CONDITIONS; t++) {
		const struct condition *c = &s->conditions[t];

		if (c->status != CONDITION_FALSE)
			continue;
		shown_line(stderr, "webspaces: %s: %s: %s%s%s", s->name, condition_names[t],
			   c->reason, c->message ? ": " : "", c->message ? c->message : "");
		n++;
	}
	return n;
}

/* Tells what is not as it should be; true if all is. */
static bool all_in_sync(const struct invocation *in, const struct agent *agent)
{
	const struct table *subjects = reconcile_subjects(agent_reconcile(agent));
	bool in_sync = !agent_problem(agent);
	struct table_entry *it;

	table_each (subjects, it) {
		const struct subject *s = it->value;

		if (!asked_for(in, s->name) || subject_ready(s))
			continue;
		in_sync = false;
		if (told_unready(s) == 0)
			shown_line(stderr, "webspaces: %s: not ready", s->name);
	}
	for (int i = 0; i < in->argc; i++) {
		if (table_get(subjects, in->argv[i]))
			continue;
		shown_line(stderr, "webspaces: %s: no such webspace", in->argv[i]);
		in_sync = false;
	}
	if (catalog_held(agent_catalog(agent)) > 0) {
		shown_line(stderr,
			   "webspaces: %zu removals are held: see 'webspaces confirm --help'",
			   catalog_held(agent_catalog(agent)));
		in_sync = false;
	}
	return in_sync;
}

static int run(const struct invocation *in)
{
	struct agent_config config = { .mode = AGENT_APPLY };
	struct agent *agent = NULL;
	struct host *host = verb_host(in);
	struct err e = { 0 };
	int r, code = EXIT_FAILED;

	if (!host)
		return EXIT_FAILED;
	log_open(false);
	config.host = host;
	r = agent_open(&config, &agent, &e);
	if (r == 0)
		r = agent_loop(agent, &e);
	if (r < 0)
		code = r == -EBUSY ? (verb_failed(&e), EXIT_BUSY) : verb_failed(&e);
	else if (all_in_sync(in, agent))
		code = EXIT_OK;
	agent_close(agent);
	host_free(host);
	return code;
}

const struct verb apply_verb = {
	.name = "apply",
	.option = "",
	.summary = "one full pass, daemons included, then ends",
	.page = "Usage: webspaces [--config FILE] apply [NAME…]\n"
		"\n"
		"Does once what the agent does all the time, and ends: for hosts that would "
		"rather\n"
		"run it from a timer or from a deployment. nginx and PHP are started if need be "
		"and\n"
		"go on afterwards. With names, only these decide the exit code.\n"
		"\n"
		"A file that has gone takes its webspace out of service at the second apply that\n"
		"misses it, 30 s (reconcile.removal_grace_s) after the first or later.\n"
		"\n"
		"Exit: 0 all in sync, 1 something failed (said on stderr), 64 usage, 75 an agent\n"
		"runs, which does this by itself.\n",
	.run = run,
	.needs_root = true,
};
