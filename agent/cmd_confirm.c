/* webspaces confirm: lets a held mass removal go on. */
#include <errno.h>
#include <stdio.h>

#include "agent/control.h"
#include "agent/model/load.h"
#include "agent/verb.h"

static int ask(const struct host *host, const char *word)
{
	autobuf struct buf message = { 0 };
	struct err e = { 0 };
	bool ok;
	int r = control_ask(host, "confirm", word, &ok, &message, &e);

	if (r == -ENOENT || r == -ECONNREFUSED)
		err_set(&e, ENOENT, "no agent runs, so nothing is held");
	if (r < 0)
		return verb_failed(&e);
	printf("%s\n", buf_text(&message));
	return ok ? EXIT_OK : EXIT_FAILED;
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
		"Exit: 0 done (or nothing was held), 1 no agent runs, or it has moved on.\n",
	.run = run,
};
