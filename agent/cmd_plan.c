/*
 * webspaces plan: the same pass without its apply. With --diff the texts of
 * changed files, by diff(1), which is handed both as files in memory.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/put.h"
#include "agent/base/shown.h"
#include "agent/base/spawn.h"
#include "agent/model/load.h"
#include "agent/verb.h"

#define DIFF               "/usr/bin/diff"
#define DIFF_DEADLINE_USEC (20 * USEC_PER_SEC)

struct plan {
	const struct invocation *in;
	bool diff;
	unsigned changes, errors;
};

static bool asked_for(const struct plan *p, const struct report *r)
{
	const char *name = r->subject ? r->subject->name : r->item;

	for (int i = 0; i < p->in->argc; i++)
		if (name && strcmp(p->in->argv[i], name) == 0)
			return true;
	return p->in->argc == 0;
}

static const char *sign_of(const struct report *r)
{
	if (!r->old_value || !*r->old_value)
		return "+";
	return r->new_value && *r->new_value ? "~" : "-";
}

static void print_line(const struct report *r)
{
	const char *name = r->subject ? r->subject->name : NULL;
	const char *words[] = { name, r->resource ? r->resource : "host",
				r->item && name && strcmp(r->item, name) == 0 ? NULL : r->item,
				r->what };

	fputs(sign_of(r), stdout);
	for (size_t i = 0; i < ELEMENTS(words); i++)
		if (words[i])
			shown_print(stdout, " %s", words[i]);
	if (r->old_value && *r->old_value)
		shown_print(stdout, ": %s → %s", r->old_value, r->new_value ? r->new_value : "");
	else if (r->new_value && *r->new_value)
		shown_print(stdout, ": %s", r->new_value);
	if (r->text)
		shown_print(stdout, " (%s)", r->text);
	putchar('\n');
}

/* A descriptor of a file in memory with this text; ret is the path under which others can read it. */
static int text_as_file(const char *text, char ret[static 64])
{
	autofd int fd = memfd_create("text", MFD_CLOEXEC);

	if (fd < 0 || put_all(fd, text ? text : "", text ? strlen(text) : 0, NULL) < 0)
		return -EIO;
	snprintf(ret, 64, "/proc/%d/fd/%d", getpid(), fd);
	return take_fd(fd);
}

static void print_diff(const struct report *r)
{
	char old_path[64], new_path[64];
	autofd int old_fd = text_as_file(r->old_text, old_path);
	autofd int new_fd = text_as_file(r->new_text, new_path);
	const char *const argv[] = { DIFF,      "-u",     "--label", "now", "--label",
				     "planned", old_path, new_path,  NULL };
	const struct spawn diff = { .argv = argv };
	autobuf struct buf output = { 0 };
	struct err e;

	if (old_fd < 0 || new_fd < 0)
		return;
	/* diff exits 1 where there are differences, so its output counts, not its status */
	(void)spawn_run(&diff, NULL, clock_usec() + DIFF_DEADLINE_USEC, &output, &e);
	shown_text(stdout, buf_text(&output));
}

static void on_report(const struct report *r, void *data)
{
	struct plan *p = data;

	if (!asked_for(p, r))
		return;
	if (r->kind == REPORT_PLANNED) {
		p->changes++;
		print_line(r);
		/* All files at once say what the webspaces' parts say, too. */
		if (p->diff && (r->old_text || r->new_text) && (!r->subject || p->in->argc > 0))
			print_diff(r);
	} else if (r->kind == REPORT_FAILED || r->kind == REPORT_HOST_FAULT) {
		p->errors++;
		shown_line(stderr, "webspaces: %s%s%s: %s", r->subject ? r->subject->name : "",
			   r->subject ? ": " : "", r->resource ? r->resource : "host",
			   r->text ? r->text : "");
	}
}

/* Files that do not load are errors of the plan too. */
static void tell_problems(struct plan *p, const struct agent *agent)
{
	struct table_entry *it;

	if (agent_problem(agent)) {
		shown_line(stderr, "webspaces: %s", agent_problem(agent));
		p->errors++;
	}
	for (int i = 0; i < p->in->argc; i++) {
		if (catalog_get(agent_catalog(agent), p->in->argv[i]))
			continue;
		shown_line(stderr, "webspaces: %s: no such webspace", p->in->argv[i]);
		p->errors++;
	}
	table_each (catalog_entries(agent_catalog(agent)), it) {
		const struct entry *entry = it->value;

		if (!entry->problem)
			continue;
		shown_line(stderr, "webspaces: %s", entry->problem);
		p->errors++;
	}
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	struct plan plan = { .in = &words, .diff = verb_flag(&words, "--diff") };
	struct agent_config config = { .mode = AGENT_PLAN, .report = on_report, .data = &plan };
	struct agent *agent = NULL;
	struct host *host = verb_host(in);
	struct err e = { 0 };
	int r;

	if (!host)
		return EXIT_FAILED;
	config.host = host;
	r = agent_open(&config, &agent, &e);
	if (r == 0)
		r = agent_loop(agent, &e);
	if (r == 0)
		tell_problems(&plan, agent);
	agent_close(agent);
	host_free(host);
	if (r < 0)
		return verb_failed(&e);
	return plan.errors ? EXIT_FAILED : plan.changes ? EXIT_CHANGES : EXIT_OK;
}

const struct verb plan_verb = {
	.name = "plan",
	.option = "--diff",
	.summary = "what a pass would change, a line each; touches nothing",
	.page = "Usage: webspaces [--config FILE] plan [NAME…] [--diff]\n"
		"\n"
		"Looks at everything a pass looks at and prints what it would change:\n"
		"\n"
		"    + carol account\n"
		"    ~ alice directory chroot/tmp mode: 0755 → 0010\n"
		"    ~ alice nginx: another part → its part\n"
		"    ~ nginx maps.conf: another text → the composed text\n"
		"\n"
		"+ would be made, ~ would be put right, - would be taken away. --diff shows "
		"changed\n"
		"files as a unified diff. With names, only lines about these, and with --diff "
		"their\n"
		"own parts of the daemons' files.\n"
		"\n"
		"It may run beside an agent, which will have made most changes already.\n"
		"\n"
		"Exit: 0 nothing to do, 2 there are changes, 1 an error, 64 usage.\n",
	.run = run,
	.needs_root = true,
};
