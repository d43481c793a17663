/* webspaces status: what the agent last saw, from its files, and whether it lives. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/control.h"
#include "agent/model/load.h"
#include "agent/status.h"
#include "agent/verb.h"

/* The door is root's: to others it is only known to be there. */
static bool agent_lives(const struct host *host)
{
	autobuf struct buf message = { 0 };
	struct err e;
	bool ok;
	int r = control_ask(host, "alive", NULL, &ok, &message, &e);

	return r == 0 || r == -EACCES;
}

static const char *text_of(const struct json *j, const char *key)
{
	const char *text = json_text(j, key);

	return text ? text : "";
}

/* The first condition that is False, else the first that is still to come, or NULL. */
static const struct json *first_false(const struct json *webspace)
{
	const struct json *conditions = json_get(webspace, "conditions"), *pending = NULL;

	for (size_t i = 0; i < json_count(conditions); i++) {
		const struct json *c = json_at(conditions, i);

		if (strcmp(text_of(c, "status"), "False") == 0)
			return c;
		if (!pending && strcmp(text_of(c, "status"), "Unknown") == 0 &&
		    strcmp(text_of(c, "reason"), "NotWanted") != 0)
			pending = c;
	}
	return pending;
}

static void print_line(const struct json *w)
{
	const struct json *c = first_false(w);
	bool ready = json_bool(w, "ready", false);

	printf("%-32s %-10s %s", text_of(w, "name"), text_of(w, "state"),
	       ready ? "ready" : "not ready");
	if (c && !ready)
		printf(": %s %s%s%s", text_of(c, "type"), text_of(c, "reason"),
		       *text_of(c, "message") ? ": " : "", text_of(c, "message"));
	putchar('\n');
}

static void print_conditions(const struct json *w)
{
	const struct json *conditions = json_get(w, "conditions");

	for (size_t i = 0; i < json_count(conditions); i++) {
		const struct json *c = json_at(conditions, i);

		printf("  %-12s %-8s %-16s since %s%s%s\n", text_of(c, "type"),
		       text_of(c, "status"), text_of(c, "reason"), text_of(c, "since"),
		       *text_of(c, "message") ? "  " : "", text_of(c, "message"));
	}
}

static void print_host(const struct json *j, bool lives)
{
	printf("generation %lld", (long long)json_number(j, "generation", 0));
	if (json_text(j, "revision"))
		printf(", revision %s", json_text(j, "revision"));
	printf("%s\n", lives ? "" : "; NO AGENT RUNS, this is what the last one saw");
	if (json_text(j, "problem"))
		printf("problem: %s\n", json_text(j, "problem"));
	if (json_number(j, "held", 0) > 0)
		printf("%lld removals are held: see 'webspaces confirm --help'\n",
		       (long long)json_number(j, "held", 0));
}

static void print_text(const struct json *j, bool lives, bool detailed)
{
	const struct json *webspaces = json_get(j, "webspaces");

	print_host(j, lives);
	for (size_t i = 0; i < json_count(webspaces); i++) {
		print_line(json_at(webspaces, i));
		if (detailed)
			print_conditions(json_at(webspaces, i));
	}
}

static bool all_ready(const struct json *j)
{
	const struct json *webspaces = json_get(j, "webspaces");

	for (size_t i = 0; i < json_count(webspaces); i++)
		if (!json_bool(json_at(webspaces, i), "ready", false))
			return false;
	return !json_text(j, "problem");
}

static int show(const struct host *host, const char *name, bool as_json)
{
	autojson struct json *j = NULL;
	autofree char *text = NULL;
	bool lives = agent_lives(host);
	struct err e = { 0 };

	if (status_read(host, name, &j, &e) < 0) {
		if (e.code == ENOENT && !lives)
			err_set(&e, ENOENT, "no agent runs, and none has left a status in %s",
				host->run_dir);
		verb_failed(&e);
		return lives ? EXIT_FAILED : EXIT_NO_AGENT;
	}
	if (name && json_count(json_get(j, "webspaces")) == 0) {
		err_set(&e, 0, "%s: no such webspace", name);
		return verb_failed(&e);
	}
	if (as_json) {
		text = json_write(j, true);
		puts(text);
	} else {
		print_text(j, lives, name != NULL);
	}
	if (!lives)
		return EXIT_NO_AGENT;
	return all_ready(j) ? EXIT_OK : EXIT_FAILED;
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool as_json = verb_flag(&words, "--json");
	struct host *host;
	int code;

	if (words.argc > 1)
		return verb_usage(in, "one name at most");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	code = show(host, words.argc ? words.argv[0] : NULL, as_json);
	host_free(host);
	return code;
}

const struct verb status_verb = {
	.name = "status",
	.option = "--json",
	.summary = "what the agent last saw of each webspace",
	.page = "Usage: webspaces [--config FILE] status [NAME] [--json]\n"
		"\n"
		"Without a name, a line for each webspace, with the first thing that is wrong. "
		"With a\n"
		"name, all its conditions: Loaded, Account, Directories, Mounts, Php, Sites,\n"
		"Certificate; each True, False or Unknown, with a reason, a sentence, and since "
		"when.\n"
		"\n"
		"    alice    enabled    ready\n"
		"    bob      enabled    not ready: Mounts SourceMissing: source /srv/media does "
		"not exist\n"
		"\n"
		"It reads files below run_dir/status, so it also answers when no agent runs, and\n"
		"to others than root (who cannot see whether one runs).\n"
		"\n"
		"Exit: 0 all ready, 1 something is not, 3 no agent runs, 64 usage.\n",
	.run = run,
};
