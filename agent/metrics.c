/*
 * Counting is a few additions a report; what is a state (webspaces by state) is counted when the
 * file is written, one walk over the table. Labels are words of ours, not names of webspaces:
 * ten thousand of them would be ten thousand series. Only certificates are told one by one, and
 * of them no more than those that end first.
 *
 * The file has no lock and no answer: node-exporter reads it when it likes, and gives its age
 * as node_textfile_mtime_seconds. It stays when the agent ends, and then grows old.
 */
#include "agent/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "agent/expiries.h"
#include "agent/figures.h"

#define WRITE_EVERY_USEC (5 * USEC_PER_SEC)
#define CERTIFICATES_MAX 2000 /* told one by one; the help says so */

struct metrics {
	const struct reconcile *reconcile;
	const char *file; /* borrowed */
	struct loop_source *later;
	uint64_t written_usec;
	bool failed; /* told */
	time_t started;
	size_t held;
	struct figures counted;
};

static const char *const change_names[] = { "intent", "drift" };

void metrics_report(struct metrics *m, const struct report *r)
{
	if (!m)
		return;
	figures_count(&m->counted, r);
	if (r->kind == REPORT_IDLE)
		loop_timer_set(m->later, m->written_usec ? m->written_usec + WRITE_EVERY_USEC : 0);
}

void metrics_held(struct metrics *m, size_t held)
{
	if (m)
		m->held = held;
}

/* Values ---------------------------------------------------------------- */

/* What one walk over all webspaces finds. */
struct census {
	size_t states[5], ready, failing[CONDITIONS], quarantined;
	struct reconcile_figures figures;
	struct expiries expiries;
};

static const char *const source_names[] = {
	[CERTIFICATE_CA] = "ca",
	[CERTIFICATE_INTERNAL] = "internal",
	[CERTIFICATE_STAND_IN] = "stand_in",
	[CERTIFICATE_FILES] = "files",
};
static const char *const state_names[] = { "enabled", "suspended", "disabled", "going", "unknown" };

static void census_take(const struct metrics *m, struct census *ret)
{
	const struct table_entry *it;

	*ret = (struct census){ .figures = reconcile_figures(m->reconcile) };
	expiries_take(m->reconcile, &ret->expiries);
	table_each (reconcile_subjects(m->reconcile), it) {
		const struct subject *s = it->value;
		bool quarantined = false;

		ret->states[s->going ? 3 : s->webspace ? s->webspace->state : 4]++;
		ret->ready += subject_ready(s);
		for (enum condition_type t = 0; t < CONDITIONS; t++) {
			const struct condition *c = &s->conditions[t];

			ret->failing[t] += c->status == CONDITION_FALSE;
			quarantined |= c->status == CONDITION_FALSE && c->reason &&
				       strcmp(c->reason, "Quarantined") == 0;
		}
		ret->quarantined += quarantined;
	}
}

/* One metric being written. */
struct sheet {
	const struct metrics *m;
	const struct census *census;
	const char *name;
	struct buf *text;
};

static void put(const struct sheet *s, const char *suffix, const char *label, const char *value,
		double number)
{
	buf_printf(s->text, "%s%s", s->name, suffix);
	if (label)
		buf_printf(s->text, "{%s=\"%s\"}", label, value);
	buf_printf(s->text, " %.17g\n", number);
}

static void put_info(const struct sheet *s)
{
	put(s, "", "version", VERSION, 1);
}

static void put_started(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->m->started);
}

static void put_states(const struct sheet *s)
{
	for (size_t i = 0; i < ELEMENTS(state_names); i++)
		put(s, "", "state", state_names[i], (double)s->census->states[i]);
}

static void put_ready(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->census->ready);
}

static void put_failing(const struct sheet *s)
{
	for (enum condition_type t = 0; t < CONDITIONS; t++)
		put(s, "", "condition", condition_names[t], (double)s->census->failing[t]);
}

static void put_quarantined(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->census->quarantined);
}

static void put_held(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->m->held);
}

static void put_generation(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)reconcile_generation(s->m->reconcile));
}

static void put_passes(const struct sheet *s)
{
	put(s, "_sum", NULL, NULL, (double)s->census->figures.pass_usec / 1e6);
	put(s, "_count", NULL, NULL, (double)s->census->figures.passes);
}

static void put_last_pass(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->census->figures.last_pass_usec / 1e6);
}

static void put_changes(const struct sheet *s)
{
	const struct table_entry *it;

	for (size_t c = 0; c < ELEMENTS(change_names); c++)
		table_each (&s->m->counted.changes[c], it)
			buf_printf(s->text, "%s{change=\"%s\",resource=\"%s\"} %" PRIu64 "\n",
				   s->name, change_names[c], it->key, *(uint64_t *)it->value);
}

