/* webspaces doctor: why is this site not up? The table of steps, and how it is told. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/control.h"
#include "agent/display.h"
#include "agent/doctor/doctor.h"
#include "agent/model/load.h"
#include "agent/model/names.h"
#include "agent/status.h"
#include "agent/verb.h"
#include "reconcile/world.h"

static const struct step steps[] = {
	{ "agent", step_agent, true },
	{ "file", step_file, false },
	{ "loads", step_loads, false },
	{ "state", step_state, false },
	{ "account", step_account, false },
	{ "home root", step_ancestors, false },
	{ "directories", step_directories, false },
	{ "mounts", step_mounts, false },
	{ "php", step_php, false },
	{ "nginx", step_nginx, false },
	{ "sites", step_site, false },
	{ "names", step_names, false },
	{ "http", step_http, false },
	{ "https", step_https, false },
	{ "certificate", step_certificate, false },
};

static const struct {
	const char *sign, *word;
	enum hue hue;
} looks[] = {
	[FOUND_WELL] = { "+", "ok", HUE_GOOD },
	[FOUND_NOTHING] = { ".", "none", HUE_DIM },
	[FOUND_HINT] = { "?", "hint", HUE_WARN },
	[FOUND_WRONG] = { "-", "wrong", HUE_BAD },
};

#define COLUMN_SAID 14

static void print_step(struct display *d, const struct step *s, enum found found,
		       const struct buf *said, const struct buf *cure)
{
	display_printf(d, looks[found].hue, "%s ", looks[found].sign);
	display_add(d, HUE_PLAIN, s->name);
	if (said->len) {
		display_to(d, COLUMN_SAID);
		display_wrap(d, found == FOUND_WRONG ? HUE_STRONG : HUE_PLAIN, COLUMN_SAID,
			     buf_text(said));
	}
	display_line(d);
	if (!cure->len)
		return;
	display_to(d, COLUMN_SAID);
	display_add(d, HUE_WARN, "→ ");
	display_wrap(d, HUE_PLAIN, COLUMN_SAID + 2, buf_text(cure));
	display_line(d);
}

static void add_step(struct json *list, const struct step *s, enum found found,
		     const struct buf *said, const struct buf *cure)
{
	struct json *j = json_new_object();

	json_put_text(j, "step", s->name);
	json_put_text(j, "found", looks[found].word);
	json_put_text(j, "message", buf_text(said));
	json_put_text(j, "cure", cure->len ? buf_text(cure) : NULL);
	json_add(list, j);
}

/* To the end, or to the first that finds something from which the others follow. list NULL: told as text. */
static bool walk(struct patient *p, struct json *list)
{
	bool well = true, ends = false;
	struct display d;

	display_open(&d, stdout);
	for (size_t i = 0; i < ELEMENTS(steps) && !ends; i++) {
		autobuf struct buf said = { 0 }, cure = { 0 };

		enum found found = steps[i].look(p, &said, &cure);

		well &= found != FOUND_WRONG;
		ends = found == FOUND_WRONG && !steps[i].goes_on;
		if (list)
			add_step(list, &steps[i], found, &said, &cure);
		else
			print_step(&d, &steps[i], found, &said, &cure);
	}
	return well;
}

static bool tell(struct patient *p, bool as_json)
{
	autojson struct json *j = as_json ? json_new_object() : NULL;
	struct json *list = as_json ? json_new_array() : NULL;
	autofree char *text = NULL;
	bool well = walk(p, list);

	if (!as_json)
		return well;
	json_put_text(j, "name", p->name);
	json_put_bool(j, "well", well);
	json_put(j, "steps", list);
	text = json_write(j, true);
	puts(text);
	return well;
}

static int ask_agent(const struct host *host)
{
	autobuf struct buf message = { 0 };
	bool ok;

	return control_ask(host, "alive", NULL, &ok, &message, NULL);
}

/* An unreadable directory is what the first step says, not the end of the walk. */
static int examine(struct patient *p, bool as_json, bool *ret_well, struct err *e)
{
	autojson struct json *status = NULL;
	autoarena struct arena arena = { 0 };
	struct world w;
	int r = world_open(p->host, true, &w, e);

	w.arena = &arena;
	p->world = &w;
	if (r == 0)
		r = accounts_refresh(w.accounts, e);
	if (r == 0) {
		(void)catalog_look_all(p->catalog, clock_steady(), NULL, NULL, NULL);
		p->entry = catalog_get(p->catalog, p->name);
		p->webspace = p->entry ? p->entry->webspace : NULL;
		p->door = ask_agent(p->host);
		if (status_read(p->host, p->name, &status, NULL) == 0) {
			p->agent = status;
			p->status = json_at(json_get(status, "webspaces"), 0);
		}
		*ret_well = tell(p, as_json);
	}
	world_close(&w);
	return r;
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool as_json = verb_flag(&words, "--json"), well = false;
	struct patient p = { 0 };
	struct err e = { 0 };
	struct host *host;
	int r;

	if (words.argc != 1)
		return verb_usage(in, "one name of a webspace");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	(void)signal(SIGPIPE, SIG_IGN); /* who hangs up is a finding */
	p.host = host;
	p.name = words.argv[0];
	r = name_check_webspace(p.name, &e);
	if (r == 0)
		r = catalog_open(host, false, &p.catalog, &e);
	if (r == 0)
		r = examine(&p, as_json, &well, &e);
	catalog_close(p.catalog);
	host_free(host);
	if (r < 0)
		return verb_failed(&e);
	return well ? EXIT_OK : EXIT_FAILED;
}

const struct verb doctor_verb = {
	.name = "doctor",
	.option = "--json",
	.summary = "why is this site not up? From its file to its page, and what to do",
	.page = "Usage: webspaces [--config FILE] doctor NAME [--json]\n"
		"\n"
		"Walks from the file to the served page and ends at the first thing that is wrong, "
		"with\n"
		"what to do about it. It looks at the machine itself, so it also helps where no "
		"agent\n"
		"runs, and changes nothing:\n"
		"\n"
		"    + agent       runs, last report 12 s ago\n"
		"    + file        /etc/webspaces.d/alice.conf is root's own\n"
		"    - mounts      srv/media: source /srv/media does not exist\n"
		"                  → nothing of others is ever touched: put that right by hand, …\n"
		"\n"
		"+ is well, - is wrong, ? may be wrong or meant, . does not apply. In order: the "
		"agent,\n"
		"the file (is it there, root's own, does it load, its state), account, ancestors "
		"of the\n"
		"home root, directories, mounts, PHP (pool, master), nginx (who has the ports, "
		"which\n"
		"generation it serves, the site in it), DNS of the names, the page over HTTP and "
		"HTTPS\n"
		"with its certificate, the CA's certificate.\n"
		"\n"
		"Exit: 0 all right, 1 something is not, 64 usage.\n",
	.run = run,
	.needs_root = true,
};
