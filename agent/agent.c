/*
 * Names travel here, nothing else: a hint says where to look, the catalog says
 * what is desired there, reconcile makes it so. Watchers and reconcile never
 * meet. Whatever is lost on the way is found by the look at everything that
 * runs every full_pass_s.
 */
#include "agent/agent_inside.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/ids.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/control.h"
#include "agent/host_files.h"
#include "agent/journal.h"
#include "agent/metrics.h"
#include "agent/news.h"
#include "agent/notify.h"
#include "agent/status.h"
#include "reconcile/service.h"
#include "watchers/watchers.h"

/* What is still becoming known about a webspace is told after that long, settled or not. */
#define STATUS_LATER_USEC (2 * USEC_PER_SEC)

const struct catalog *agent_catalog(const struct agent *a)
{
	return a->catalog;
}

const struct reconcile *agent_reconcile(const struct agent *a)
{
	return a->reconcile;
}

const char *agent_problem(const struct agent *a)
{
	return a->problem;
}

/* Files → desired state ------------------------------------------------- */

void agent_entry_changed(struct entry *entry, void *data)
{
	struct agent *a = data;
	const struct file_problem problem = { entry->problem_reason, entry->problem };

	if (a->config.mode != AGENT_PLAN)
		news_file(entry, a->config.host->reconcile.removal_grace_s,
			  catalog_revision(a->catalog));
	if (!a->loaded)
		return; /* load() hands over all of them at once */
	if (entry->going)
		reconcile_take(a->reconcile, entry->name);
	else
		reconcile_set(a->reconcile, entry->name, entry->webspace,
			      entry->problem ? &problem : NULL, entry->lost);
	if (entry->held)
		news_add_held(&a->held, entry->name);
}

void agent_write_host_status(struct agent *a)
{
	autobuf struct buf names = { 0 }, complaints = { 0 }, passed_over = { 0 };
	struct status_host host = {
		.generation = reconcile_generation(a->reconcile),
		.revision = catalog_revision(a->catalog),
		.held = catalog_held(a->catalog),
		.held_accounts = reconcile_held(a->reconcile),
		.problem = a->problem,
		.note = a->config.host->left_out,
	};
	struct err e;

	reconcile_complain(a->reconcile, &complaints);
	if (!host.problem && complaints.len > 0)
		host.problem = buf_text(&complaints);
	host.rolled_back = catalog_rolled_back(a->catalog, &host.rolled_back_since);
	catalog_rollback_names(a->catalog, &names);
	host.rolled_back_names = buf_text(&names);
	catalog_passed_over(a->catalog, &passed_over);
	host.passed_over = buf_text(&passed_over);
	news_passed_over(&a->held, a->config.host->config_dir, host.passed_over);
	metrics_held(a->metrics, host.held);
	news_held_accounts(&a->held, host.held_accounts);
	if (a->status && status_write_host(a->status, &host, &e) < 0)
		log_error("status: %s", e.text);
}

static void set_problem(struct agent *a, const char *text)
{
	if (text ? !a->problem || strcmp(text, a->problem) != 0 : a->problem != NULL)
		news_directory(text);
	free(a->problem);
	a->problem = memory_dup(text);
}

/*
 * A removal in its time of grace wants a second look when that has passed; into
 * a directory that cannot be read there is none, and watchers or the full pass tell.
 */
static void plan_next_look(struct agent *a)
{
	time_t next = a->problem ? 0 : catalog_next_look(a->catalog), now = clock_steady();
	uint64_t seconds = next > now ? (uint64_t)(next - now) : 0;

	if (a->look_again)
		loop_timer_set(a->look_again,
			       next ? clock_usec() + seconds * USEC_PER_SEC : UINT64_MAX);
}

void agent_read_file(struct agent *a, const char *name)
{
	struct err e;
	int r;

	catalog_generation(a->catalog, generation_last(a->config.host));
	r = name ? catalog_look(a->catalog, name, clock_steady(), agent_entry_changed, a, &e)
		 : catalog_look_all(a->catalog, clock_steady(), agent_entry_changed, a, &e);

	set_problem(a, r < 0 ? e.text : NULL);
	/* What a webspace left behind is known only where all files were seen. */
	if (r == 0 && !a->seen_all && !name) {
		a->seen_all = true;
		reconcile_may_prune(a->reconcile);
	}
	news_held(&a->held);
	news_rollback(a->catalog, &a->rolled_back);
	plan_next_look(a);
	/* Before the first look at the daemons is done, what the last agent told of them stands. */
	if (a->ready || a->problem)
		agent_write_host_status(a);
}

