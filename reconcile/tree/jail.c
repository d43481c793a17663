/*
 * One recursion over path components. At each level the names are those that a
 * base path or a bind has there; a name becomes a mount point if it is a bind's
 * target, a directory if a bind lies deeper, else a link into the base.
 */
#include "reconcile/tree/jail.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"

#define DEPTH_MAX 16

/* Names at the top of a jail that are not the base's nor a bind's to take. */
static const char *const own_names[] = { JAIL_BASE, JAIL_PASSWD, JAIL_GROUP, "data", "log", "tmp" };

/* What the base has besides the host's paths. */
static const char *const furniture[] = { "dev", "etc/passwd", "etc/group" };

struct planner {
	const char **base; /* relative paths that the base holds */
	size_t n_base;
	const struct bind **binds; /* those that can be */
	size_t n_binds;
	struct arena *arena;
	struct jail *jail;
};

bool jail_path_holds(const char *a, const char *b)
{
	size_t len = strlen(a);

	return strncmp(a, b, len) == 0 && (b[len] == '\0' || b[len] == '/');
}

static void entry_add(struct planner *p, struct jail_entry entry)
{
	struct jail *j = p->jail;

	if (j->count == j->room) {
		size_t room = j->room ? 2 * j->room : 16;
		struct jail_entry *more = arena_new(p->arena, room * sizeof *more);

		if (j->count)
			memcpy(more, j->entries, j->count * sizeof *more);
		j->entries = more;
		j->room = room;
	}
	j->entries[j->count++] = entry;
}

static const char *refusal_by_base(struct planner *p, const char *target)
{
	for (size_t i = 0; i < p->n_base; i++)
		if (strcmp(p->base[i], target) != 0 && jail_path_holds(p->base[i], target))
			return arena_printf(
				p->arena,
				"bind %s: the base provides all of %s, nothing can be put into it",
				target, p->base[i]);
	return NULL;
}

static const char *refusal_by_bind(struct planner *p, const struct bind *bind,
				   const struct bind *binds, size_t n_binds)
{
	for (size_t i = 0; i < n_binds; i++) {
		if (&binds[i] == bind || !jail_path_holds(binds[i].target, bind->target))
			continue;
		if (strcmp(binds[i].target, bind->target) != 0)
			return arena_printf(p->arena, "bind %s: lies inside the bind %s",
					    bind->target, binds[i].target);
		if (&binds[i] < bind)
			return arena_printf(p->arena, "bind %s: is there twice", bind->target);
	}
	return NULL;
}

/* In the jail, what the base has below such a name is not to be seen. */
static bool is_own_name(const char *path)
{
	for (size_t i = 0; i < ELEMENTS(own_names); i++)
		if (jail_path_holds(own_names[i], path))
			return true;
	return false;
}

static bool is_plain_path(const char *path)
{
	unsigned depth = 0;

	for (const char *at = path;; at++, depth++) {
		size_t len = strcspn(at, "/");

		if (len == 0 || (at[0] == '.' && (len == 1 || (len == 2 && at[1] == '.'))))
			return false;
		at += len;
		if (*at == '\0')
			return depth < DEPTH_MAX;
	}
}

/* NULL: it can be. */
static const char *refusal(struct planner *p, const struct bind *bind, const struct bind *binds,
			   size_t n_binds)
{
	const char *text = bind->missing;

	if (text)
		return text;
	if (!is_plain_path(bind->target))
		return arena_printf(p->arena, "bind \"%s\": not a path below the jail",
				    bind->target);
	for (size_t i = 0; i < ELEMENTS(own_names); i++)
		if (jail_path_holds(own_names[i], bind->target))
			return arena_printf(p->arena,
					    "bind %s: %s is the webspace's own, nothing of the "
					    "host can be put there",
					    bind->target, own_names[i]);
	text = refusal_by_base(p, bind->target);
	return text ? text : refusal_by_bind(p, bind, binds, n_binds);
}

/* The component of path below prefix, or NULL if path does not lie below it. */
static const char *child_of(struct planner *p, const char *prefix, const char *path)
{
	size_t skip = strlen(prefix);

	if (skip) {
		if (!jail_path_holds(prefix, path) || path[skip] == '\0')
			return NULL;
		skip++;
	}
	return arena_dupn(p->arena, path, skip + strcspn(path + skip, "/"));
}

/* "../../.base/etc/ssl" for etc/ssl/x's parent level: one ".." for each slash. */
static const char *link_target(struct planner *p, const char *path)
{
	const char *ups = "";

	for (const char *s = strchr(path, '/'); s; s = strchr(s + 1, '/'))
		ups = arena_printf(p->arena, "../%s", ups);
	return arena_printf(p->arena, "%s" JAIL_BASE "/%s", ups, path);
}

static void plan_level(struct planner *p, const char *prefix);

static void plan_child(struct planner *p, const char *path)
{
	bool is_dir = false;

	for (size_t i = 0; i < p->n_binds; i++) {
		if (strcmp(p->binds[i]->target, path) == 0) {
			entry_add(p, (struct jail_entry){ .path = path,
							  .kind = JAIL_MOUNTPOINT,
							  .bind = p->binds[i] });
			return;
		}
		is_dir = is_dir || jail_path_holds(path, p->binds[i]->target);
	}
	if (!is_dir) {
		entry_add(p, (struct jail_entry){ .path = path,
						  .kind = JAIL_LINK,
						  .target = link_target(p, path) });
		return;
	}
	entry_add(p, (struct jail_entry){ .path = path, .kind = JAIL_DIR });
	plan_level(p, path);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void plan_level(struct planner *p, const char *prefix)
{
	const char **names = arena_new(p->arena, (p->n_base + p->n_binds + 1) * sizeof *names);
	size_t n = 0;

	for (size_t i = 0; i < p->n_base; i++)
		if ((names[n] = child_of(p, prefix, p->base[i])))
			n++;
	for (size_t i = 0; i < p->n_binds; i++)
		if ((names[n] = child_of(p, prefix, p->binds[i]->target)))
			n++;
	qsort(names, n, sizeof *names, compare_paths);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(names[i - 1], names[i]) != 0)
			plan_child(p, names[i]);
}

void jail_plan(const struct host *host, const struct bind *binds, size_t n_binds, struct arena *a,
	       struct jail *ret)
{
	struct planner p = { .arena = a, .jail = ret };

	*ret = (struct jail){ 0 };
	p.base = arena_new(a, (host->base.count + ELEMENTS(furniture)) * sizeof *p.base);
	for (size_t i = 0; i < ELEMENTS(furniture); i++)
		p.base[p.n_base++] = furniture[i];
	for (size_t i = 0; i < host->base.count; i++) {
		const char *path = host->base.items[i] + strspn(host->base.items[i], "/");

		if (*path && !is_own_name(path))
			p.base[p.n_base++] = path;
	}
	entry_add(&p, (struct jail_entry){ .path = JAIL_BASE, .kind = JAIL_MOUNTPOINT });
	p.binds = arena_new(a, (n_binds + 1) * sizeof(*p.binds));
	for (size_t i = 0; i < n_binds; i++) {
		const char *text = refusal(&p, &binds[i], binds, n_binds);

		if (text)
			entry_add(&p, (struct jail_entry){ .path = binds[i].target,
							   .kind = JAIL_REFUSED,
							   .bind = &binds[i],
							   .text = text });
		else
			p.binds[p.n_binds++] = &binds[i];
	}
	plan_level(&p, "");
}
