/* webspaces confirm: lets a held mass removal go on, and many lost accounts be made again. */
#include <errno.h>
#include <stdio.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/confirm.h"
#include "agent/control.h"
#include "agent/model/catalog.h"
#include "agent/model/load.h"
#include "agent/verb.h"
#include "reconcile/accounts/loss.h"

/* Held by `webspaces apply`: the next one is to go on with what is held by now. */
static int approve(const struct host *host, size_t *ret_accounts, struct err *e)
{
	autofd int lock = control_lock(host, e);
	struct catalog *c = NULL;
	int r = lock < 0 ? lock : catalog_open(host, true, &c, e);
	struct loss *loss = NULL;

	if (r >= 0)
		r = catalog_look_all(c, clock_steady(), NULL, NULL, e);
	if (r >= 0)
		r = catalog_approve(c, e);
	catalog_close(c);
	if (r >= 0) {
		int written;

		loss = loss_open(host->state_dir, true);
		*ret_accounts = loss_confirm(loss);
		written = loss_write(loss, e);
		r = written < 0 ? written : r;
	}
	loss_close(loss);
	return r;
}

static int confirm_without_agent(const struct host *host, const char *generation)
{
	autobuf struct buf message = { 0 };
	struct err e = { 0 };
	size_t n_accounts = 0;
	int n;

	if (generation) {
		err_set(&e, ENOENT, "no agent runs, so no generation is in force");
		return verb_failed(&e);
	}
	n = approve(host, &n_accounts, &e);
	if (n < 0)
		return verb_failed(&e);
	confirm_say((size_t)n, n_accounts, " with the next apply", &message);
	puts(buf_text(&message));
	return EXIT_OK;
}

static int ask(const struct host *host, const char *word)
{
	autobuf struct buf message = { 0 };
	struct err e = { 0 };
	bool ok;
	int r = control_ask(host, "confirm", word, &ok, &message, &e);

	if (r == -ENOENT || r == -ECONNREFUSED)
		return confirm_without_agent(host, word);
	return verb_answered(r, ok, &message, &e);
}

static int run(const struct invocation *in)
{
	struct host *host;
	int code;

	if (in->argc > 1)
		return verb_usage(in, "one generation at most");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	code = ask(host, in->argc ? in->argv[0] : NULL);
	host_free(host);
	return code;
}

const struct verb confirm_verb = {
	.name = "confirm",
	.option = "",
	.summary = "lets a held mass removal go on",
	.page = "Usage: webspaces [--config FILE] confirm [GENERATION]\n"
		"\n"
		"When many files of webspaces are gone at once (all of them, or more than 5 and "
		"more\n"
		"than 2 %), that is more often an accident than a wish: the removals are held, "
		"the\n"
		"sites stay served, the journal and 'webspaces status' say so. This lets the "
		"removals\n"
		"that are held now go on. With a generation, only if status still shows that one.\n"
		"\n"
		"Removing stops serving and unmounts. Accounts and data stay until 'webspaces "
		"purge'.\n"
		"\n"
		"Accounts of webspaces that are gone at once, that many, are held in the same way: "
		"their\n"
		"sites stay served, and this has the accounts made again with the ids that they "
		"had.\n"
		"\n"
		"Where no agent runs, the next 'webspaces apply' goes on with what is held now.\n"
		"\n"
		"Exit: 0 done (or nothing was held), 1 another generation is in force by now.\n",
	.run = run,
	.needs_root = true,
};
