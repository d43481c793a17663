/* webspaces certs: what certificates there are and what is wrong with them, from the files; what is to be done with them, by the agent. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/acme.h"
#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/own.h"
#include "agent/base/shown.h"
#include "agent/control.h"
#include "agent/model/load.h"
#include "agent/renewal.h"
#include "agent/verb.h"

/* Listing -------------------------------------------------------------------------- */

static const char *date(time_t t, char ret[static 21])
{
	clock_rfc3339(t, ret);
	return ret;
}

/* When something is done about it, and why then. */
static void print_next(const struct certificate_entry *c)
{
	char at[21];
	time_t now = clock_wall();
	const struct record *r = c->record;

	if (r->next_try > now)
		printf("  next try %s", date(r->next_try, at));
	else if (c->renews)
		printf("  renews %s%s", date(c->renews, at),
		       r->chosen && !c->internal ? " (the CA's word)" : "");
	putchar('\n');
}

static void print_problems(const struct record *r)
{
	char until[21];

	if (r->problem && !(r->reason && strcmp(r->reason, "NamesHeld") == 0))
		shown_line(stdout, "    %s: %s", r->reason ? r->reason : "Problem", r->problem);
	if (r->served_problem)
		shown_line(stdout, "    NotServed: %s", r->served_problem);
	for (size_t i = 0; i < r->n_held; i++)
		if (r->held[i].until > clock_wall())
			shown_line(stdout, "    %s is held until %s: %s", r->held[i].name,
				   date(r->held[i].until, until),
				   r->held[i].why ? r->held[i].why : "");
}

static void print_entry(const struct certificate_entry *c, void *data)
{
	char ends[21];

	(void)data;
	if (c->issuer)
		shown_print(stdout, "%-24s %-24.24s %-8s until %s", c->webspace, c->issuer, c->key,
			    date(c->not_after, ends));
	else
		shown_print(stdout, "%-24s not issued yet: %s", c->webspace, c->site);
	print_next(c);
	for (const char *name = c->names; *name; name += strlen(name) + 1)
		shown_line(stdout, "    %s", name);
	print_problems(c->record);
}

static void put_date(struct json *j, const char *key, time_t t)
{
	char text[21];

	json_put_text(j, key, t ? date(t, text) : NULL);
}

static struct json *held_json(const struct record *r)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < r->n_held; i++) {
		struct json *j = json_new_object();

		json_put_text(j, "name", r->held[i].name);
		json_put_text(j, "why", r->held[i].why);
		put_date(j, "until", r->held[i].until);
		json_add(list, j);
	}
	return list;
}

static void add_entry(const struct certificate_entry *c, void *data)
{
	struct json *j = json_new_object(), *names = json_new_array();
	const struct record *r = c->record;

	json_put_text(j, "webspace", c->webspace);
	json_put_text(j, "certificate", c->site);
	for (const char *name = c->names; *name; name += strlen(name) + 1)
		json_add_text(names, name);
	json_put(j, "names", names);
	json_put_text(j, "issuer", c->issuer);
	json_put_text(j, "serial", c->serial);
	json_put_text(j, "key", c->key);
	json_put_bool(j, "internal", c->internal);
	json_put_text(j, "ca", r->ca);
	put_date(j, "not_before", c->not_before);
	put_date(j, "not_after", c->not_after);
	put_date(j, "renews", c->renews);
	put_date(j, "window_start", r->window_start);
	put_date(j, "window_end", r->window_end);
	put_date(j, "next_try", r->next_try);
	json_put_number(j, "failures", r->failures);
	json_put_text(j, "reason", r->reason);
	json_put_text(j, "problem", r->problem);
	json_put_text(j, "served_problem", r->served_problem);
	json_put(j, "held", held_json(r));
	json_add(data, j);
}

