/*
 * A slice's way through the types: desire, observe, apply what is missing or
 * differs, flush, and observe again; then to the services. What cannot be had
 * ends that webspace's way, and the services go on with what they had of it:
 * an error never takes anything out of service.
 *
 * Slices are short, so that a drifted mode does not wait for ten thousand looks.
 * Accounts alone are made further ahead, for one run of the program that makes
 * them costs the same for one as for five hundred.
 */
#include "reconcile/pass/pass.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/own.h"

#define SLICE_MAX     64
#define AHEAD_MAX     512
#define TELL_AGAIN_S  86400
#define ACCOUNTS_TYPE 0 /* the first row */

/* One webspace's way. */
struct job {
	struct progress *p;
	bool ahead;   /* only its account is looked at */
	bool stopped; /* the way has ended */
	bool planned; /* dry: something it has to have first is missing */
	const char *failed_type;
	const char *failure; /* the first; NULL: none */
	/* Of the type at hand. */
	enum condition_status status;
	const char *reason, *message;
};

/* An item that was applied, to be looked at again after the flush. */
struct applied {
	struct job *job;
	struct item item;
	struct finding found;
	struct applied *next;
};

struct slice {
	struct reconcile *r;
	struct job *jobs;
	size_t n_jobs;
	size_t type; /* at hand */
	struct applied *first, **last;
};

void item_add(struct world *w, struct item_list *list, const char *name, const void *want)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		struct item *items = arena_new(w->arena, room * sizeof *items);

		if (list->count)
			memcpy(items, list->items, list->count * sizeof *items);
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = (struct item){ name, want };
}

uint64_t progress_hash(uint64_t from, const char *text)
{
	return hash_bytes(from ? from : HASH_START, text, strlen(text));
}

void pass_report(struct reconcile *r, const struct report *report)
{
	if (r->config.report)
		r->config.report(report, r->config.data);
}

void pass_tell_failure(struct progress *p, const char *resource, const char *text)
{
	uint64_t hash = progress_hash(progress_hash(0, resource), text);
	time_t now = clock_steady();

	if (p->told && p->told_hash == hash && now - p->told < TELL_AGAIN_S)
		return;
	p->told_hash = hash;
	p->told = now;
	pass_report(p->r, &(struct report){ .kind = REPORT_FAILED,
					    .change = p->intent ? CHANGE_INTENT : CHANGE_DRIFT,
					    .subject = &p->subject,
					    .resource = resource,
					    .text = text });
}

static const struct resource_type *slice_type(const struct slice *s)
{
	return s->r->parts.types[s->type];
}

/* The first thing that is not as it should be is what the condition says. */
static void job_note(struct slice *s, struct job *j, const char *reason, const char *text)
{
	if (j->status == CONDITION_FALSE)
		return;
	j->status = CONDITION_FALSE;
	j->reason = reason;
	j->message = text && *text ? arena_dup(s->r->world.arena, text) : NULL;
}

static void job_fail(struct slice *s, struct job *j, const char *reason, const char *text)
{
	job_note(s, j, reason, text);
	j->stopped = true;
	if (j->failure)
		return;
	j->failed_type = slice_type(s)->name;
	j->failure = arena_dup(s->r->world.arena, text);
}

static void job_report(struct slice *s, struct job *j, enum report_kind kind,
		       const struct item *item, const struct finding *f)
{
	bool missing = f->state == OBSERVED_MISSING;

	pass_report(s->r, &(struct report){
				  .kind = kind,
				  .change = j->p->intent ? CHANGE_INTENT : CHANGE_DRIFT,
				  .subject = &j->p->subject,
				  .resource = slice_type(s)->name,
				  .item = item->name,
				  .what = f->what,
				  .old_value = missing ? NULL : f->old_value,
				  .new_value = f->new_value,
			  });
}

static void finding_reset(struct finding *f)
{
	f->state = OBSERVED_NOT_READY;
	f->reason = f->what = NULL;
	f->old_value[0] = f->new_value[0] = f->text[0] = '\0';
}

