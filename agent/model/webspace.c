/* What can be done with a loaded webspace: compare it, take names from a copy, end it. */
#include "agent/model/webspace.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/model/option.h"

uint64_t webspace_fingerprint(const struct webspace *w)
{
	uint64_t h = hash_text(HASH_START, w->name);

	h = option_hash_all(SCOPE_WEBSPACE, w, h);
	h = hash_bytes(h, &w->n_sites, sizeof(w->n_sites));
	for (size_t i = 0; i < w->n_sites; i++)
		h = option_hash_all(SCOPE_SITE, &w->sites[i], h);
	return h;
}

/* What lies there is root's alone. */
static bool is_of_system(const char *path)
{
	static const char *const dirs[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64" };

	for (size_t i = 0; i < ELEMENTS(dirs); i++) {
		size_t len = strlen(dirs[i]);

		if (strncmp(path, dirs[i], len) == 0 && (path[len] == '/' || path[len] == '\0'))
			return true;
	}
	return false;
}

static bool may_run_users_files(const struct bind *b)
{
	return b->exec && (b->writable || !is_of_system(b->source));
}

bool webspace_is_dedicated(const struct webspace *w)
{
	if (w->php.master == MASTER_DEDICATED || !w->php.chroot)
		return true;
	for (size_t i = 0; i < w->n_binds; i++)
		if (may_run_users_files(&w->binds[i]))
			return true;
	return false;
}

static struct text_list names_without(const struct text_list *names, struct arena *a,
				      webspace_denied_fn *denied, void *data)
{
	const char **kept = arena_new(a, (names->count + 1) * sizeof(*kept));
	size_t n = 0;

	for (size_t i = 0; i < names->count; i++)
		if (!denied(names->items[i], data))
			kept[n++] = names->items[i];
	return (struct text_list){ .items = kept, .count = n };
}

struct webspace *webspace_without(const struct webspace *w, webspace_denied_fn *denied, void *data)
{
	struct webspace *copy = memory_new(sizeof(*copy));
	struct site *sites;
	size_t n = 0;

	*copy = *w;
	copy->arena = (struct arena){ 0 };
	sites = arena_new(&copy->arena, (w->n_sites + 1) * sizeof(*sites));
	for (size_t i = 0; i < w->n_sites; i++) {
		sites[n] = w->sites[i];
		sites[n].names = names_without(&w->sites[i].names, &copy->arena, denied, data);
		if (sites[n].names.count > 0)
			n++;
	}
	copy->sites = sites;
	copy->n_sites = n;
	copy->fingerprint = webspace_fingerprint(copy);
	return copy;
}

const struct text_pair *pair_of(const struct pair_list *list, const char *key)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].key, key) == 0)
			return &list->items[i];
	return NULL;
}

void webspace_free(struct webspace *w)
{
	if (!w)
		return;
	arena_clear(&w->arena);
	free(w);
}
