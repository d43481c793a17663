/*
 * Types and services over a world that is ready: opened in order, closed in
 * reverse. What services tell passes through here on its way out.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/pass/pass.h"

/* A daemon that fails each time it is tried says the same each time. */
static bool was_told(struct reconcile *r, const struct report *report)
{
	const char *unit = report->resource ? report->resource : "";
	const char *before;

	if (report->kind != REPORT_HOST_FAULT && report->kind != REPORT_ROLLED_BACK)
		return false;
	before = table_get(&r->told_faults, unit);
	if (before && report->text && strcmp(before, report->text) == 0)
		return true;
	free(table_set(&r->told_faults, unit, memory_dup(report->text ? report->text : "")));
	return false;
}

/* What a unit says about a member is about that webspace. */
static void on_service_report(const struct report *report, void *data)
{
	struct reconcile *r = data;
	struct report full = *report;
	autofree char *over = NULL;

	if (!full.subject && full.item)
		full.subject = reconcile_subject(r, full.item);
	if (full.kind == REPORT_PUBLISHED && full.resource)
		full.text = over = table_take(&r->told_faults, full.resource);
	if (!was_told(r, report))
		pass_report(r, &full);
	r->told_idle = false;
	schedule_poll(r);
}

static void on_service_condition(const char *webspace, enum condition_type type,
				 enum condition_status status, const char *reason,
				 const char *message, void *data)
{
	struct reconcile *r = data;
	struct progress *p = table_get(&r->subjects, webspace);

	if (!p || p->subject.going)
		return;
	condition_set(p, type, status, reason, message, clock_wall());
	/* Within a slice its end reports, all at once. */
	if (!r->in_slice)
		condition_report(p);
}

static void on_service_again(const char *webspace, void *data)
{
	reconcile_look(data, webspace);
}

static int services_open(struct reconcile *r, struct err *e)
{
	const struct service_config config = {
		.host = r->config.host,
		.loop = r->config.loop,
		.manager = r->has_manager ? &r->manager : NULL,
		.accounts = r->world.accounts,
		.store = r->world.store,
		.world = &r->world,
		.webspaces = &r->subjects,
		.thumbprint = r->world.thumbprint,
		.dry = r->config.dry,
		.one_shot = r->config.one_shot,
		.report = on_service_report,
		.again = on_service_again,
		.condition = on_service_condition,
		.data = r,
	};

	for (; r->n_open_services < r->parts.n_services; r->n_open_services++) {
		size_t i = r->n_open_services;
		int result = r->parts.services[i]->open(&config, &r->services[i], e);

		if (result < 0)
			return err_in(e, "%s", r->parts.services[i]->name);
	}
	return 0;
}

int reconcile_ask(struct reconcile *r, const char *verb, const char *word, struct buf *ret_message)
{
	int result = 0;

	for (size_t i = 0; i < r->n_open_services && result == 0; i++)
		if (r->parts.services[i]->ask)
			result = r->parts.services[i]->ask(r->services[i], verb, word, ret_message);
	return result;
}

void reconcile_complain(const struct reconcile *r, struct buf *ret)
{
	for (size_t i = 0; i < r->n_open_services; i++)
		if (r->parts.services[i]->complain)
			r->parts.services[i]->complain(r->services[i], ret);
}

void reconcile_each_certificate(const struct reconcile *r, served_certificate_fn *fn, void *data)
{
	const struct table_entry *it;

	table_each (&r->subjects, it) {
		const struct subject *s = &((const struct progress *)it->value)->subject;

		for (size_t i = 0; s->webspace && i < r->n_open_types; i++)
			if (r->parts.types[i]->served)
				r->parts.types[i]->served(r->type_states[i], s->webspace, fn, data);
	}
}

size_t reconcile_held(const struct reconcile *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_open_types; i++)
		if (r->parts.types[i]->held)
			n += r->parts.types[i]->held(r->type_states[i]);
	return n;
}

size_t reconcile_confirm(struct reconcile *r, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_open_types; i++)
		if (r->parts.types[i]->confirm)
			n += r->parts.types[i]->confirm(&r->world, r->type_states[i], e);
	if (n > 0)
		reconcile_look(r, NULL);
	return n;
}

static int types_open(struct reconcile *r, struct err *e)
{
	for (; r->n_open_types < r->parts.n_types; r->n_open_types++) {
		size_t i = r->n_open_types;
		const struct resource_type *type = r->parts.types[i];
		int result = type->open ? type->open(&r->world, &r->type_states[i], e) : 0;

		if (result < 0)
			return err_in(e, "%s", type->name);
	}
	return 0;
}

int parts_open(struct reconcile *r, struct err *e)
{
	int result;

	r->world.arena = &r->arena;
	r->world.subjects = &r->subjects;
	r->world.now_usec = clock_usec();
	r->world.wall = clock_wall();
	schedule_open(r);
	result = types_open(r, e);
	if (result == 0)
		result = services_open(r, e);
	if (result < 0)
		parts_close(r);
	return result;
}

void parts_close(struct reconcile *r)
{
	struct table_entry *it;

	while (r->n_open_services > 0) {
		r->n_open_services--;
		r->parts.services[r->n_open_services]->close(r->services[r->n_open_services]);
	}
	while (r->n_open_types > 0) {
		const struct resource_type *type = r->parts.types[--r->n_open_types];

		if (type->close)
			type->close(r->type_states[r->n_open_types]);
	}
	table_each (&r->subjects, it)
		progress_free(it->value);
	table_clear(&r->subjects);
	table_free_values(&r->told_faults);
	schedule_close(r);
	arena_clear(&r->arena);
}
