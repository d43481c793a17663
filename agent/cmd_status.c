/* webspaces status: what the agent last saw, from its files, and whether it lives. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/control.h"
#include "agent/display.h"
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

/* A list ------------------------------------------------------------------ */

static bool is_ready(const struct json *webspace)
{
	return json_bool(webspace, "ready", false);
}

static bool is_state(const struct json *webspace, const char *state)
{
	return strcmp(text_of(webspace, "state"), state) == 0;
}

static void add_state(struct display *d, const struct json *w)
{
	display_add(d, is_state(w, "enabled") ? HUE_PLAIN : HUE_WARN, text_of(w, "state"));
}

static void print_line(struct display *d, const struct json *w, size_t names)
{
	const struct json *c = first_false(w);
	autobuf struct buf why = { 0 };

	display_add(d, HUE_STRONG, text_of(w, "name"));
	display_to(d, names + 2);
	add_state(d, w);
	display_to(d, names + 13);
	if (is_ready(w)) {
		display_add(d, HUE_GOOD, "ready");
	} else {
		display_add(d, HUE_BAD, "not ready");
		if (c)
			buf_printf(&why, ": %s %s%s%s", text_of(c, "type"), text_of(c, "reason"),
				   *text_of(c, "message") ? ": " : "", text_of(c, "message"));
		display_cut(d, HUE_PLAIN, buf_text(&why));
	}
	display_line(d);
}

static size_t widest_name(const struct json *webspaces)
{
	size_t widest = 8;

	for (size_t i = 0; i < json_count(webspaces); i++) {
		size_t n = display_columns(text_of(json_at(webspaces, i), "name"));

		widest = n > widest ? n : widest;
	}
	return widest < 32 ? widest : 32;
}

static void add_count(struct display *d, enum hue hue, size_t n, const char *what)
{
	if (n == 0)
		return;
	display_add(d, HUE_PLAIN, ", ");
	display_printf(d, hue, "%zu %s", n, what);
}

static void print_summary(struct display *d, const struct json *webspaces)
{
	size_t n = json_count(webspaces), ready = 0, suspended = 0, disabled = 0;

	for (size_t i = 0; i < n; i++) {
		const struct json *w = json_at(webspaces, i);

		ready += is_ready(w);
		suspended += is_state(w, "suspended");
		disabled += is_state(w, "disabled");
	}
	display_printf(d, HUE_PLAIN, "%zu webspace%s", n, n == 1 ? "" : "s");
	add_count(d, HUE_BAD, n - ready, "not ready");
	add_count(d, HUE_GOOD, ready, "ready");
	add_count(d, HUE_WARN, suspended, "suspended");
	add_count(d, HUE_WARN, disabled, "disabled");
	display_line(d);
}

/* Those that somebody should look at come first. */
static void print_list(struct display *d, const struct json *webspaces)
{
	size_t names = widest_name(webspaces);

	for (int ready = 0; ready < 2; ready++)
		for (size_t i = 0; i < json_count(webspaces); i++)
			if (is_ready(json_at(webspaces, i)) == (ready == 1))
				print_line(d, json_at(webspaces, i), names);
	print_summary(d, webspaces);
}

/* One webspace -------------------------------------------------------------- */

static void add_since(struct display *d, const struct json *c)
{
	char age[24];
	time_t since = clock_of_rfc3339(json_text(c, "since"));

	if (since)
		display_printf(d, HUE_DIM, "for %s", display_age(since, clock_wall(), age));
}

#define COLUMN_REASON  15
#define COLUMN_SINCE   34
#define COLUMN_MESSAGE 4

static void print_condition(struct display *d, const struct json *c)
{
	bool holds = strcmp(text_of(c, "status"), "True") == 0,
	     fails = strcmp(text_of(c, "status"), "False") == 0;
	enum hue hue = holds ? HUE_GOOD : fails ? HUE_BAD : HUE_DIM;

	display_add(d, hue, holds ? "+ " : fails ? "- " : ". ");
	display_add(d, HUE_PLAIN, text_of(c, "type"));
	display_to(d, COLUMN_REASON);
	display_add(d, hue, text_of(c, "reason"));
	display_to(d, COLUMN_SINCE);
	add_since(d, c);
	display_line(d);
	if (!*text_of(c, "message"))
		return;
	display_to(d, COLUMN_MESSAGE);
	display_wrap(d, HUE_PLAIN, COLUMN_MESSAGE, text_of(c, "message"));
	display_line(d);
}