static void item_observe(struct slice *s, const struct job *j, const struct item *item,
			 struct finding *ret)
{
	finding_reset(ret);
	slice_type(s)->observe(&s->r->world, s->r->type_states[s->type], j->p->subject.webspace,
			       item, ret);
}

static bool item_is_held_back(struct slice *s, struct job *j, const struct item *item)
{
	struct progress *p = j->p;
	uint64_t until;

	if (p->intent ||
	    fight_allows(p, slice_type(s)->name, item->name, s->r->world.now_usec, &until))
		return false;
	job_note(s, j, "Fight",
		 arena_printf(s->r->world.arena,
			      "somebody keeps undoing %s: put back only now and then", item->name));
	j->stopped = true;
	p->wake_usec = p->wake_usec && p->wake_usec < until ? p->wake_usec : until;
	schedule_wake(p, p->wake_usec);
	return true;
}

/* The item's name before the text, unless it says it already or is the webspace's own (account). */
static const char *item_text(struct slice *s, const struct job *j, const struct item *item,
			     const char *text)
{
	const char *name = item->name;
	size_t len = strlen(name);
	bool says_it = strncmp(text, name, len) == 0 && (text[len] == ':' || text[len] == ' ');

	if (says_it || strcmp(name, j->p->subject.name) == 0)
		return text;
	return arena_printf(s->r->world.arena, "%s: %s", name, text);
}

static void item_apply(struct slice *s, struct job *j, const struct item *item,
		       const struct finding *found)
{
	struct world *w = &s->r->world;
	struct applied *a;
	struct err e = { 0 };

	if (item_is_held_back(s, j, item))
		return;
	if (slice_type(s)->apply(w, s->r->type_states[s->type], j->p->subject.webspace, item, found,
				 &e) < 0) {
		job_fail(s, j, "Failed", item_text(s, j, item, e.text));
		return;
	}
	a = arena_new(w->arena, sizeof *a);
	*a = (struct applied){ .job = j, .item = *item, .found = *found };
	*s->last = a;
	s->last = &a->next;
}

static void item_plan(struct slice *s, struct job *j, const struct item *item,
		      const struct finding *found)
{
	j->planned = true;
	job_report(s, j, REPORT_PLANNED, item, found);
}

/* What stops an item without a doing of ours. */
static void item_stop(struct slice *s, struct job *j, const struct item *item,
		      const struct finding *f)
{
	bool foreign = f->state == OBSERVED_FOREIGN;
	const char *text = *f->text ? f->text : foreign ? "is somebody else's" : "is not ready";
	const char *reason = f->reason ? f->reason : foreign ? "Foreign" : "NotReady";

	text = item_text(s, j, item, text);
	if (foreign) {
		job_fail(s, j, reason, text);
	} else {
		job_note(s, j, reason, text);
		j->stopped = true;
	}
}

static void item_look(struct slice *s, struct job *j, const struct item *item)
{
	bool dry = s->r->config.dry;
	struct finding f;

	item_observe(s, j, item, &f);
	if (f.state == OBSERVED_NOT_READY && j->planned)
		f.state = OBSERVED_MISSING;
	switch (f.state) {
	case OBSERVED_IN_SYNC:
		break;
	case OBSERVED_PLACEHOLDER:
		job_note(s, j, f.reason ? f.reason : "Placeholder", f.text);
		break;
	case OBSERVED_MISSING:
	case OBSERVED_DIFFERS:
		if (dry)
			item_plan(s, j, item, &f);
		else
			item_apply(s, j, item, &f);
		break;
	case OBSERVED_FOREIGN:
	case OBSERVED_NOT_READY:
		item_stop(s, j, item, &f);
		break;
	}
}

