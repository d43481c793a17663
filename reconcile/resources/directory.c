/*
 * The webspace's directories and log files, and the skeleton of its jail. Each
 * place is an item; what places there are is skeleton.c's and jail.c's affair,
 * how one is looked at and put right place.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/ownership.h"
#include "reconcile/resource.h"
#include "reconcile/tree/bundled.h"
#include "reconcile/tree/membership.h"
#include "reconcile/tree/namespace.h"
#include "reconcile/tree/place.h"
#include "reconcile/tree/unmake.h"

struct directories {
	struct home home;
	struct arena arena;  /* owns plain */
	struct place *plain; /* of a webspace without binds, so of nearly all */
	size_t n_plain;
	struct table settled; /* name → fingerprint of which nothing on record is in excess */
	struct table marks;   /* name → a uint64_t for each slot, see place.h */
	int outside;          /* HOME_ROOT as the host sees it; -1: not known */
	bool is_covered;      /* … and it is another directory than ours */
	struct membership *membership; /* NULL: not wanted */
	struct bundled bundled;
};

static size_t plan_places(const struct host *host, const struct bind *binds, size_t n_binds,
			  struct arena *a, struct place **ret)
{
	struct jail jail;
	struct place *places;
	size_t n = 0;

	jail_plan(host, binds, n_binds, a, &jail);
	places = arena_new(a, (skeleton_count + jail.count) * sizeof *places);
	for (size_t i = 0; i < skeleton_count; i++) {
		places[n] = skeleton_places[i];
		places[n++].slot = i + 1;
	}
	for (size_t i = 0; i < jail.count; i++)
		if (jail.entries[i].kind != JAIL_REFUSED)
			places[n++] = skeleton_place_of(&jail.entries[i], a);
	*ret = places;
	return n;
}

static int directory_open(struct world *w, void **state, struct err *e)
{
	struct directories *d;
	int r = w->home_root < 0 ? 0 : home_check_root(w->host->home_root, e);

	if (r < 0)
		return r;
	d = memory_new(sizeof *d);
	d->outside = -1;
	d->n_plain = plan_places(w->host, NULL, 0, &d->arena, &d->plain);
	if (w->host->web_access == WEB_ACCESS_GROUP)
		d->membership = membership_new(w->host->web_user);
	*state = d;
	return 0;
}

static void directory_close(void *state)
{
	struct directories *d = state;

	if (!d)
		return;
	home_close(&d->home);
	bundled_clear(&d->bundled);
	arena_clear(&d->arena);
	table_clear(&d->settled);
	table_free_values(&d->marks);
	membership_free(d->membership);
	if (d->outside >= 0)
		close(d->outside);
	free(d);
}

/* Looks at HOME_ROOT from outside of the namespace: has the host mounted something over it? */
static int directory_prepare(struct world *w, void *state, const struct webspace *const *slice,
			     size_t n, struct err *e)
{
	struct directories *d = state;
	struct stat ours, theirs;

	(void)slice, (void)n;
	home_close(&d->home);
	bundled_refresh(&d->bundled, w->now_usec);
	if (d->outside >= 0)
		close(d->outside);
	d->outside = -1;
	d->is_covered = false;
	if (w->in_namespace && namespace_outside() >= 0)
		d->outside = openat(namespace_outside(), w->host->home_root + 1,
				    O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->outside >= 0 && fstat(d->outside, &theirs) == 0 && fstat(w->home_root, &ours) == 0)
		d->is_covered = ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino;
	return d->membership ? membership_refresh(d->membership, e) : 0;
}

static bool is_wanted(const struct place *places, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(places[i].path, path) == 0)
			return true;
	return false;
}

/* The deepest come first, so that directories are empty when it is their turn. */
static void add_gone(struct world *w, const char *name, const char *kind,
		     const struct place *places, size_t n, struct item_list *ret)
{
	struct text_list made;

	if (ownership_items(w, name, kind, w->arena, &made, NULL) < 0)
		return;
	for (size_t i = made.count; i-- > 0;) {
		struct place *gone;

		if (is_wanted(places, n, made.items[i]))
			continue;
		gone = arena_new(w->arena, sizeof *gone);
		*gone = (struct place){ .path = made.items[i], .kind = PLACE_GONE };
		item_add(w, ret, gone->path, gone);
	}
}

/*
 * The record is read once for each desired state, not once a minute: only we
 * write it, and what we note later is wanted. Whatever is in excess unsettles
 * also the state of before, which may come back next.
 */
static void add_all_gone(struct world *w, struct directories *d, const struct webspace *webspace,
			 uint64_t print, const struct place *places, size_t n,
			 struct item_list *ret)
{
	void *mark = (void *)(uintptr_t)(print | 1);
	size_t before = ret->count;

