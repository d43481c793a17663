/*
 * Three tables: who holds a name, who waits for what, and which names under
 * NAME.base_domain are held by others while there is no NAME. Whoever is kept
 * out waits for exactly one thing, the first that keeps it out; when that goes,
 * it tries again and may find the next.
 */
#include "agent/model/conflict.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"

struct texts {
	char **items;
	size_t count;
};

static void texts_free(struct texts *t)
{
	for (size_t i = 0; t && i < t->count; i++)
		free(t->items[i]);
	if (t)
		free(t->items);
	free(t);
}

/* Adds the text to the list at key, once. */
static void texts_add(struct table *table, const char *key, const char *text)
{
	struct texts *t = table_make(table, key, sizeof(*t));

	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->items[i], text) == 0)
			return;
	t->items = memory_resize(t->items, t->count + 1, sizeof(*t->items));
	t->items[t->count++] = memory_dup(text);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void texts_clear(struct table *table)
{
	struct table_entry *it;

	table_each (table, it)
		texts_free(it->value);
	table_clear(table);
}

void conflict_init(struct conflict *c, const struct conflict_config *config)
{
	*c = (struct conflict){ .config = *config };
}

void conflict_clear(struct conflict *c)
{
	table_clear(&c->holders);
	texts_clear(&c->waiting);
	texts_clear(&c->guests);
}

/* rules ---------------------------------------------------------------- */

/* The label before base_domain: "alice" of "wiki.alice.example.org". false: not below base_domain. */
static bool base_owner(const struct conflict *c, const char *name,
		       char ret[static WEBSPACE_NAME_MAX + 1])
{
	size_t len = strlen(name), base = strlen(c->config.base_domain);
	const char *label, *end;

	if (base == 0 || len < base + 2 || strcmp(name + len - base, c->config.base_domain) != 0)
		return false;
	end = name + len - base - 1;
	if (*end != '.')
		return false;
	for (label = end; label > name && label[-1] != '.';)
		label--;
	len = (size_t)(end - label);
	if (len == 0 || len > WEBSPACE_NAME_MAX || *label == '*')
		return false;
	memcpy(ret, label, len);
	ret[len] = '\0';
	return true;
}

/* The wildcard above name that another holds, in ret, or false. */
static bool wildcard_above(const struct conflict *c, const char *who, const char *name,
			   char ret[static 256])
{
	const char *dot = name;

	if (strncmp(name, "*.", 2) == 0)
		dot = name + 2; /* it is not above itself */
	while ((dot = strchr(dot, '.'))) {
		const char *holder;

		if (strlen(dot) + 2 > 256)
			return false;
		ret[0] = '*';
		memcpy(ret + 1, dot, strlen(dot) + 1);
		holder = table_get(&c->holders, ret);
		if (holder && strcmp(holder, who) != 0)
			return true;
		dot++;
	}
	return false;
}

/* What keeps who from having name, as a key of waiting in ret; false: nothing. */
static bool blocker(const struct conflict *c, const char *who, const char *name,
		    char ret[static 256])
{
	char owner[WEBSPACE_NAME_MAX + 1];
	const char *holder = table_get(&c->holders, name);
	bool based = base_owner(c, name, owner);

	if (holder && strcmp(holder, who) == 0)
		return false;
	if (based && strcmp(owner, who) != 0 && c->config.find(owner, c->config.data)) {
		ret[0] = '@';
		memcpy(ret + 1, owner, strlen(owner) + 1);
		return true;
	}
	if (holder) {
		memcpy(ret, name, strlen(name) + 1);
		return true;
	}
	if (c->restoring || (based && strcmp(owner, who) == 0))
		return false;
	return wildcard_above(c, who, name, ret);
}

/* claims --------------------------------------------------------------- */

static void hold(struct conflict *c, const char *who, const char *name)
{
	char owner[WEBSPACE_NAME_MAX + 1];

	table_set(&c->holders, name, (void *)who);
	if (base_owner(c, name, owner) && strcmp(owner, who) != 0)
		texts_add(&c->guests, owner, name);
}

/* True if something changed. */
static bool claim(struct conflict *c, const char *who, const char *name)
{
	char key[256];

	if (conflict_holds(c, who, name))
		return false;
	if (blocker(c, who, name, key)) {
		texts_add(&c->waiting, key, who);
		return false;
	}
	hold(c, who, name);
	return true;
}

