/* `webspaces options`: every configuration key, from the table that reads them. */
#include "agent/cmd_options.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"
#include "agent/model/manual.h"

static const char help[] =
	"Usage: webspaces options [--man | --sample | --json]\n"
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
	"Exit status: 0, or 64 for a wrong option.\n"
	"\n"
	"Examples:\n"
	"  webspaces options | less\n"
	"  webspaces options --sample | grep -A3 hsts\n"
	"  webspaces options --json | jq -r '.[] | select(.scope == \"site\") | .key'\n";

static const struct {
	const char *word;
	enum manual_format format;
} formats[] = {
	{ "--man", MANUAL_MAN },
	{ "--sample", MANUAL_SAMPLE },
	{ "--json", MANUAL_JSON },
};

int cmd_options(int argc, char **argv, const char *config_file)
{
	enum manual_format format = MANUAL_TEXT;
	autobuf struct buf text = { 0 };
	size_t i = 0;

	(void)config_file;
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(help, stdout);
		return 0;
	}
	if (argc == 2) {
		while (i < ELEMENTS(formats) && strcmp(formats[i].word, argv[1]) != 0)
			i++;
		if (i < ELEMENTS(formats))
			format = formats[i].format;
	}
	if (argc > 2 || i == ELEMENTS(formats)) {
		fprintf(stderr, "webspaces: options takes one of --man, --sample, --json\n");
		return EX_USAGE;
	}
	manual_write(format, &text);
	fputs(buf_text(&text), stdout);
	return fflush(stdout) == 0 ? 0 : EX_IOERR;
}
