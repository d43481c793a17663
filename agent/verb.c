/* What all subcommands share: how they complain and how they find the host's file. */
#include "agent/verb.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/base/shown.h"
#include "agent/model/load.h"

int verb_usage(const struct invocation *in, const char *format, ...)
{
	autofree char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	shown_line(stderr, "webspaces: %s: %s", in->verb, text ? text : "");
	fprintf(stderr, "webspaces: see 'webspaces %s --help'\n", in->verb);
	return EXIT_USAGE;
}

int verb_failed(const struct err *e)
{
	shown_line(stderr, "webspaces: %s", e->text);
	return EXIT_FAILED;
}

int verb_answered(int r, bool ok, const struct buf *message, const struct err *e)
{
	if (r < 0)
		return verb_failed(e);
	shown_line(ok ? stdout : stderr, "%s%s", ok ? "" : "webspaces: ", buf_text(message));
	return ok ? EXIT_OK : EXIT_FAILED;
}

struct host *verb_host(const struct invocation *in)
{
	struct problems problems = { 0 };
	struct host *host = NULL;
	struct err e;

	if (load_host(in->config_file, !in->config_given, &host, &problems) < 0)
		problems_print(&problems, stderr);
	problems_clear(&problems);
	if (host && host_resolve(host, &e) < 0) {
		verb_failed(&e);
		host_free(host);
		return NULL;
	}
	return host;
}

bool verb_flag(struct invocation *in, const char *flag)
{
	for (int i = 0; i < in->argc; i++) {
		if (strcmp(in->argv[i], flag) != 0)
			continue;
		memmove(&in->argv[i], &in->argv[i + 1], (size_t)(in->argc - i) * sizeof(*in->argv));
		in->argc--;
		return true;
	}
	return false;
}