static int list(const struct host *host, const char *webspace, bool as_json)
{
	autojson struct json *j = json_new_array();
	autofree char *text = NULL;
	struct store *s = NULL;
	struct err e = { 0 };
	int r = store_open(host->state_dir, host->web_gid, false, &s, &e);

	if (r == 0)
		r = store_each(s, webspace, as_json ? add_entry : print_entry, j, &e);
	store_close(s);
	if (r < 0)
		return verb_failed(&e);
	if (as_json) {
		text = json_write(j, true);
		puts(text);
	}
	return EXIT_OK;
}

/* Asking the agent ------------------------------------------------------------------ */

static int ask(const struct host *host, const char *verb, const char *word)
{
	autobuf struct buf message = { 0 };
	struct err e = { 0 };
	bool ok = false;
	int r = control_ask(host, verb, word, &ok, &message, &e);

	if (r == -ENOENT || r == -ECONNREFUSED)
		err_set(&e, ESRCH, "no agent runs, and only it talks to CAs");
	return verb_answered(r, ok, &message, &e);
}

struct action {
	const char *word, *verb;
	bool named; /* of a webspace */
};
static const struct action actions[] = {
	{ "revoke", "certs-revoke", true },
	{ "change-key", "certs-change-key", false },
	{ "deactivate", "certs-deactivate", false },
};

static int act(const struct invocation *in, const struct host *host)
{
	for (size_t i = 0; i < ELEMENTS(actions); i++) {
		if (strcmp(in->argv[0], actions[i].word) != 0)
			continue;
		if (in->argc != (actions[i].named ? 2 : 1))
			return verb_usage(in, "%s %s", actions[i].word,
					  actions[i].named ? "needs the name of a webspace"
							   : "stands alone");
		return ask(host, actions[i].verb, actions[i].named ? in->argv[1] : NULL);
	}
	return verb_usage(in, "unknown word '%s'", in->argv[0]);
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool as_json = verb_flag(&words, "--json"), no_wait = verb_flag(&words, "--no-wait");
	struct host *host;
	int code;

	if (words.argc > 0 && words.argv[0][0] == '-')
		return verb_usage(in, "no option %s", words.argv[0]);
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	if (words.argc == 2 && strcmp(words.argv[0], "renew") == 0)
		code = renewal_run(host, words.argv[1], !no_wait);
	else if (words.argc > 0 && strcmp(words.argv[0], "renew") == 0)
		code = verb_usage(in, "renew needs the name of a webspace");
	else if (words.argc == 0 || strcmp(words.argv[0], "list") == 0)
		code = words.argc > 2 ? verb_usage(in, "one name at most")
				      : list(host, words.argc == 2 ? words.argv[1] : NULL, as_json);
	else
		code = act(&words, host);
	host_free(host);
	return code;
}

const struct verb certs_verb = {
	.name = "certs",
	.summary = "certificates: lists them, renews or revokes them now",
	.page = "Usage: webspaces [--config FILE] certs [list [NAME]] [--json]\n"
		"       webspaces [--config FILE] certs renew NAME [--no-wait]\n"
		"       webspaces [--config FILE] certs revoke NAME\n"
		"       webspaces [--config FILE] certs change-key|deactivate\n"
		"\n"
		"list: who issued each certificate that is served, its key, until when it lasts,\n"
		"when it is renewed, its names, and what is wrong: the CA's own words, names that\n"
		"are held back and until when. It reads files, and needs no agent. NAME is a\n"
		"webspace, or .host for the certificate of *.base_domain.\n"
		"\n"
		"renew: asks the CA for new certificates of NAME now, whatever was to be waited\n"
		"for, and says of each whether it was renewed or why not. --no-wait: only asks.\n"
		"revoke: tells the CA that NAME's certificates are not to be trusted any more, "
		"and\n"
		"gets others with other keys. For when a key may have become known.\n"
		"change-key: gives our account at the CA another key.\n"
		"deactivate: ends our account at the CA; nothing can be had there any more.\n"
		"These four ask the running agent; of the last three the journal says how it "
		"went.\n"
		"\n"
		"Exit: 0 done or asked for, 1 failed, also in part, 64 usage, 75 renew: not known "
		"yet.\n",
	.run = run,
	.needs_root = true,
};
