/* conflict.c: whatever the order of changes, names have one holder and nobody waits for nothing. */
#include "agent/model/conflict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

#define WEBSPACES 6

static const char *const who[WEBSPACES] = { "alice", "bob", "carol", "dave", "erin", "frank" };
static const char *const pool[] = {
	"x.org",      "*.x.org",        "a.x.org",          "*.a.x.org",
	"b.a.x.org",  "alice.base.org", "bob.base.org",     "w.bob.base.org",
	"*.base.org", "base.org",       "*.w.bob.base.org", "shop.base.org",
	"y.org",
};

struct wish {
	struct webspace webspace;
	struct site site;
	const char *names[ELEMENTS(pool)];
};

static struct wish *wishes[WEBSPACES];

static const struct webspace *find(const char *name, void *data)
{
	(void)data;
	for (size_t i = 0; i < WEBSPACES; i++)
		if (wishes[i] && strcmp(who[i], name) == 0)
			return &wishes[i]->webspace;
	return NULL;
}

static void affected(const char *name, void *data)
{
	(void)data;
	assert_non_null(find(name, NULL));
}

static struct wish *random_wish(size_t i)
{
	struct wish *w = calloc(1, sizeof(*w));
	size_t n = 0;

	for (size_t j = 0; j < ELEMENTS(pool); j++)
		if (rand() % 3 == 0)
			w->names[n++] = pool[j];
	w->site.names = (struct text_list){ .items = w->names, .count = n };
	w->webspace = (struct webspace){ .name = who[i], .sites = &w->site, .n_sites = 1 };
	return w;
}

static bool wants(size_t i, const char *name)
{
	for (size_t j = 0; wishes[i] && j < wishes[i]->site.names.count; j++)
		if (strcmp(wishes[i]->names[j], name) == 0)
			return true;
	return false;
}

static void check(const struct conflict *c, unsigned seed)
{
	autoarena struct arena a = { 0 };

	for (size_t j = 0; j < ELEMENTS(pool); j++)
		for (size_t i = 0; i < WEBSPACES; i++) {
			bool holds = conflict_holds(c, who[i], pool[j]);

			if (holds && !wants(i, pool[j]))
				fail_msg("seed %u: %s holds %s and does not want it", seed, who[i],
					 pool[j]);
			if (!holds && wants(i, pool[j]) &&
			    strstr(conflict_why(c, who[i], pool[j], &a), "is being given"))
				fail_msg("seed %u: %s waits for %s and nothing is in its way", seed,
					 who[i], pool[j]);
		}
	for (size_t i = 0; i < 2; i++) /* alice and bob, of whom the pool has base names */
		if (wants(i, pool[5 + i]) && !conflict_holds(c, who[i], pool[5 + i]))
			fail_msg("seed %u: %s lacks its own name", seed, who[i]);
}

static void no_wakeup_is_lost_in_any_order(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 500; seed++) {
		struct conflict c;

		srand(seed);
		conflict_init(&c, &(struct conflict_config){ .base_domain = "base.org",
							     .find = find,
							     .affected = affected });
		for (int step = 0; step < 40; step++) {
			size_t i = (size_t)rand() % WEBSPACES;
			struct wish *before = wishes[i];

			wishes[i] = rand() % 4 ? random_wish(i) : NULL;
			if (before || wishes[i])
				conflict_set(&c, who[i], before ? &before->webspace : NULL,
					     wishes[i] ? &wishes[i]->webspace : NULL);
			free(before);
			check(&c, seed);
		}
		for (size_t i = 0; i < WEBSPACES; i++) {
			free(wishes[i]);
			wishes[i] = NULL;
		}
		conflict_clear(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(no_wakeup_is_lost_in_any_order) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
