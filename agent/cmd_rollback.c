/* webspaces rollback: back to what was in force at an earlier generation, until a file changes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/back.h"
#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/own.h"
#include "agent/base/shown.h"
#include "agent/control.h"
#include "agent/model/catalog.h"
#include "agent/model/history.h"
#include "agent/model/load.h"
#include "agent/verb.h"
#include "reconcile/service.h"

#define NAMES_SHOWN 6

/* Listing ---------------------------------------------------------------- */

static void print_point(const struct history *h, uint64_t point)
{
	autobuf struct buf changed = { 0 };
	struct table names = { 0 };
	time_t when = history_when(h, point);
	struct tm tm;
	char text[32] = "?";

	if (localtime_r(&when, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	history_names(h, point, &names);
	(void)table_list(&names, NAMES_SHOWN, &changed);
	shown_line(stdout, "%10" PRIu64 "  %-19s  %s", point, text, buf_text(&changed));
	table_clear(&names);
}

static struct json *point_json(const struct history *h, uint64_t point)
{
	struct json *j = json_new_object(), *changed = json_new_array();
	struct table names = { 0 };
	const struct table_entry *it;
	char until[21];

	clock_rfc3339(history_when(h, point), until);
	history_names(h, point, &names);
	table_each (&names, it)
		json_add_text(changed, it->key);
	table_clear(&names);
	json_put_number(j, "generation", (int64_t)point);
	json_put_text(j, "until", until);
	json_put(j, "changed", changed);
	return j;
}

static void list_json(const struct host *host, const struct catalog *c, const struct history *h)
{
	autojson struct json *j = json_new_object();
	struct json *points = json_new_array();
	autofree char *text = NULL;

	for (uint64_t n = UINT64_MAX; (n = history_before(h, n)) != 0;)
		json_add(points, point_json(h, n));
	json_put_number(j, "newest", (int64_t)generation_last(host));
	if (catalog_rolled_back(c, NULL))
		json_put_number(j, "rolled_back", (int64_t)catalog_rolled_back(c, NULL));
	else
		json_put_text(j, "rolled_back", NULL);
	json_put(j, "generations", points);
	text = json_write(j, true);
	puts(text);
}

static void list_text(const struct host *host, const struct catalog *c, const struct history *h)
{
	printf("%10s  %-19s  %s\n", "GENERATION", "IN FORCE UNTIL", "THEN CHANGED");
	printf("%10" PRIu64 "  %-19s  ", generation_last(host), "now");
	if (catalog_rolled_back(c, NULL))
		printf("(as of generation %" PRIu64 ")", catalog_rolled_back(c, NULL));
	putchar('\n');
	for (uint64_t n = UINT64_MAX; (n = history_before(h, n)) != 0;)
		print_point(h, n);
}

static int list(const struct host *host, bool as_json)
{
	struct history h = { .dir = -1 };
	struct catalog *c = NULL;
	struct err e = { 0 };
	int r = catalog_open(host, false, &c, &e);

	if (r == 0)
		r = history_open(host->state_dir, false, &h, &e);
	if (r == 0)
		(as_json ? list_json : list_text)(host, c, &h);
	history_close(&h);
	catalog_close(c);
	return r < 0 ? verb_failed(&e) : EXIT_OK;
}

/* Going back ------------------------------------------------------------- */

static int look(struct catalog *c, struct err *e)
{
	return catalog_look_all(c, clock_steady(), NULL, NULL, e);
}

/* The next agent, or apply, begins with it. */
static int without_agent(const struct host *host, const char *verb, const char *word, bool *ret_ok,
			 struct buf *ret_message, struct err *e)
{
	autofd int lock = control_lock(host, e);
	struct catalog *c = NULL;
	int r = lock < 0 ? lock : catalog_open(host, true, &c, e);

	if (r == 0) {
		catalog_generation(c, generation_last(host));
		r = look(c, e);
	}
	if (r == 0) {
		*ret_ok = back_answer(c, verb, word, ret_message);
		r = look(c, e);
	}
	if (r == 0 && *ret_ok)
		buf_adds(ret_message, "; no agent runs, so it is done with the next "
				      "'webspaces apply' or when the agent starts");
	catalog_close(c);
	return r;
}

static int ask(const struct host *host, const char *verb, const char *word)
{
	autobuf struct buf message = { 0 };
	struct err e = { 0 };
	bool ok = false;
	int r = control_ask(host, verb, word, &ok, &message, &e);

	if (r == -ENOENT || r == -ECONNREFUSED)
		r = without_agent(host, verb, word, &ok, &message, &e);
	return verb_answered(r, ok, &message, &e);
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool as_json = verb_flag(&words, "--json"), lists = verb_flag(&words, "--list") || as_json,
	     release = verb_flag(&words, "--release");
	struct host *host;
	int code;

	if (words.argc > (lists || release ? 0 : 1) || (lists && release))
		return verb_usage(in, "one generation at most, or --list, or --release");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	if (lists)
		code = list(host, as_json);
	else
		code = ask(host, release ? "release" : "rollback",
			   words.argc ? words.argv[0] : NULL);
	host_free(host);
	return code;
}

const struct verb rollback_verb = {
	.name = "rollback",
	.option = "--list --json --release",
	.summary = "back to an earlier generation, until a file changes",
	.page = "Usage: webspaces [--config FILE] rollback [GENERATION]\n"
		"       webspaces [--config FILE] rollback --list [--json]\n"
		"       webspaces [--config FILE] rollback --release\n"
		"\n"
		"Each publishing of a daemon's configuration has a number, its generation; "
		"'webspaces\n"
		"status' shows the newest. Rollback makes webspaces what their files said when "
		"that\n"
		"generation was in force; without a number, before the last change of a file. "
		"What is\n"
		"brought about is checked like any change, under a new generation.\n"
		"\n"
		"A webspace that is new since then is as if disabled; one that was removed since "
		"then\n"
		"is there again, as far as its data is. The host's own settings "
		"(webspaces.conf) stay.\n"
		"\n"
		"It is held, over restarts too, until any file in config_dir changes, comes or "
		"goes:\n"
		"then all files are in force again. --release ends it at once. The files "
		"themselves are\n"
		"never touched: mend what was wrong in them. status and journal say that it is "
		"held.\n"
		"\n"
		"    GENERATION  IN FORCE UNTIL       THEN CHANGED\n"
		"            14  now\n"
		"            12  2026-11-21 10:15:07  alice\n"
		"             9  2026-11-20 17:02:44  bob, carol\n"
		"\n"
		"--list shows the last ten changes and which generation each can be taken back "
		"to.\n"
		"\n"
		"Exit: 0 done, 1 there is no such generation, or it is not known any more, "
		"64 usage.\n",
	.run = run,
	.needs_root = true,
};
