/* The host's paths are root's own, so glob(3) may walk them. */
#include "reconcile/tree/bundled.h"

#include <glob.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/own.h"
#include "agent/model/bundle.h"
#include "reconcile/tree/jail.h"

#define LOOK_USEC (200 * USEC_PER_MSEC)

void bundled_clear(struct bundled *b)
{
	arena_clear(&b->arena);
	*b = (struct bundled){ 0 };
}

void bundled_refresh(struct bundled *b, uint64_t now_usec)
{
	if (now_usec >= b->looked_usec + LOOK_USEC)
		bundled_clear(b);
	if (!b->looked_usec)
		b->looked_usec = now_usec;
}

static bool is_there(const char *pattern)
{
	glob_t g = { 0 };
	bool found = glob(pattern, GLOB_NOSORT, NULL, &g) == 0;

	globfree(&g);
	return found;
}

struct finder {
	struct arena *arena;
	const struct bundle *bundle;
	struct bind *items;
	size_t count, room;
};

static void add(struct finder *f, struct bind bind)
{
	if (f->count == f->room) {
		size_t room = f->room ? 2 * f->room : 16;
		struct bind *more = arena_new(f->arena, room * sizeof *more);

		if (f->count)
			memcpy(more, f->items, f->count * sizeof *more);
		f->items = more;
		f->room = room;
	}
	f->items[f->count++] = bind;
}

static void add_match(struct finder *f, const struct bundle_path *path, const char *match)
{
	const char *source = arena_dup(f->arena, match);

	add(f, (struct bind){ .source = source,
			      .target = path->target ? path->target : source + 1,
			      .exec = path->exec });
}

static void add_missing(struct finder *f, const struct bundle_path *path)
{
	add(f, (struct bind){
		       .source = path->pattern,
		       .target = path->target ? path->target : path->pattern + 1,
		       .missing = arena_printf(
			       f->arena, "bundle %s: %s is not on this host: %s", f->bundle->name,
			       path->proof ? path->proof : path->pattern, f->bundle->cure),
	       });
}

static void find_path(struct finder *f, const struct bundle_path *path)
{
	glob_t g = { 0 };
	bool found =
		(!path->proof || is_there(path->proof)) && glob(path->pattern, 0, NULL, &g) == 0;

	for (size_t i = 0; found && i < g.gl_pathc; i++)
		add_match(f, path, g.gl_pathv[i]);
	if (!found && !path->optional)
		add_missing(f, path);
	globfree(&g);
}

static uint64_t hash_of(const struct finder *f)
{
	uint64_t hash = HASH_START;

	for (size_t i = 0; i < f->count; i++)
		hash = hash_bytes(hash, f->items[i].source, strlen(f->items[i].source) + 1);
	return hash;
}

static const struct bind_list *found_of(struct bundled *b, const struct bundle *bundle)
{
	struct finder f = { .arena = &b->arena, .bundle = bundle };
	struct bind_list *list;

	if (!b->found)
		b->found = arena_new(&b->arena, n_bundles * sizeof *b->found);
	list = &b->found[bundle - bundles];
	if (list->items)
		return list;
	for (const struct bundle_path *p = bundle->paths; p->pattern; p++)
		find_path(&f, p);
	*list = (struct bind_list){ .items = f.items, .count = f.count, .hash = hash_of(&f) };
	return list;
}

static bool is_covered(const struct webspace *w, const char *target)
{
	for (size_t i = 0; i < w->n_binds; i++)
		if (jail_path_holds(w->binds[i].target, target))
			return true;
	return false;
}

void bundled_binds(struct bundled *b, const struct webspace *w, struct arena *a,
		   struct bind_list *ret)
{
	struct finder all = { .arena = a };

	*ret = (struct bind_list){ .items = w->binds, .count = w->n_binds };
	if (!w->bundles.count)
		return;
	for (size_t i = 0; i < w->n_binds; i++)
		add(&all, w->binds[i]);
	for (size_t i = 0; i < w->bundles.count; i++) {
		const struct bundle *bundle = bundle_find(w->bundles.items[i]);
		const struct bind_list *found = found_of(b, bundle);

		ret->hash = hash_bytes(ret->hash, &found->hash, sizeof found->hash);
		for (size_t k = 0; k < found->count; k++)
			if (!is_covered(w, found->items[k].target))
				add(&all, found->items[k]);
	}
	ret->items = all.items;
	ret->count = all.count;
}
