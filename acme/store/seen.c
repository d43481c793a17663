/*
 * An entry is found by the hash of its site and believed only if the files and
 * the names are the same; so two sites with one hash would cost time, and no
 * truth.
 */
#include "acme/store/seen.h"

#include <stdlib.h>
#include <string.h>

#include "acme/store/cover.h"
#include "agent/base/hash.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

enum {
	SAYS_INTERNAL = 1,
	SAYS_COVERS = 2,
	SAYS_EXACT = 4,
	SAYS_KEY = 8,
	SAYS_SOME = 16,
	SAYS_COMPLETE = 32
};

uint64_t seen_names(const char *const *names, size_t n)
{
	uint64_t hash = HASH_START;

	for (size_t i = 0; i < n; i++)
		hash = hash_text(hash, names[i]);
	return hash;
}

uint64_t seen_stat(uint64_t hash, const struct stat *st)
{
	const uint64_t facts[] = { st->st_dev,
				   st->st_ino,
				   (uint64_t)st->st_ctim.tv_sec,
				   (uint64_t)st->st_ctim.tv_nsec,
				   (uint64_t)st->st_size,
				   (uint64_t)st->st_mode << 32 | st->st_gid };

	return hash_words(hash, facts, ELEMENTS(facts)); /* ten thousand times a pass */
}

/* The site's place, or the free one where it would go. room is not 0. */
static struct seen_entry *place_of(const struct seen *s, uint64_t site)
{
	size_t i = (size_t)(site ^ site >> 32) & (s->room - 1);

	while (s->entries[i].site && s->entries[i].site != site)
		i = (i + 1) & (s->room - 1);
	return &s->entries[i];
}

bool seen_get(const struct seen *s, const struct seen_entry *key, struct certificate *ret)
{
	const struct seen_entry *e = s->room ? place_of(s, key->site) : NULL;

	if (!e || e->site != key->site || e->files != key->files || e->names != key->names)
		return false;
	*ret = (struct certificate){
		.not_before = e->not_before,
		.not_after = e->not_after,
		.internal = e->says & SAYS_INTERNAL,
		.covers = e->says & SAYS_COVERS,
		.covers_some = e->says & SAYS_SOME,
		.exact = e->says & SAYS_EXACT,
		.key_matches = e->says & SAYS_KEY,
		.complete = e->says & SAYS_COMPLETE,
		.content = e->content,
		.listed = e->listed,
	};
	return true;
}

static void grow(struct seen *s)
{
	struct seen old = *s;

	s->room = old.room ? old.room * 2 : 64;
	s->entries = memory_new(s->room * sizeof *s->entries);
	for (size_t i = 0; i < old.room; i++)
		if (old.entries[i].site)
			*place_of(s, old.entries[i].site) = old.entries[i];
	free(old.entries);
}

static uint32_t narrow(time_t t)
{
	return t < 0 ? 0 : t > UINT32_MAX ? UINT32_MAX : (uint32_t)t;
}

bool seen_excludes(const struct seen *s, const struct seen_entry *key, const char *const *names,
		   size_t n)
{
	const struct seen_entry *e = s->room ? place_of(s, key->site) : NULL;

	if (!e || e->site != key->site || e->files != key->files)
		return false;
	return e->says & SAYS_INTERNAL || !(e->says & SAYS_KEY) || !cover_may(e->listed, names, n);
}

void seen_put(struct seen *s, const struct seen_entry *key, const struct certificate *what)
{
	if ((s->count + 1) * 5 > s->room * 4)
		grow(s);

	struct seen_entry *e = place_of(s, key->site);

	s->count += e->site == 0;
	*e = *key;
	e->content = what->content;
	e->listed = what->listed;
	e->not_before = narrow(what->not_before);
	e->not_after = narrow(what->not_after);
	e->says = (what->internal ? SAYS_INTERNAL : 0u) | (what->covers ? SAYS_COVERS : 0u) |
		  (what->exact ? SAYS_EXACT : 0u) | (what->key_matches ? SAYS_KEY : 0u) |
		  (what->covers_some ? SAYS_SOME : 0u) | (what->complete ? SAYS_COMPLETE : 0u);
}

void seen_clear(struct seen *s)
{
	free(s->entries);
	*s = (struct seen){ 0 };
}