/* Hints ------------------------------------------------------------------ */

static void on_hint(enum hint hint, const char *name, void *data)
{
	struct agent *a = data;

	if (hint == HINT_FILE)
		agent_read_file(a, name);
	else if (hint == HINT_HOME)
		reconcile_look(a->reconcile, name);
	else if (name && strcmp(name, a->config.host->file) == 0)
		news_host_file(name, &a->host_file);
	else
		reconcile_look_host(a->reconcile, name);
}

static void on_look_again(void *data)
{
	agent_read_file(data, NULL);
}

static void on_files_again(void *data)
{
	struct agent *a = data;

	agent_read_file(a, NULL);
	loop_timer_set(a->files_again,
		       clock_usec() + a->config.host->reconcile.full_pass_s * USEC_PER_SEC);
}

void agent_reload(struct agent *a)
{
	notify_reloading(a->notify);
	agent_read_file(a, NULL);
	reconcile_look_host(a->reconcile, NULL);
}

static void on_hangup(void *data)
{
	agent_reload(data);
}

static void on_terminate(void *data)
{
	struct agent *a = data;

	notify_stopping();
	loop_stop(a->loop, 0);
}

/* Reports ---------------------------------------------------------------- */

/* New directories are watched as soon as they are there, and again when made anew. */
static void watch_home(struct agent *a, const struct subject *s)
{
	struct err e;

	if (!a->watchers || s->conditions[CONDITION_DIRECTORIES].status != CONDITION_TRUE)
		return;
	if (watchers_home(a->watchers, s->name, &e) < 0)
		log_warning("%s: not watched, checked once a pass instead: %s", s->name, e.text);
}

static void on_status(struct agent *a, const struct report *r)
{
	struct err e;
	int written;

	watch_home(a, r->subject);
	if (!a->status)
		return;
	written = status_write(a->status, r->subject, catalog_revision(a->catalog), &e);
	if (written < 0)
		log_error("status: %s", e.text);
	if (written > 0 && !a->status_due && a->status_later) {
		a->status_due = true;
		loop_timer_set(a->status_later, clock_usec() + STATUS_LATER_USEC);
	}
}

static void flush_status(void *data)
{
	struct agent *a = data;
	struct err e;

	a->status_due = false;
	if (a->status && status_flush(a->status, &e) < 0)
		log_error("status: %s", e.text);
}

static void on_removed(struct agent *a, const char *name)
{
	struct err e;

	if (a->watchers)
		watchers_forget(a->watchers, name);
	if (a->status && status_forget(a->status, name, &e) < 0)
		log_error("status: %s", e.text);
	catalog_forget(a->catalog, name);
	plan_next_look(a);
}

static void on_idle(struct agent *a)
{
	if (a->status)
		status_seen_all(a->status);
	flush_status(a);
	agent_write_host_status(a);
	if (a->config.mode != AGENT_RUN) {
		loop_stop(a->loop, 0);
		return;
	}
	notify_idle(a->notify);
	if (!a->ready)
		memory_trim(); /* the texts of all configurations were put together */
	a->ready = true;
}

static void on_report(const struct report *r, void *data)
{
	struct agent *a = data;
	autofree char *name = NULL;

	a->counts[r->kind]++;
	if (a->config.report)
		a->config.report(r, a->config.data);
	if (a->config.mode != AGENT_PLAN)
		journal_report(r, catalog_revision(a->catalog));
	metrics_report(a->metrics, r);
	switch (r->kind) {
	case REPORT_CHANGED:
		if (a->watchers && r->resource && strcmp(r->resource, "mount") == 0)
			watchers_own_mounts(a->watchers, r->subject ? r->subject->name : NULL);
		if (r->subject && r->resource && strcmp(r->resource, "directory") == 0)
			watch_home(a, r->subject);
		break;
	case REPORT_STATUS:
		on_status(a, r);
		break;
	case REPORT_REMOVED:
		name = memory_dup(r->subject->name);
		on_removed(a, name);
		break;
	case REPORT_IDLE:
		on_idle(a);
		break;
	default:
		break;
	}
}

/* Opening and closing ---------------------------------------------------- */

static int open_watchers(struct agent *a, struct err *e)
{
	const struct host *host = a->config.host;
	const char **files = host_files(host);
	struct watchers_config config = {
		.loop = a->loop,
		.config_dir = host->config_dir,
		.home_root = host->home_root,
		.host_files = files,
		.settle_ms = host->reconcile.settle_ms,
		.hint = on_hint,
		.data = a,
	};
	int r;

	(void)stat(host->file, &a->host_file);
	r = watchers_open(&config, &a->watchers, e);
	free(files);
	return r;
}