static void put_failures(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->m->counted.failures);
}

static void put_fights(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->m->counted.fights);
}

static void put_quarantines(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->m->counted.quarantines);
}

static void put_certificates(const struct sheet *s)
{
	for (size_t i = 0; i < ELEMENTS(source_names); i++)
		put(s, "", "source", source_names[i], (double)s->census->expiries.by_source[i]);
}

static void put_earliest(const struct sheet *s)
{
	if (s->census->expiries.n > 0)
		put(s, "", NULL, NULL, (double)s->census->expiries.soonest[0].not_after);
}

static size_t n_told(const struct expiries *x)
{
	return x->n < CERTIFICATES_MAX ? x->n : CERTIFICATES_MAX;
}

static void put_not_after(const struct sheet *s)
{
	const struct expiries *x = &s->census->expiries;

	for (size_t i = 0; i < n_told(x); i++)
		buf_printf(s->text, "%s{webspace=\"%s\",site=\"%s\"} %lld\n", s->name,
			   x->soonest[i].webspace, x->soonest[i].site,
			   (long long)x->soonest[i].not_after);
}

static void put_untold(const struct sheet *s)
{
	const struct expiries *x = &s->census->expiries;

	put(s, "", NULL, NULL, (double)(x->n - n_told(x)));
}

static void put_issued(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->census->figures.acme.issued);
}

static void put_refusals(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->census->figures.acme.failed);
}

static void put_requests(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->census->figures.acme.requests);
}

static void put_connections(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->census->figures.acme.connections);
}

static void put_worker_deaths(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->census->figures.acme.deaths);
}

static void put_wanted(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->census->figures.acme.wanted);
}

static void put_orders(const struct sheet *s)
{
	put(s, "", NULL, NULL, (double)s->census->figures.acme.orders);
}

static void put_reloads(const struct sheet *s)
{
	const struct table_entry *it;

	table_each (&s->m->counted.daemons, it) {
		const struct daemon_figures *d = it->value;

		put(s, "_sum", "daemon", it->key, (double)d->reload_usec / 1e6);
		put(s, "_count", "daemon", it->key, (double)d->reloads);
	}
}

static void put_reload_failures(const struct sheet *s)
{
	const struct table_entry *it;

	table_each (&s->m->counted.daemons, it) {
		const struct daemon_figures *d = it->value;

		put(s, "", "daemon", it->key, (double)(d->rolled_back + d->faults));
	}
}

static void put_deaths(const struct sheet *s)
{
	const struct table_entry *it;

	table_each (&s->m->counted.daemons, it)
		put(s, "", "daemon", it->key,
		    (double)((const struct daemon_figures *)it->value)->deaths);
}

/* THE table ------------------------------------------------------------- */