static bool claim_all(struct conflict *c, const char *who, const struct webspace *w)
{
	bool changed = false;

	for (size_t i = 0; i < w->n_sites; i++)
		for (size_t j = 0; j < w->sites[i].names.count; j++)
			changed |= claim(c, who, w->sites[i].names.items[j]);
	return changed;
}

/* Who waited for this tries again, in order of names. */
static void wake(struct conflict *c, const char *key)
{
	struct texts *t = table_take(&c->waiting, key);

	if (t && t->count > 1)
		qsort(t->items, t->count, sizeof(*t->items), compare);
	for (size_t i = 0; t && i < t->count; i++) {
		const struct webspace *w = c->config.find(t->items[i], c->config.data);

		/* w->name, since what is put into holders must outlive the list. */
		if (w && claim_all(c, w->name, w))
			c->config.affected(w->name, c->config.data);
	}
	texts_free(t);
}

static bool wants(const struct webspace *w, const char *name)
{
	for (size_t i = 0; w && i < w->n_sites; i++)
		for (size_t j = 0; j < w->sites[i].names.count; j++)
			if (strcmp(w->sites[i].names.items[j], name) == 0)
				return true;
	return false;
}

static void release_unwanted(struct conflict *c, const char *who, const struct webspace *before,
			     const struct webspace *now)
{
	for (size_t i = 0; i < before->n_sites; i++)
		for (size_t j = 0; j < before->sites[i].names.count; j++) {
			const char *name = before->sites[i].names.items[j];

			if (wants(now, name) || !conflict_holds(c, who, name))
				continue;
			table_take(&c->holders, name);
			wake(c, name);
		}
}

/* Names that are who's by base_domain and that others took while it was not there. */
static void evict_guests(struct conflict *c, const char *who)
{
	struct texts *t = table_take(&c->guests, who);
	char key[WEBSPACE_NAME_MAX + 2] = "@";

	strncat(key, who, WEBSPACE_NAME_MAX);
	for (size_t i = 0; t && i < t->count; i++) {
		const char *holder = table_get(&c->holders, t->items[i]);

		if (!holder || strcmp(holder, who) == 0)
			continue;
		table_take(&c->holders, t->items[i]);
		texts_add(&c->waiting, key, holder);
		c->config.affected(holder, c->config.data);
		wake(c, t->items[i]); /* they wait for who as well now */
	}
	texts_free(t);
}

void conflict_set(struct conflict *c, const char *who, const struct webspace *before,
		  const struct webspace *webspace)
{
	char key[WEBSPACE_NAME_MAX + 2] = "@";

	if (!before && webspace)
		evict_guests(c, who);
	if (before)
		release_unwanted(c, who, before, webspace);
	if (webspace) {
		claim_all(c, who, webspace);
	} else {
		strncat(key, who, WEBSPACE_NAME_MAX);
		wake(c, key);
	}
}

void conflict_restore(struct conflict *c, const char *who, const char *name)
{
	claim(c, who, name);
}

/* answers -------------------------------------------------------------- */

bool conflict_holds(const struct conflict *c, const char *who, const char *name)
{
	const char *holder = table_get(&c->holders, name);

	return holder && strcmp(holder, who) == 0;
}

const char *conflict_why(const struct conflict *c, const char *who, const char *name,
			 struct arena *a)
{
	char key[256] = "";
	const char *holder;

	if (!blocker(c, who, name, key))
		return arena_printf(a, "%s is being given to it", name);
	if (key[0] == '@')
		return arena_printf(a, "%s belongs to %s, whose name it bears", name, key + 1);
	holder = table_get(&c->holders, key);
	if (strcmp(key, name) == 0)
		return arena_printf(a, "%s belongs to %s", name, holder);
	return arena_printf(a, "%s lies beneath %s, which belongs to %s", name, key, holder);
}

const char *conflict_lost(const struct conflict *c, const struct webspace *w, struct arena *a)
{
	const char *lost = NULL;

	for (size_t i = 0; i < w->n_sites; i++)
		for (size_t j = 0; j < w->sites[i].names.count; j++) {
			const char *name = w->sites[i].names.items[j];

			if (conflict_holds(c, w->name, name))
				continue;
			lost = arena_printf(a, "%s%s%s", lost ? lost : "", lost ? "; " : "",
					    conflict_why(c, w->name, name, a));
		}
	return lost;
}
