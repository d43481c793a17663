/*
 * Out of service: first the daemons let go of a webspace, then its resources are
 * taken down, in reverse order. What is left over from webspaces that nobody asks
 * for (we were not there when their files went) is found by its marks, once all
 * files have been seen.
 */
#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "reconcile/pass/pass.h"

bool prune_is_withdrawn(const struct progress *p)
{
	const struct reconcile *r = p->r;

	for (size_t i = 0; i < r->parts.n_services; i++)
		if (!r->parts.services[i]->withdrawn(r->services[i], p->subject.name))
			return false;
	return true;
}

static int remove_resources(struct reconcile *r, const char *name, struct err *e)
{
	for (size_t i = r->parts.n_types; i-- > 0;) {
		const struct resource_type *type = r->parts.types[i];
		int result = type->remove(&r->world, r->type_states[i], name, e);

		if (result < 0)
			return err_in(e, "take away %s", type->name);
	}
	return 0;
}

static void end(struct progress *p)
{
	struct reconcile *r = p->r;

	pass_report(r, &(struct report){ .kind = REPORT_REMOVED, .subject = &p->subject });
	(void)table_take(&r->subjects, p->subject.name);
	r->n_going--;
	progress_free(p);
}

void prune_going(struct progress *p)
{
	struct reconcile *r = p->r;
	struct err e;

	if (r->config.dry) {
		pass_report(r, &(struct report){ .kind = REPORT_PLANNED,
						 .subject = &p->subject,
						 .resource = "webspace",
						 .old_value = "in service" });
		end(p);
		return;
	}
	for (size_t i = 0; i < r->parts.n_services && !p->withdrawn; i++)
		r->parts.services[i]->withdraw(r->services[i], p->subject.name);
	if (!p->withdrawn)
		r->publish_due = true;
	p->withdrawn = true;
	if (!prune_is_withdrawn(p))
		return; /* schedule.c comes back when it is */
	if (remove_resources(r, p->subject.name, &e) < 0) {
		pass_tell_failure(p, "webspace", e.text);
		schedule_back_off(p);
		return;
	}
	end(p);
}

/* In service since before our start, and nobody asks for it now: it goes like any other. */
static void prune_served(struct reconcile *r)
{
	struct table names = { 0 };
	struct table_entry *it;

	for (size_t i = 0; i < r->parts.n_services; i++)
		if (r->parts.services[i]->list)
			r->parts.services[i]->list(r->services[i], &names);
	table_each (&names, it)
		if (!table_get(&r->subjects, it->key))
			subject_take_over(r, it->key); /* and after that its resources */
	table_clear(&names);
}

static void prune_one(struct reconcile *r, size_t type_index, const char *name)
{
	const struct resource_type *type = r->parts.types[type_index];
	struct report report = { .kind = r->config.dry ? REPORT_PLANNED : REPORT_CHANGED,
				 .change = CHANGE_DRIFT,
				 .resource = type->name,
				 .item = name,
				 .old_value = "left over",
				 .new_value = "taken away" };
	struct err e;

	if (!r->config.dry && type->remove(&r->world, r->type_states[type_index], name, &e) < 0) {
		report.kind = REPORT_FAILED;
		report.text = e.text;
	}
	pass_report(r, &report);
}

void prune_leftovers(struct reconcile *r)
{
	prune_served(r);
	for (size_t i = r->parts.n_types; i-- > 0;) {
		const struct resource_type *type = r->parts.types[i];
		struct table names = { 0 };
		struct table_entry *it;
		struct err e;

		if (!type->list)
			continue;
		if (type->list(&r->world, r->type_states[i], &names, &e) < 0)
			pass_report(r, &(struct report){ .kind = REPORT_FAILED,
							 .resource = type->name,
							 .text = e.text });
		table_each (&names, it)
			if (!table_get(&r->subjects, it->key))
				prune_one(r, i, it->key);
		table_clear(&names);
	}
	arena_clear(&r->arena);
}