static void job_look(struct slice *s, struct job *j)
{
	const struct resource_type *type = slice_type(s);
	struct item_list items = { 0 };

	j->status = CONDITION_TRUE;
	j->reason = "Ready";
	j->message = NULL;
	type->desire(&s->r->world, s->r->type_states[s->type], j->p->subject.webspace, &items);
	if (items.count == 0) {
		j->status = CONDITION_UNKNOWN;
		j->reason = "NotWanted";
	}
	for (size_t i = 0; i < items.count; i++)
		item_look(s, j, &items.items[i]);
}

static void note_drift(struct slice *s, struct progress *p, const char *type,
		       const struct applied *a)
{
	const char *what = a->found.what;

	p->subject.drifted = s->r->world.wall;
	snprintf(p->subject.drift, sizeof(p->subject.drift), "%s %s%s%s", type, a->item.name,
		 what ? " " : "", what ? what : "");
	p->conditions_new = true;
}

/* now: as it was seen after the flush. What it came to be may not have been known before (ids). */
static void applied_report(struct slice *s, struct applied *a, const struct finding *now)
{
	struct progress *p = a->job->p;
	const char *type = slice_type(s)->name;

	if (!p->intent)
		note_drift(s, p, type, a);
	if (!*a->found.new_value)
		memcpy(a->found.new_value, now->new_value, sizeof(a->found.new_value));
	job_report(s, a->job, REPORT_CHANGED, &a->item, &a->found);
	if (!p->intent && fight_put_back(p, type, a->item.name, s->r->world.now_usec))
		pass_report(s->r, &(struct report){ .kind = REPORT_FIGHT,
						    .change = CHANGE_DRIFT,
						    .subject = &p->subject,
						    .resource = type,
						    .item = a->item.name,
						    .what = a->found.what });
}

/* Only what is seen to be in sync counts as done. */
static void applied_verify(struct slice *s, struct applied *a, const struct err *flush_error)
{
	struct arena *arena = s->r->world.arena;
	struct finding f;

	item_observe(s, a->job, &a->item, &f);
	switch (f.state) {
	case OBSERVED_PLACEHOLDER:
		job_note(s, a->job, f.reason ? f.reason : "Placeholder", f.text);
		__attribute__((fallthrough));
	case OBSERVED_IN_SYNC:
		applied_report(s, a, &f);
		break;
	case OBSERVED_FOREIGN:
		item_stop(s, a->job, &a->item, &f);
		break;
	case OBSERVED_MISSING:
	case OBSERVED_DIFFERS:
	case OBSERVED_NOT_READY:
		if (flush_error->code)
			job_fail(s, a->job, "Failed", flush_error->text);
		else if (f.state == OBSERVED_NOT_READY)
			item_stop(s, a->job, &a->item, &f);
		else
			job_fail(
				s, a->job, "Failed",
				arena_printf(arena, "%s: %s again right after it was put right%s%s",
					     a->item.name,
					     f.state == OBSERVED_MISSING ? "is missing" : "differs",
					     f.what ? ": " : "", f.what ? f.what : ""));
	}
}

static bool job_takes_part(const struct slice *s, const struct job *j)
{
	return !j->stopped && (!j->ahead || s->type == ACCOUNTS_TYPE);
}

static int type_prepare(struct slice *s, struct err *e)
{
	const struct resource_type *type = slice_type(s);
	const struct webspace **taking_part;
	size_t n = 0;

	taking_part = arena_new(s->r->world.arena, s->n_jobs * sizeof(*taking_part));
	for (size_t i = 0; i < s->n_jobs; i++)
		if (job_takes_part(s, &s->jobs[i]))
			taking_part[n++] = s->jobs[i].p->subject.webspace;
	if (n == 0)
		return 0;
	if (type->prepare &&
	    type->prepare(&s->r->world, s->r->type_states[s->type], taking_part, n, e) < 0)
		return -e->code;
	return 1;
}