static void open_timers(struct agent *a)
{
	uint64_t pass_usec = a->config.host->reconcile.full_pass_s * USEC_PER_SEC;

	a->look_again = loop_timer(a->loop, UINT64_MAX, on_look_again, a);
	a->status_later = loop_timer(a->loop, UINT64_MAX, flush_status, a);
	a->files_again = loop_timer(a->loop, clock_usec() + pass_usec, on_files_again, a);
	a->sources[0] = loop_signal(a->loop, SIGHUP, on_hangup, a);
	a->sources[1] = loop_signal(a->loop, SIGTERM, on_terminate, a);
	a->sources[2] = loop_signal(a->loop, SIGINT, on_terminate, a);
}

/* What a staying agent has besides: the watchers first, so that nothing changes unseen. */
static int open_staying(struct agent *a, struct err *e)
{
	int r;

	news_hardlinks();
	news_host_secret(a->config.host);
	news_left_out(a->config.host);
	r = open_watchers(a, e);

	a->metrics = metrics_open(a->config.host, a->loop, a->reconcile);
	if (r == 0)
		r = control_open(a->config.host, a->loop, agent_answer, a, &a->control, e);
	open_timers(a);
	a->notify = notify_open(a->loop, a->reconcile);
	return r;
}

static void load(struct agent *a)
{
	struct table_entry *it;
	struct err e;

	agent_read_file(a, NULL);
	a->loaded = true;
	table_each (catalog_entries(a->catalog), it) {
		const struct entry *entry = it->value;

		agent_entry_changed(it->value, a);
		if (a->status && entry->webspace && status_was_ready(a->status, entry->webspace))
			reconcile_was_ready(a->reconcile, entry->name);
	}
	news_held(&a->held);
	reconcile_loaded(a->reconcile);
	if (a->status && status_sweep(a->status, reconcile_subjects(a->reconcile), &e) < 0)
		log_error("status: %s", e.text);
}

static int open_parts(struct agent *a, struct err *e)
{
	const struct host *host = a->config.host;
	bool dry = a->config.mode == AGENT_PLAN;
	struct reconcile_config config = {
		.host = host,
		.dry = dry,
		.one_shot = a->config.mode != AGENT_RUN,
		.report = on_report,
		.data = a,
	};
	int r = loop_open(&a->loop, e);

	config.loop = a->loop;
	if (r == 0)
		a->journal = journal_open(a->loop);
	if (r == 0)
		r = catalog_open(host, !dry, &a->catalog, e);
	if (r == 0)
		a->rolled_back = catalog_rolled_back(a->catalog, NULL);
	if (r == 0 && !dry)
		r = status_open(host, &a->status, e);
	if (r == 0)
		r = reconcile_open(&config, &a->reconcile, e);
	if (r == 0 && a->config.mode == AGENT_RUN)
		r = open_staying(a, e);
	return r;
}

int agent_open(const struct agent_config *config, struct agent **ret, struct err *e)
{
	struct agent *a;
	int r = path_require_kernel(e), lock = -1;

	if (r == 0 && config->mode != AGENT_PLAN)
		r = lock = control_lock(config->host, e);
	if (r < 0)
		return r;
	memory_return_large();
	a = memory_new(sizeof(*a));
	a->config = *config;
	a->lock = lock;
	r = open_parts(a, e);
	if (r < 0) {
		agent_close(a);
		return r;
	}
	*ret = a;
	return 0;
}

int agent_loop(struct agent *a, struct err *e)
{
	int r;

	load(a);
	r = loop_run(a->loop);
	return r < 0 ? err_set(e, -r, "event loop: %s", strerrordesc_np(-r)) : 0;
}

void agent_close(struct agent *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < ELEMENTS(a->sources); i++)
		loop_drop(a->sources[i]);
	loop_drop(a->look_again);
	loop_drop(a->files_again);
	loop_drop(a->status_later);
	notify_close(a->notify);
	metrics_close(a->metrics);
	journal_close(a->journal);
	control_close(a->control);
	watchers_close(a->watchers);
	reconcile_close(a->reconcile);
	status_close(a->status);
	catalog_close(a->catalog);
	loop_close(a->loop);
	if (a->lock >= 0)
		close(a->lock);
	free(a->problem);
	free(a);
}
