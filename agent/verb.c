/* What all subcommands share: how they complain and how they find the host's file. */
#include "agent/verb.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/model/load.h"

int verb_usage(const struct invocation *in, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "webspaces: %s: ", in->verb);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\nwebspaces: see 'webspaces %s --help'\n", in->verb);
	return EXIT_USAGE;
}

int verb_failed(const struct err *e)
{
	fprintf(stderr, "webspaces: %s\n", e->text);
	return EXIT_FAILED;
}

int verb_answered(int r, bool ok, const struct buf *message, const struct err *e)
{
	if (r < 0)
		return verb_failed(e);
	fprintf(ok ? stdout : stderr, "%s%s\n", ok ? "" : "webspaces: ", buf_text(message));
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