static void type_flush(struct slice *s)
{
	const struct resource_type *type = slice_type(s);
	struct err e = { 0 };

	if (!s->first)
		return;
	if (type->flush && type->flush(&s->r->world, s->r->type_states[s->type], &e) < 0 && !e.code)
		(void)err_set(&e, EIO, "%s: not all could be done", type->name);
	for (struct applied *a = s->first; a; a = a->next)
		applied_verify(s, a, &e);
}

/* All jobs that are still on their way, through one type. */
static void slice_through_type(struct slice *s)
{
	struct err e = { 0 };
	int r = type_prepare(s, &e);

	if (r == 0)
		return;
	s->first = NULL;
	s->last = &s->first;
	for (size_t i = 0; i < s->n_jobs; i++) {
		struct job *j = &s->jobs[i];

		j->reason = NULL;
		if (!job_takes_part(s, j))
			continue;
		if (r < 0)
			job_fail(s, j, "Failed", e.text);
		else
			job_look(s, j);
	}
	type_flush(s);
	for (size_t i = 0; i < s->n_jobs; i++) {
		struct job *j = &s->jobs[i];

		if (j->reason)
			condition_set(j->p, slice_type(s)->condition, j->status, j->reason,
				      j->message, s->r->world.wall);
	}
}

static void job_serve(struct slice *s, struct job *j)
{
	struct reconcile *r = s->r;
	struct progress *p = j->p;

	for (size_t i = 0; i < r->parts.n_services; i++)
		r->parts.services[i]->serve(r->services[i], p->subject.webspace);
	r->publish_due = true;
	p->subject.n_failures = 0;
	p->subject.retry_usec = 0;
	p->told = 0;
	p->intent = r->config.dry && p->intent;
}

static void slice_end(struct slice *s)
{
	for (size_t i = 0; i < s->n_jobs; i++) {
		struct job *j = &s->jobs[i];

		if (j->failure) {
			pass_tell_failure(j->p, j->failed_type, j->failure);
			if (!s->r->config.dry)
				schedule_back_off(j->p);
		} else if (!j->stopped && !j->ahead) {
			job_serve(s, j);
		}
		condition_report(j->p);
	}
}

/* Takes whom to look at from the queue; who is going goes. */
static void slice_pick(struct slice *s)
{
	struct reconcile *r = s->r;

	while (s->n_jobs < SLICE_MAX) {
		struct progress *p = schedule_next(r);

		if (!p)
			return;
		if (p->subject.retry_usec > r->world.now_usec)
			continue;
		if (p->subject.going)
			prune_going(p);
		else if (p->subject.webspace)
			s->jobs[s->n_jobs++] = (struct job){ .p = p };
	}
}

/* Those further back in the queue whose account nobody has seen yet. They stay there. */
static void slice_look_ahead(struct slice *s)
{
	for (enum queued q = QUEUED_SOON; q <= QUEUED_LATER; q++)
		for (struct progress *p = s->r->queues[q].first; p; p = p->after) {
			const struct subject *subject = &p->subject;

			if (s->n_jobs == AHEAD_MAX ||
			    subject->conditions[CONDITION_ACCOUNT].status != CONDITION_UNKNOWN)
				return;
			if (subject->webspace && !subject->going)
				s->jobs[s->n_jobs++] = (struct job){ .p = p, .ahead = true };
		}
}

void pass_slice(struct reconcile *r)
{
	struct slice s = { .r = r };

	r->world.arena = &r->arena;
	r->world.now_usec = clock_usec();
	r->world.wall = clock_wall();
	r->in_slice = true;
	s.jobs = arena_new(&r->arena, AHEAD_MAX * sizeof *s.jobs);
	slice_pick(&s);
	if (s.n_jobs > 0 &&
	    s.jobs[0].p->subject.conditions[CONDITION_ACCOUNT].status == CONDITION_UNKNOWN)
		slice_look_ahead(&s);
	for (s.type = 0; s.type < r->parts.n_types && s.n_jobs > 0; s.type++)
		slice_through_type(&s);
	slice_end(&s);
	r->in_slice = false;
	arena_clear(&r->arena);
}
