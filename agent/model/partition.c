/*
 * Parts are made by halving the range of hashes until each holds little enough,
 * as a trie does. When a part is divided its first half keeps the number, and with
 * it the certificate.
 */
#include "agent/model/partition.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/own.h"

#define NAMES_MAX      100 /* Let's Encrypt's limit, and most others' */
#define TOP_BIT        63
#define NO_BIT_IS_LEFT (-1)

/* https://letsencrypt.org/docs/profiles/ */
static const struct {
	const char *profile;
	size_t names;
} profiles[] = {
	{ "tlsserver", 25 },
	{ "shortlived", 25 },
};

size_t partition_room(const struct site *site)
{
	for (size_t i = 0; i < ELEMENTS(profiles); i++)
		if (strcmp(site->tls.profile, profiles[i].profile) == 0)
			return profiles[i].names;
	return NAMES_MAX;
}

/* FNV-1a leaves its high bits to few letters: those of short names would hardly differ. */
static uint64_t mixed(uint64_t h)
{
	h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}

static uint64_t hash_of(const char *name)
{
	return mixed(hash_text(HASH_START, name));
}

/* That of the name with the least one. */
uint64_t partition_hash(const struct text_list *names)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < names->count; i++)
		if (hash_of(names->items[i]) < least)
			least = hash_of(names->items[i]);
	return least;
}

static int by_hash(const void *a, const void *b)
{
	const struct partition_item *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

static size_t weight_of(const struct partition_item *items, size_t n)
{
	size_t weight = 0;

	for (size_t i = 0; i < n; i++)
		weight += items[i].weight;
	return weight;
}

/* items: in the order of their hashes, all of which begin as `part` does above the bit. */
static void divide(struct partition_item *items, size_t n, size_t room, int bit, uint64_t part)
{
	size_t low = 0;

	if (n <= 1 || bit == NO_BIT_IS_LEFT || weight_of(items, n) <= room) {
		for (size_t i = 0; i < n; i++)
			items[i].part = part;
		return;
	}
	while (low < n && !(items[low].hash >> bit & 1))
		low++;
	divide(items, low, room, bit - 1, part);
	divide(items + low, n - low, room, bit - 1, part | UINT64_C(1) << bit);
}

void partition_divide(struct partition_item *items, size_t n, size_t room)
{
	if (n == 0)
		return;
	qsort(items, n, sizeof *items, by_hash);
	divide(items, n, room, TOP_BIT, 0);
}

/* Sites -------------------------------------------------------------------- */

static int by_part_and_index(const void *a, const void *b)
{
	const struct partition_item *x = a, *y = b;

	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

/* Names in the order of the file. */
static struct partition_item *divide_names(const struct site *s, struct arena *a)
{
	struct partition_item *items = arena_new(a, s->names.count * sizeof *items);

	for (size_t i = 0; i < s->names.count; i++)
		items[i] = (struct partition_item){ i, 1, hash_of(s->names.items[i]), 0 };
	partition_divide(items, s->names.count, partition_room(s));
	qsort(items, s->names.count, sizeof *items, by_part_and_index);
	return items;
}

static size_t add_parts(const struct site *s, struct site *ret, struct arena *a)
{
	autoarena struct arena temporary = { 0 };
	const struct partition_item *items = divide_names(s, &temporary);
	size_t n = 0;

	for (size_t i = 0, end; i < s->names.count; i = end) {
		const char **names = arena_new(a, (s->names.count - i) * sizeof *names);

		for (end = i; end < s->names.count && items[end].part == items[i].part; end++)
			names[end - i] = s->names.items[items[end].index];
		ret[n] = *s;
		ret[n++].names = (struct text_list){ names, end - i };
	}
	return n;
}

static bool is_whole(const struct site *s)
{
	return s->names.count <= partition_room(s) || *s->tls.certificate ||
	       s->tls.issuer == ISSUER_OFF;
}

void partition_sites(struct webspace *w)
{
	struct site *sites;
	size_t room = 0, n = 0;

	for (size_t i = 0; i < w->n_sites; i++)
		room += is_whole(&w->sites[i]) ? 1 : w->sites[i].names.count;
	if (room == w->n_sites)
		return;
	sites = arena_new(&w->arena, room * sizeof *sites);
	for (size_t i = 0; i < w->n_sites; i++) {
		if (is_whole(&w->sites[i]))
			sites[n++] = w->sites[i];
		else
			n += add_parts(&w->sites[i], sites + n, &w->arena);
	}
	w->sites = sites;
	w->n_sites = n;
}
