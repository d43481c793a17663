/*
 * A few additions a report. Keys are words of ours, types of resources and programs: as many as
 * there are rows in tables, however many webspaces there are.
 */
#include "agent/figures.h"

#include <stdio.h>
#include <string.h>

/* "php 8.2-03" → "php": as many series as there are programs, not masters. */
static struct daemon_figures *daemon_of(struct figures *f, const char *unit)
{
	char name[32];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(unit, " "), unit);
	return table_make(&f->daemons, name, sizeof(struct daemon_figures));
}

static void count_change(struct figures *f, const struct report *r)
{
	char name[32];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(r->resource, " "), r->resource);
	++*(uint64_t *)table_make(&f->changes[r->change], name, sizeof(uint64_t));
}

static void count_unit(struct figures *f, const struct report *r)
{
	struct daemon_figures *d = daemon_of(f, r->resource);

	d->reloads += r->kind == REPORT_PUBLISHED;
	d->reload_usec += r->kind == REPORT_PUBLISHED ? r->took_usec : 0;
	d->rolled_back += r->kind == REPORT_ROLLED_BACK;
	d->faults += r->kind == REPORT_HOST_FAULT;
	d->deaths += r->kind == REPORT_DIED;
}

void figures_count(struct figures *f, const struct report *r)
{
	bool of_unit = r->kind == REPORT_PUBLISHED || r->kind == REPORT_ROLLED_BACK ||
		       r->kind == REPORT_HOST_FAULT || r->kind == REPORT_DIED;

	if (r->kind == REPORT_CHANGED && r->resource)
		count_change(f, r);
	else if (of_unit && r->resource)
		count_unit(f, r);
	f->failures += r->kind == REPORT_FAILED;
	f->fights += r->kind == REPORT_FIGHT;
	f->quarantines += r->kind == REPORT_QUARANTINED;
}

void figures_clear(struct figures *f)
{
	table_free_values(&f->changes[CHANGE_INTENT]);
	table_free_values(&f->changes[CHANGE_DRIFT]);
	table_free_values(&f->daemons);
}
