/*
 * Two bounds make a burst one hint without making anybody wait for ever: each
 * change moves the quiet one, the first change fixes the other.
 */
#include "watchers/settle.h"

#include <stddef.h>

void settle_add(struct settle *s, const char *name, uint64_t now_usec)
{
	if (!s->waiting)
		s->first_usec = now_usec;
	s->waiting = true;
	s->last_usec = now_usec;
	if (s->any)
		return;
	if (name && (s->names.count < SETTLE_NAMES_MAX || table_get(&s->names, name))) {
		table_set(&s->names, name, s);
		return;
	}
	s->any = true;
	table_clear(&s->names);
}

uint64_t settle_due(const struct settle *s)
{
	if (!s->waiting)
		return UINT64_MAX;

	uint64_t quiet = s->last_usec + s->quiet_usec;
	uint64_t most = s->first_usec + s->most_usec;

	return quiet < most ? quiet : most;
}

void settle_tell(struct settle *s, settle_fn *fn, void *data)
{
	/* Whoever is told may cause the next change: what waits is taken out first. */
	struct table names = s->names;
	bool any = s->any;
	struct table_entry *it;

	s->names = (struct table){ 0 };
	s->waiting = s->any = false;
	if (any)
		fn(NULL, data);
	table_each (&names, it)
		fn(it->key, data);
	table_clear(&names);
}

void settle_clear(struct settle *s)
{
	table_clear(&s->names);
	s->waiting = s->any = false;
}
