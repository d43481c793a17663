/* `webspaces metrics`: every figure of the file for Prometheus, from the table that writes it. */
#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/metrics.h"
#include "agent/verb.h"

static int run(const struct invocation *in)
{
	bool man = in->argc == 1 && strcmp(in->argv[0], "--man") == 0;
	autobuf struct buf text = { 0 };

	if (in->argc > (man ? 1 : 0))
		return verb_usage(in, "takes --man or nothing");
	metrics_describe(man, &text);
	fputs(buf_text(&text), stdout);
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

const struct verb metrics_verb = {
	.name = "metrics",
	.summary = "every figure for Prometheus: name, labels, type, meaning",
	.page = "Usage: webspaces metrics [--man]\n"
		"\n"
		"Prints what the agent writes to metrics.file, a text file that Prometheus'\n"
		"node-exporter collects: names with their units, labels, types and meaning. The "
		"file\n"
		"is replaced at the end of a pass, at most every 5 seconds. Needs no root.\n"
		"\n"
		"  --man   items of an mdoc(7) list, for manual pages\n"
		"\n"
		"Exit: 0, 64 usage.\n",
	.run = run,
};
