/* `webspaces options`: every configuration key, from the table that reads them. */
#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"
#include "agent/model/manual.h"
#include "agent/verb.h"

static const struct {
	const char *word;
	enum manual_format format;
} formats[] = {
	{ "--man", MANUAL_MAN },
	{ "--sample", MANUAL_SAMPLE },
	{ "--json", MANUAL_JSON },
};

static int run(const struct invocation *in)
{
	enum manual_format format = MANUAL_TEXT;
	autobuf struct buf text = { 0 };
	size_t i = 0;

	if (in->argc == 1) {
		while (i < ELEMENTS(formats) && strcmp(formats[i].word, in->argv[0]) != 0)
			i++;
		if (i < ELEMENTS(formats))
			format = formats[i].format;
	}
	if (in->argc > 1 || i == ELEMENTS(formats))
		return verb_usage(in, "takes one of --man, --sample, --json");
	manual_write(format, &text);
	fputs(buf_text(&text), stdout);
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

const struct verb options_verb = {
	.name = "options",
	.summary = "every key: type, preset, range, meaning",
	.page = "Usage: webspaces options [--man | --sample | --json]\n"
		"\n"
		"Prints every configuration key of the host's file, of a webspace's file and of a\n"
		"site: its type, range, preset and meaning. Needs no root, reads no file.\n"
		"\n"
		"  (none)     text, for people\n"
		"  --sample   a commented file to copy from\n"
		"  --man      items of an mdoc(7) list, for manual pages\n"
		"  --json     an array of objects: key, scope, kind, type, preset, min, max,\n"
		"             words, form, meaning\n"
		"\n"
		"Exit: 0, 64 usage.\n"
		"\n"
		"Examples:\n"
		"  webspaces options | less\n"
		"  webspaces options --sample | grep -A3 hsts\n"
		"  webspaces options --json | jq -r '.[] | select(.scope == \"site\") | .key'\n",
	.run = run,
};
