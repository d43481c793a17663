/*
 * webspaces settle: waits until the agent has nothing left to do. Asked again
 * and again, for what the agent waits for (a daemon that starts) has no single
 * end; twice in a row the same, since the kernel may still hold a hint that the
 * agent has not read.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/control.h"
#include "agent/model/load.h"
#include "agent/verb.h"

#define PAUSE_MS        20
#define TIMEOUT_DEFAULT 60
#define TIMEOUT_MAX     86400

static int wait_settled(const struct host *host, uint64_t until_usec, struct buf *ret,
			struct err *e)
{
	autofree char *before = NULL;
	bool ok;

	for (;;) {
		int r;

		buf_reset(ret);
		r = control_ask(host, "settled", NULL, &ok, ret, e);
		if (r < 0)
			return r;
		if (ok && before && strcmp(before, buf_text(ret)) == 0)
			return 1;
		free(before);
		before = ok ? memory_dup(buf_text(ret)) : NULL;
		if (clock_usec() >= until_usec)
			return 0;
		(void)poll(NULL, 0, PAUSE_MS);
	}
}

/* Seconds; -EINVAL: not such a number. */
static int timeout_of(const struct invocation *in)
{
	char *end;
	long seconds;

	if (in->argc == 0)
		return TIMEOUT_DEFAULT;
	if (in->argc != 2 || strcmp(in->argv[0], "--timeout") != 0)
		return -EINVAL;
	seconds = strtol(in->argv[1], &end, 10);
	if (end == in->argv[1] || *end || seconds < 0 || seconds > TIMEOUT_MAX)
		return -EINVAL;
	return (int)seconds;
}

static int run(const struct invocation *in)
{
	autobuf struct buf counters = { 0 };
	struct err e = { 0 };
	struct host *host;
	int seconds = timeout_of(in), r;

	if (seconds < 0)
		return verb_usage(in, "expected nothing or --timeout SECONDS, from 0 to %d",
				  TIMEOUT_MAX);
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	r = wait_settled(host, clock_usec() + (uint64_t)seconds * USEC_PER_SEC, &counters, &e);
	host_free(host);
	if (r == -ENOENT || r == -ECONNREFUSED) {
		fputs("webspaces: settle: no agent is running\n", stderr);
		return EXIT_NO_AGENT;
	}
	if (r < 0)
		return verb_failed(&e);
	puts(buf_text(&counters));
	return r ? EXIT_OK : EXIT_BUSY;
}

const struct verb settle_verb = {
	.name = "settle",
	.option = "--timeout",
	.summary = "waits until the agent has nothing left to do",
	.page = "Usage: webspaces [--config FILE] settle [--timeout SECONDS]\n"
		"\n"
		"Waits until all changes of files and of the machine have been seen, every queue\n"
		"is empty and all daemons serve what was published; then prints the agent's\n"
		"counters as JSON. Two outputs that are equal mean that nothing happened in\n"
		"between. What waits for a time of its own does not count: a removal in its time\n"
		"of grace, a certificate that a CA is to issue, a retry after a failure.\n"
		"\n"
		"  --timeout SECONDS  how long to wait; default 60\n"
		"\n"
		"Exit: 0 settled, 3 no agent is running, 64 usage, 75 timed out.\n",
	.run = run,
	.needs_root = true,
};
