/*
 * Entries lie in the order of their insertion; an open-addressed array of
 * indices finds them. A removed entry leaves a hole in the one and a mark in
 * the other, both swept when the table is rebuilt.
 */
#include "agent/base/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/memory.h"

#define REMOVED SIZE_MAX

/* Short keys, and the order of iteration does not depend on it. */
static size_t hash_of(const char *key)
{
	uint64_t h = hash_bytes(HASH_START, key, strlen(key));

	return (size_t)(h ^ (h >> 32));
}

/* The slot that holds key, or NULL. */
static size_t *slot_of(const struct table *t, const char *key, size_t hash)
{
	size_t mask = t->n_slots - 1;

	if (t->n_slots == 0)
		return NULL;
	for (size_t i = hash & mask; t->slots[i] != 0; i = (i + 1) & mask) {
		size_t index = t->slots[i];

		if (index == REMOVED)
			continue;
		if (t->entries[index - 1].hash == hash &&
		    strcmp(t->entries[index - 1].key, key) == 0)
			return &t->slots[i];
	}
	return NULL;
}

static void slot_put(struct table *t, size_t hash, size_t index)
{
	size_t mask = t->n_slots - 1;
	size_t i = hash & mask;

	while (t->slots[i] != 0)
		i = (i + 1) & mask;
	t->slots[i] = index + 1;
}

/* Sweeps the holes and makes room for twice the entries. */
static void rebuild(struct table *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n_entries; i++)
		if (t->entries[i].key)
			t->entries[kept++] = t->entries[i];
	t->n_entries = kept;
	t->room = kept < 4 ? 8 : 2 * kept;
	t->entries = memory_resize(t->entries, t->room, sizeof(*t->entries));
	free(t->slots);
	for (t->n_slots = 16; t->n_slots < 2 * t->room;)
		t->n_slots *= 2;
	t->slots = memory_new(t->n_slots * sizeof(*t->slots));
	for (size_t i = 0; i < kept; i++)
		slot_put(t, t->entries[i].hash, i);
}

void *table_get(const struct table *t, const char *key)
{
	const size_t *slot = slot_of(t, key, hash_of(key));

	return slot ? t->entries[*slot - 1].value : NULL;
}

void *table_set(struct table *t, const char *key, void *value)
{
	size_t hash = hash_of(key);
	const size_t *slot = slot_of(t, key, hash);
	void *before;

	if (slot) {
		before = t->entries[*slot - 1].value;
		t->entries[*slot - 1].value = value;
		return before;
	}
	if (t->n_entries == t->room)
		rebuild(t);
	t->entries[t->n_entries] =
		(struct table_entry){ .key = memory_dup(key), .value = value, .hash = hash };
	slot_put(t, hash, t->n_entries++);
	t->count++;
	return NULL;
}

void *table_take(struct table *t, const char *key)
{
	size_t *slot = slot_of(t, key, hash_of(key));
	struct table_entry *entry;
	void *value;

	if (!slot)
		return NULL;
	entry = &t->entries[*slot - 1];
	value = entry->value;
	free(entry->key);
	*entry = (struct table_entry){ 0 };
	*slot = REMOVED;
	t->count--;
	return value;
}

void table_clear(struct table *t)
{
	for (size_t i = 0; i < t->n_entries; i++)
		free(t->entries[i].key);
	free(t->entries);
	free(t->slots);
	*t = (struct table){ 0 };
}

void *table_make(struct table *t, const char *key, size_t size)
{
	void *value = table_get(t, key);

	if (!value) {
		value = memory_new(size);
		(void)table_set(t, key, value);
	}
	return value;
}

void table_free_values(struct table *t)
{
	struct table_entry *it;

	table_each (t, it)
		free(it->value);
	table_clear(t);
}

size_t table_list(const struct table *t, size_t most, struct buf *ret)
{
	size_t n = 0, more = t->count > most ? t->count - most : 0;
	const struct table_entry *it;

	table_each (t, it) {
		if (n++ == most)
			break;
		buf_printf(ret, "%s%s", n > 1 ? ", " : "", it->key);
	}
	if (more)
		buf_printf(ret, " and %zu more", more);
	return more;
}

struct table_entry *table_next(const struct table *t, size_t *cursor)
{
	while (*cursor < t->n_entries) {
		struct table_entry *entry = &t->entries[(*cursor)++];

		if (entry->key)
			return entry;
	}
	return NULL;
}
