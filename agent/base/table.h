/*
 * A hash table from text to a pointer. Keys are copied; values stay the
 * caller's. Iteration order is the order of insertion, so that whatever is
 * composed from a table comes out the same each time.
 */
#pragma once

#include <stddef.h>

#include "agent/base/buf.h"

struct table_entry {
	char *key; /* NULL: removed */
	void *value;
	size_t hash;
};

struct table {
	struct table_entry *entries; /* in order of insertion, with holes */
	size_t n_entries;            /* used ones, holes included */
	size_t room;
	size_t *slots; /* index + 1 into entries; 0: empty */
	size_t n_slots;
	size_t count; /* what a reader would count */
};

/* The value, or NULL. */
void *table_get(const struct table *t, const char *key);
/* Sets it and returns the value that was there, or NULL. value is not NULL. */
void *table_set(struct table *t, const char *key, void *value);
/* Removes it and returns the value that was there, or NULL. Safe for the entry at hand in table_each. */
void *table_take(struct table *t, const char *key);
void table_clear(struct table *t);
/* The value; where there is none, that many zero bytes are put there, the caller's to free(3). */
void *table_make(struct table *t, const char *key, size_t size);
/* Frees the values, plain memory as of table_make, and clears it. */
void table_free_values(struct table *t);

/* Adds the keys for people: "alice, bob and 3 more", at most so many of them. Returns how many more. */
size_t table_list(const struct table *t, size_t most, struct buf *ret);

/* The next entry at or after *cursor (start with 0), or NULL; *cursor moves on. */
struct table_entry *table_next(const struct table *t, size_t *cursor);

/* struct table_entry *it; table_each(&t, it) { … it->key … it->value … } */
#define table_each(t, it) \
	for (size_t cursor_##it = 0; ((it) = table_next((t), &cursor_##it)) != NULL;)
