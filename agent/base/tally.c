/*
 * The span of a kind begins with its first entry and a new one when it is over, so four of
 * them may meet in any half minute: four times TALLY_FULL, times some twenty kinds, is less
 * than journald allows.
 */
#include "agent/base/tally.h"

#include <stdlib.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"

struct kind {
	uint64_t since_usec;
	size_t told; /* in this span */
	size_t counted;
	int level;
	char *like;
	const char *change;
	struct table webspaces, resources;
};

static void kind_reset(struct kind *k)
{
	k->counted = 0;
	free(take_ptr(k->like));
	table_clear(&k->webspaces);
	table_free_values(&k->resources);
}

static struct kind *kind_of(struct tally *t, const char *name, uint64_t now_usec)
{
	struct kind *k = table_get(&t->kinds, name);

	if (k)
		return k;
	k = memory_new(sizeof(*k));
	k->since_usec = now_usec;
	(void)table_set(&t->kinds, name, k);
	return k;
}

static void count(struct kind *k, const struct tally_entry *entry)
{
	if (k->counted++ == 0) {
		k->like = memory_dup(entry->message);
		k->level = entry->level;
		k->change = entry->change;
	}
	if (entry->level < k->level)
		k->level = entry->level;
	if (entry->webspace)
		(void)table_set(&k->webspaces, entry->webspace, k);
	if (entry->resource)
		++*(size_t *)table_make(&k->resources, entry->resource, sizeof(size_t));
}

bool tally_admits(struct tally *t, const struct tally_entry *entry, uint64_t now_usec)
{
	struct kind *k = kind_of(t, entry->kind, now_usec);

	if (now_usec - k->since_usec >= TALLY_SPAN_USEC) {
		k->since_usec = now_usec;
		k->told = 0;
	}
	if (k->told < TALLY_FULL) {
		k->told++;
		return true;
	}
	t->counted++;
	count(k, entry);
	return false;
}

bool tally_is_full(const struct tally *t, const char *kind)
{
	const struct kind *k = table_get(&t->kinds, kind);

	return k && k->webspaces.count >= TALLY_NAMES;
}

void tally_sum(struct tally *t, tally_fn *fn, void *data)
{
	struct table_entry *it;

	t->counted = 0;
	table_each (&t->kinds, it) {
		struct kind *k = it->value;
		const struct tally_sum sum = {
			.level = k->level,
			.like = k->like,
			.change = k->change,
			.count = k->counted,
			.webspaces = &k->webspaces,
			.resources = &k->resources,
		};

		if (k->counted == 0)
			continue;
		fn(&sum, data);
		kind_reset(k);
	}
}

void tally_clear(struct tally *t)
{
	struct table_entry *it;

	table_each (&t->kinds, it) {
		kind_reset(it->value);
		free(it->value);
	}
	table_clear(&t->kinds);
	t->counted = 0;
}