static const struct metric {
	const char *name, *type;
	const char *labels; /* for people; NULL: none */
	const char *help;
	void (*put)(const struct sheet *s);
} metrics[] = {
	{ "webspaces_build_info", "gauge", "version", "The version that runs; always 1.",
	  put_info },
	{ "webspaces_start_time_seconds", "gauge", NULL,
	  "When the agent started, in seconds since 1970.", put_started },
	{ "webspaces_webspaces", "gauge", "state",
	  "Webspaces by state; going: being taken out of service, unknown: never loaded.",
	  put_states },
	{ "webspaces_webspaces_ready", "gauge", NULL,
	  "Webspaces that are all that their file asks for.", put_ready },
	{ "webspaces_webspaces_failing", "gauge", "condition",
	  "Webspaces of which this condition is False.", put_failing },
	{ "webspaces_webspaces_quarantined", "gauge", NULL,
	  "Webspaces that are served as they last worked, because what they ask for breaks a "
	  "daemon.",
	  put_quarantined },
	{ "webspaces_removals_held", "gauge", NULL, "Removals that wait for 'webspaces confirm'.",
	  put_held },
	{ "webspaces_generation", "gauge", NULL, "The newest generation of configuration in force.",
	  put_generation },
	{ "webspaces_pass_duration_seconds", "summary", NULL,
	  "Passes, from the first look until nothing was left to look at.", put_passes },
	{ "webspaces_last_pass_duration_seconds", "gauge", NULL, "How long the last pass took.",
	  put_last_pass },
	{ "webspaces_changes_total", "counter", "change, resource",
	  "What was made or put back, by why (intent: a file asked for it, drift: the machine had "
	  "changed) and by type of resource.",
	  put_changes },
	{ "webspaces_failures_total", "counter", NULL, "Failures that were reported.",
	  put_failures },
	{ "webspaces_fights_total", "counter", NULL,
	  "Times that somebody was found to keep undoing what is put back.", put_fights },
	{ "webspaces_quarantines_total", "counter", NULL,
	  "Webspaces that were put into quarantine.", put_quarantines },
	{ "webspaces_certificates", "gauge", "source",
	  "Certificates that sites are served with: ca: of a CA by ACME, internal: of the "
	  "host's own CA as the file asks for, stand_in: of that one until another is there, "
	  "files: the admin's own.",
	  put_certificates },
	{ "webspaces_certificate_earliest_not_after_timestamp_seconds", "gauge", NULL,
	  "When the first of them ends, in seconds since 1970; absent where there are none.",
	  put_earliest },
	{ "webspaces_certificate_not_after_timestamp_seconds", "gauge", "webspace, site",
	  "When each ends, in seconds since 1970; only the 2000 that end first.", put_not_after },
	{ "webspaces_certificates_left_out", "gauge", NULL,
	  "Certificates that end later than those 2000.", put_untold },
	{ "webspaces_acme_certificates_wanted", "gauge", NULL,
	  "Certificates that are kept at CAs, issued already or not.", put_wanted },
	{ "webspaces_acme_orders", "gauge", NULL, "Certificates that are being ordered now.",
	  put_orders },
	{ "webspaces_acme_certificates_issued_total", "counter", NULL,
	  "Certificates that CAs issued.", put_issued },
	{ "webspaces_acme_failures_total", "counter", NULL,
	  "Attempts to get a certificate that failed; not those that a CA's limits or its own "
	  "faults put off.",
	  put_refusals },
	{ "webspaces_acme_requests_total", "counter", NULL, "Requests that CAs were sent.",
	  put_requests },
	{ "webspaces_acme_connections_total", "counter", NULL, "Connections made to CAs.",
	  put_connections },
	{ "webspaces_acme_worker_deaths_total", "counter", NULL,
	  "Processes that speak to CAs and ended by themselves.", put_worker_deaths },
	{ "webspaces_reload_duration_seconds", "summary", "daemon",
	  "Generations that came into force (a reload of nginx, another PHP master), from "
	  "composing "
	  "until they were seen to be served.",
	  put_reloads },
	{ "webspaces_reload_failures_total", "counter", "daemon",
	  "Generations that were taken back or that the host stood in the way of.",
	  put_reload_failures },
	{ "webspaces_daemon_deaths_total", "counter", "daemon", "Daemons that ended by themselves.",
	  put_deaths },
};

static void compose(const struct metrics *m, struct buf *text)
{
	struct census census;

	census_take(m, &census);
	for (size_t i = 0; i < ELEMENTS(metrics); i++) {
		const struct sheet s = { m, &census, metrics[i].name, text };

		buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", s.name, metrics[i].help, s.name,
			   metrics[i].type);
		metrics[i].put(&s);
	}
	expiries_clear(&census.expiries);
}

void metrics_describe(bool man, struct buf *ret)
{
	for (size_t i = 0; i < ELEMENTS(metrics); i++) {
		const struct metric *t = &metrics[i];

		buf_printf(ret, man ? ".It Li %s%s%s%s\n%s, %s\n" : "%s%s%s%s\n    %s, %s\n",
			   t->name, t->labels ? " { " : "", t->labels ? t->labels : "",
			   t->labels ? " }" : "", t->type, t->help);
	}
}

/* The file -------------------------------------------------------------- */

static void write_file(void *data)
{
	struct metrics *m = data;
	autofree char *dir_name = memory_dup(m->file);
	char *slash = strrchr(dir_name, '/');
	autobuf struct buf text = { 0 };
	struct err e = { 0 };
	int r;

	*slash = '\0';
	m->written_usec = clock_usec();
	autofd int dir = path_open_dir(*dir_name ? dir_name : "/", &e);

	if (dir < 0)
		return; /* no exporter is installed (yet) */
	compose(m, &text);
	r = put_file(dir, slash + 1, 0644, buf_text(&text), text.len, PUT_BATCH, &e);
	if (r < 0 && !m->failed)
		log_warning("metrics: %s", e.text);
	m->failed = r < 0;
}

struct metrics *metrics_open(const struct host *host, struct loop *loop,
			     const struct reconcile *reconcile)
{
	struct metrics *m;

	if (!*host->metrics.file)
		return NULL;
	m = memory_new(sizeof(*m));
	m->reconcile = reconcile;
	m->file = host->metrics.file;
	m->started = clock_wall();
	m->later = loop_timer(loop, UINT64_MAX, write_file, m);
	return m;
}

void metrics_close(struct metrics *m)
{
	if (!m)
		return;
	loop_drop(m->later);
	figures_clear(&m->counted);
	free(m);
}