static void print_page(struct display *d, const struct json *w)
{
	const struct json *conditions = json_get(w, "conditions");

	display_add(d, HUE_STRONG, text_of(w, "name"));
	display_add(d, HUE_PLAIN, "  ");
	add_state(d, w);
	display_add(d, HUE_PLAIN, "  ");
	display_add(d, is_ready(w) ? HUE_GOOD : HUE_BAD, is_ready(w) ? "ready" : "not ready");
	display_line(d);
	for (size_t i = 0; i < json_count(conditions); i++)
		print_condition(d, json_at(conditions, i));
	if (!is_ready(w)) {
		display_printf(d, HUE_DIM, "webspaces doctor %s says what to do",
			       text_of(w, "name"));
		display_line(d);
	}
}

/* The host ------------------------------------------------------------------ */

static void print_rollback(struct display *d, const struct json *j)
{
	const struct json *back = json_get(j, "rollback");
	time_t since = clock_of_rfc3339(json_text(back, "since"));
	char age[24];

	if (json_form(back) != JSON_IS_OBJECT)
		return;
	display_printf(d, HUE_WARN, "rolled back to generation %lld %s ago: ",
		       (long long)json_number(back, "generation", 0),
		       display_age(since, clock_wall(), age));
	display_wrap(d, HUE_WARN, 0, text_of(back, "webspaces"));
	display_line(d);
	display_add(d, HUE_PLAIN, "held until a file changes, or 'webspaces rollback --release'");
	display_line(d);
}

static void print_host(struct display *d, const struct json *j, bool lives)
{
	long long accounts = json_number(j, "held_accounts", 0);
	long long held = json_number(j, "held", 0) - accounts;

	if (!lives) {
		display_add(d, HUE_BAD, "NO AGENT RUNS; this is what the last one saw");
		display_line(d);
	}
	display_printf(d, HUE_DIM, "generation %lld%s%s",
		       (long long)json_number(j, "generation", 0),
		       json_text(j, "revision") ? ", revision " : "", text_of(j, "revision"));
	display_line(d);
	if (json_text(j, "problem")) {
		display_add(d, HUE_BAD, "problem: ");
		display_wrap(d, HUE_PLAIN, 0, json_text(j, "problem"));
		display_line(d);
	}
	if (json_text(j, "note")) {
		display_add(d, HUE_DIM, "note: ");
		display_wrap(d, HUE_PLAIN, 0, json_text(j, "note"));
		display_line(d);
	}
	print_rollback(d, j);
	if (held > 0) {
		display_printf(d, HUE_WARN, "%lld removal%s held: see 'webspaces confirm --help'",
			       held, held == 1 ? " is" : "s are");
		display_line(d);
	}
	if (json_text(j, "ignored")) {
		display_add(d, HUE_DIM, "ignored, as a webspace's file is named NAME.conf: ");
		display_wrap(d, HUE_DIM, 0, json_text(j, "ignored"));
		display_line(d);
	}
	if (accounts > 0) {
		display_printf(d, HUE_WARN,
			       "%lld accounts are gone at once and are not made again: see "
			       "'webspaces confirm --help'",
			       accounts);
		display_line(d);
	}
}

static void print_text(const struct json *j, bool lives, const char *name)
{
	const struct json *webspaces = json_get(j, "webspaces");
	struct display d;

	display_open(&d, stdout);
	print_host(&d, j, lives);
	if (name)
		print_page(&d, json_at(webspaces, 0));
	else
		print_list(&d, webspaces);
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
		else if (e.code == EACCES)
			err_set(&e, EACCES, "%s/status may be read by root and the group adm alone",
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
		print_text(j, lives, name);
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
		"Without a name, a line for each webspace, those that are not ready first, with "
		"the\n"
		"first thing that is wrong. With a name, all its conditions: Loaded, Account,\n"
		"Directories, Mounts, Php, Sites, Certificate; + holds, - does not, . is not "
		"wanted or\n"
		"not known yet; with a reason, for how long, and a sentence.\n"
		"\n"
		"    bob      enabled    not ready: Mounts SourceMissing: source /srv/media does "
		"not exist\n"
		"    alice    enabled    ready\n"
		"    2 webspaces, 1 not ready, 1 ready\n"
		"\n"
		"A state is enabled, suspended (its sites answer with nginx.suspended), disabled, "
		"going\n"
		"(out of service), or unknown (no file of it has ever loaded).\n"
		"\n"
		"It reads files below run_dir/status, so it also answers when no agent runs. Root\n"
		"and members of the group adm may read them; the latter cannot see whether one "
		"runs.\n"
		"\n"
		"Exit: 0 all ready, 1 something is not, 3 no agent runs, 64 usage.\n",
	.run = run,
};