	if (table_get(&d->settled, webspace->name) == mark)
		return;
	(void)table_take(&d->settled, webspace->name);
	add_gone(w, webspace->name, MADE_MOUNTPOINT, places, n, ret);
	add_gone(w, webspace->name, MADE_DIR, places, n, ret);
	if (ret->count == before)
		(void)table_set(&d->settled, webspace->name, mark);
}

static void directory_desire(struct world *w, void *state, const struct webspace *webspace,
			     struct item_list *ret)
{
	struct directories *d = state;
	struct place *places = d->plain;
	size_t n = d->n_plain;
	struct bind_list binds;

	bundled_binds(&d->bundled, webspace, w->arena, &binds);
	if (binds.count)
		n = plan_places(w->host, binds.items, binds.count, w->arena, &places);
	if (d->membership)
		item_add(w, ret, "group of the web server", NULL);
	add_all_gone(w, d, webspace, webspace->fingerprint ^ binds.hash, places, n, ret);
	for (size_t i = 0; i < n; i++)
		item_add(w, ret, places[i].path, &places[i]);
}

static uint64_t *mark_at(struct directories *d, const char *name, size_t slot)
{
	uint64_t *marks;

	if (!slot)
		return NULL;
	marks = table_make(&d->marks, name, skeleton_count * sizeof *marks);
	return &marks[slot - 1];
}

static void observe_place(struct world *w, struct directories *d, const struct place *place,
			  struct finding *f)
{
	struct sight s = {
		.w = w,
		.home = &d->home,
		.place = place,
		.mark = mark_at(d, d->home.name, place->slot),
		.outside = d->outside,
		.is_covered = d->is_covered,
	};
	struct err e = { 0 };

	s.parent = home_parent(&d->home, w, place->path, false, &s.leaf, &e);
	if (s.parent == -ENOENT && place->kind != PLACE_GONE) {
		f->state = OBSERVED_MISSING;
	} else if (place->kind != PLACE_GONE && s.parent < 0) {
		place_found(f, OBSERVED_NOT_READY, NULL, "%s: %s", place->path, e.text);
	} else {
		place_types[place->kind].observe(&s, f);
	}
}

static void directory_observe(struct world *w, void *state, const struct webspace *webspace,
			      const struct item *item, struct finding *f)
{
	struct directories *d = state;

	home_use(&d->home, w, webspace->name);
	f->state = OBSERVED_IN_SYNC;
	if (d->home.account_result < 0 && !(w->dry && d->home.account_result == -ENOENT))
		place_found(f, OBSERVED_NOT_READY, NULL, "the account %s is not there yet",
			    webspace->name);
	else if (item->want)
		observe_place(w, d, item->want, f);
	else
		membership_observe(d->membership, d->home.account.gid, f);
}

static int directory_apply(struct world *w, void *state, const struct webspace *webspace,
			   const struct item *item, const struct finding *found_before,
			   struct err *e)
{
	struct directories *d = state;
	struct sight s = { .w = w, .home = &d->home, .place = item->want, .outside = -1 };
	int r;

	(void)found_before;
	home_use(&d->home, w, webspace->name);
	if (d->home.account_result < 0)
		return err_set(e, ENOENT, "the account %s is not there", webspace->name);
	if (!item->want)
		return membership_add(d->membership, d->home.account.gid, e);
	s.parent = home_parent(&d->home, w, s.place->path, true, &s.leaf, e);
	r = s.parent < 0 && s.place->kind != PLACE_GONE ? s.parent
							: place_types[s.place->kind].apply(&s, e);
	if (s.place->in_jail || s.place->kind == PLACE_GONE)
		home_close(&d->home); /* a directory may be another one now, or gone */
	return r < 0 ? err_in(e, "%s", item->name) : 0;
}

static int directory_flush(struct world *w, void *state, struct err *e)
{
	struct directories *d = state;

	(void)w;
	home_close(&d->home);
	return d->membership ? membership_flush(d->membership, e) : 0;
}

/* The data stays, and with it the directories that protect it. */
static int directory_remove(struct world *w, void *state, const char *name, struct err *e)
{
	struct directories *d = state;

	(void)w, (void)e;
	home_close(&d->home);
	(void)table_take(&d->settled, name);
	free(table_take(&d->marks, name));
	return 0;
}

const struct resource_type directory_type = {
	.name = "directory",
	.condition = CONDITION_DIRECTORIES,
	.open = directory_open,
	.close = directory_close,
	.prepare = directory_prepare,
	.desire = directory_desire,
	.observe = directory_observe,
	.apply = directory_apply,
	.flush = directory_flush,
	.remove = directory_remove,
};
