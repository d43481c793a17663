/*
 * What comes in: the desired state of webspaces, and hints where to look. All of
 * it only notes and queues; the pass does the rest when the loop has time.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "reconcile/pass/pass.h"

static struct progress *progress_new(struct reconcile *r, const char *name)
{
	struct progress *p = memory_new(sizeof *p);

	p->r = r;
	p->subject.name = memory_dup(name);
	p->subject.pass = p;
	for (size_t i = 0; i < CONDITIONS; i++) {
		p->subject.conditions[i].reason = "Pending";
		p->subject.conditions[i].since = clock_wall();
	}
	(void)table_set(&r->subjects, name, p);
	return p;
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	schedule_drop(p);
	fights_clear(p);
	conditions_clear(&p->subject);
	free(p->lost);
	free((char *)p->subject.name);
	free(p);
}

/* A new desired state: what failed before may go well now. */
static void progress_renew(struct progress *p, const struct webspace *webspace)
{
	if (p->subject.webspace && p->fingerprint == webspace->fingerprint)
		return;
	p->fingerprint = webspace->fingerprint;
	p->intent = true;
	p->told = 0;
	p->subject.n_failures = 0;
	p->subject.retry_usec = 0;
}

void reconcile_set(struct reconcile *r, const char *name, const struct webspace *webspace,
		   const struct file_problem *problem, const char *lost)
{
	struct progress *p = table_get(&r->subjects, name);

	if (!p)
		p = progress_new(r, name);
	if (p->subject.going) {
		r->n_going--;
		p->subject.going = p->withdrawn = false;
	}
	if (!text_same(p->lost, lost)) {
		free(p->lost);
		p->lost = memory_dup(lost);
	}
	if (webspace) {
		progress_renew(p, webspace);
		p->subject.was_wanted = true;
	}
	p->subject.webspace = webspace;
	condition_set(p, CONDITION_LOADED, problem ? CONDITION_FALSE : CONDITION_TRUE,
		      problem ? problem->reason : "Ready", problem ? problem->text : NULL,
		      clock_wall());
	/* What it was before says nothing about what it asks for now: the slice reports that. */
	if (!webspace || !p->intent)
		condition_report(p);
	if (webspace)
		schedule_add(p, QUEUED_SOON);
}

void reconcile_was_ready(struct reconcile *r, const char *name)
{
	struct progress *p = table_get(&r->subjects, name);

	if (p)
		p->intent = false;
}

void reconcile_take(struct reconcile *r, const char *name)
{
	struct progress *p = table_get(&r->subjects, name);

	/* One that another process had in service, and found absent first. */
	if (!p)
		p = progress_new(r, name);
	if (p->subject.going)
		return;
	p->subject.going = true;
	p->subject.webspace = NULL;
	p->subject.retry_usec = 0;
	p->subject.n_failures = 0;
	p->told = 0;
	r->n_going++;
	schedule_add(p, QUEUED_SOON);
}

void subject_take_over(struct reconcile *r, const char *name)
{
	progress_new(r, name)->subject.was_wanted = true;
	reconcile_take(r, name);
}

void reconcile_look(struct reconcile *r, const char *name)
{
	struct progress *p;

	if (!name) {
		schedule_all(r);
		return;
	}
	p = table_get(&r->subjects, name);
	if (p && (p->subject.webspace || p->subject.going))
		schedule_add(p, QUEUED_SOON);
}

/* What failed may go well on a host that has changed; if not, it waits longer than before. */
static void end_waits(struct reconcile *r)
{
	struct table_entry *it;

	table_each (&r->subjects, it)
		((struct progress *)it->value)->subject.retry_usec = 0;
}

void reconcile_look_host(struct reconcile *r, const char *path)
{
	bool is_accounts =
		path && (strcmp(path, "/etc/passwd") == 0 || strcmp(path, "/etc/group") == 0);

	if (is_accounts && r->world.accounts && !accounts_have_news(r->world.accounts))
		return;
	if (path && strcmp(path, NGINX_DROPINS) == 0) { /* no webspace depends on it */
		r->look_services = true;
		schedule_burst(r);
		return;
	}
	end_waits(r);
	schedule_all(r);
}

void reconcile_loaded(struct reconcile *r)
{
	r->loaded = true;
	r->look_services = true;
	schedule_burst(r);
}

void reconcile_may_prune(struct reconcile *r)
{
	r->may_prune = true;
	schedule_burst(r);
}

struct subject *reconcile_subject(const struct reconcile *r, const char *name)
{
	struct progress *p = table_get(&r->subjects, name);

	return p ? &p->subject : NULL;
}

const struct table *reconcile_subjects(const struct reconcile *r)
{
	_Static_assert(offsetof(struct progress, subject) == 0, "a progress is a subject");
	return &r->subjects;
}

uint64_t reconcile_generation(const struct reconcile *r)
{
	uint64_t newest = 0;

	for (size_t i = 0; i < r->n_open_services; i++) {
		uint64_t g = r->parts.services[i]->generation(r->services[i]);

		newest = g > newest ? g : newest;
	}
	return newest;
}
