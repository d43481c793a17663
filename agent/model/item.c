/*
 * What becomes of one webspace of the catalog: its contents, its names, its
 * absence. Nothing is told to anybody here; whatever changes is touched, and
 * catalog.c tells it when the look is over. What is replaced is retired until
 * then, since the caller still works with it.
 */
#include "agent/model/item.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

void pointers_add(struct pointers *p, void *item)
{
	if (p->count == p->room) {
		p->room = p->room ? 2 * p->room : 16;
		p->items = memory_resize(p->items, p->room, sizeof(*p->items));
	}
	p->items[p->count++] = item;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void pointers_sort(struct pointers *p)
{
	if (p->count > 1)
		qsort(p->items, p->count, sizeof(*p->items), compare);
}

void pointers_clear(struct pointers *p)
{
	free(p->items);
	*p = (struct pointers){ 0 };
}

void item_touch(struct catalog *c, struct item *it)
{
	if (it->touched)
		return;
	it->touched = true;
	pointers_add(&c->touched, it);
}

/* items ---------------------------------------------------------------- */

struct item *item_get(const struct catalog *c, const char *name)
{
	return table_get(&c->items, name);
}

struct item *item_make(struct catalog *c, const char *name)
{
	struct item *it = item_get(c, name);

	if (it)
		return it;
	it = memory_new(sizeof(*it) + strlen(name) + 1);
	memcpy(it->name, name, strlen(name) + 1);
	it->entry.name = it->name;
	table_set(&c->items, name, it);
	return it;
}

void item_free(struct item *it)
{
	webspace_free(it->derived);
	webspace_free(it->loaded);
	free((char *)it->entry.problem);
	free((char *)it->entry.lost);
	free(it);
}

/* Sets an owned text; true if it is another now. Takes ownership. */
static bool item_set_text(const char **at, char *text)
{
	bool same = *at == text || (*at && text && strcmp(*at, text) == 0);

	free((char *)*at);
	*at = text;
	return !same;
}

const char *item_file(const char *name, char ret[static NAME_FILE_MAX + 8])
{
	size_t len = strlen(name);

	memcpy(ret, name, len);
	memcpy(ret + len, ".conf", sizeof(".conf"));
	return ret;
}

void item_end_news(struct item *it)
{
	it->entry.news = 0;
	it->entry.asks = it->entry.asked = NULL;
}

/* names ---------------------------------------------------------------- */

const struct webspace *item_find_claimant(const char *name, void *data)
{
	const struct item *it = item_get(data, name);

	return it && it->claims ? it->loaded : NULL;
}

void item_names_affected(const char *name, void *data)
{
	struct catalog *c = data;
	struct item *it = item_get(c, name);

	if (!it)
		return;
	it->names_changed = true;
	item_touch(c, it);
}

void item_claim(struct catalog *c, struct item *it, const struct webspace *before)
{
	it->claims = true;
	conflict_set(&c->conflict, it->name, before, it->loaded);
	item_names_affected(it->name, c);
}

static void item_release(struct catalog *c, struct item *it)
{
	if (!it->claims)
		return;
	it->claims = false;
	conflict_set(&c->conflict, it->name, it->loaded, NULL);
}

struct denial {
	const struct catalog *catalog;
	const char *who;
};

static bool is_denied(const char *name, void *data)
{
	const struct denial *d = data;

	return !conflict_holds(&d->catalog->conflict, d->who, name);
}

/* Makes what is in force from what is loaded. */
void item_settle_names(struct catalog *c, struct item *it)
{
	autoarena struct arena temporary = { 0 };
	struct denial d = { c, it->name };
	const char *lost;

	it->names_changed = false;
	if (!it->loaded || !it->claims)
		return;
	lost = conflict_lost(&c->conflict, it->loaded, &temporary);
	if (item_set_text(&it->entry.lost, memory_dup(lost)))
		c->denied_changed = true;
	if (it->derived)
		pointers_add(&c->retired, it->derived);
	it->derived = lost ? webspace_without(it->loaded, is_denied, &d) : NULL;
	it->entry.webspace = it->derived ? it->derived : it->loaded;
}

/* Who was refused what, a line each: "alice\twiki.example.org". */
int item_put_denied(struct catalog *c, struct err *e)
{
	autobuf struct buf all = { 0 };
	struct table_entry *te;

	c->denied_changed = false;
	table_each (&c->items, te) {
		const struct item *it = te->value;
		const struct webspace *w = it->entry.lost && it->claims ? it->loaded : NULL;

		for (size_t i = 0; w && i < w->n_sites; i++)
			for (size_t j = 0; j < w->sites[i].names.count; j++) {
				const char *name = w->sites[i].names.items[j];

				if (!conflict_holds(&c->conflict, it->name, name))
					buf_printf(&all, "%s\t%s\n", it->name, name);
			}
	}
	return good_put(&c->good, ".denied", buf_text(&all), all.len, e);
}

/* contents ------------------------------------------------------------- */

/* The file is there and says this. Takes ownership of w. */
void item_put_loaded(struct catalog *c, struct item *it, struct webspace *w)
{
	struct webspace *before = it->loaded;
	bool claimed = it->claims;

	w->name = it->name; /* the conflict index points to it, and the item outlives contents */
	if (before && before->fingerprint == w->fingerprint) {
		webspace_free(w);
	} else {
		if (!(it->entry.news & ENTRY_ASKED))
			it->entry.asked = before;
		it->entry.news |= ENTRY_ASKED;
		it->loaded = w;
		if (before)
			pointers_add(&c->retired, before);
		else
			c->n_in_force++;
	}
	if (!claimed || it->loaded != before)
		item_claim(c, it, claimed ? before : NULL);
}

void item_set_exists(struct catalog *c, struct item *it, bool exists)
{
	if (it->exists != exists)
		c->n_files += exists ? 1 : (size_t)-1;
	it->exists = exists;
	if (!exists)
		it->stamp = 0;
}

void item_set_held(struct catalog *c, struct item *it, bool held)
{
	if (it->entry.held == held)
		return;
	c->n_held += held ? 1 : (size_t)-1;
	c->absence_changed = true;
	it->entry.held = held;
	item_touch(c, it);
}

/* The file is there and meant for us: whatever was begun to remove it ends. */
static void item_set_present(struct catalog *c, struct item *it)
{
	item_set_held(c, it, false);
	it->confirmed = false;
	if (it->entry.absent_since || it->entry.going || it->entry.elsewhere) {
		if (it->loaded)
			it->entry.news |= ENTRY_BACK;
		item_touch(c, it);
		c->absence_changed = true;
	}
	it->entry.absent_since = 0;
	it->entry.elsewhere = false;
	table_take(&c->absent, it->name);
	if (it->entry.going) {
		it->entry.going = false;
		if (it->loaded) {
			c->n_in_force++;
			item_claim(c, it, NULL);
		}
	}
}

void item_set_going(struct catalog *c, struct item *it)
{
	item_set_held(c, it, false);
	c->absence_changed = true;
	table_take(&c->absent, it->name);
	it->entry.going = true;
	if (it->loaded)
		c->n_in_force--;
	item_touch(c, it); /* before those that get its names */
	item_release(c, it);
}

void item_set_absent(struct catalog *c, struct item *it, bool elsewhere, time_t now)
{
	bool changed = item_set_text(&it->entry.problem, NULL);

	changed |= it->entry.elsewhere != elsewhere || it->entry.absent_since == 0;
	it->entry.elsewhere = elsewhere;
	if (it->entry.absent_since == 0)
		it->entry.absent_since = now;
	if (it->entry.going)
		return;
	if (it->loaded) {
		if (!table_set(&c->absent, it->name, it))
			c->absence_changed = true;
		if (changed) {
			it->entry.news |= ENTRY_MISSED;
			item_touch(c, it);
		}
	} else if (!elsewhere || it->told) {
		item_set_going(c, it); /* never in force: nothing to be careful with */
	}
}

void item_put_problem(struct catalog *c, struct item *it, char *text)
{
	item_set_present(c, it);
	it->entry.problem_reason = "Invalid";
	if (item_set_text(&it->entry.problem, text))
		item_touch(c, it);
}

void item_put_problems(struct catalog *c, struct item *it, struct problems *p)
{
	autoarena struct arena temporary = { 0 };
	autobuf struct buf all = { 0 };

	problems_sort(p);
	for (size_t i = 0; i < p->count && i < 5; i++)
		buf_printf(&all, "%s%s", i ? "; " : "", problem_text(&p->items[i], &temporary));
	if (p->count > 5)
		buf_printf(&all, "; and %zu more", p->count - 5);
	item_put_problem(c, it, memory_dup(buf_text(&all)));
	problems_clear(p);
}
