/* Parts: none is too large, none is lost, and what is in one stays there when others come and go. */
#include "agent/model/partition.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

#define NAMES 1000

static struct arena arena;
static const char *names[NAMES];

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < NAMES; i++)
		names[i] = arena_printf(&arena, "n%zu.example.org", i);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_clear(&arena);
	return 0;
}

static struct webspace webspace_of(const char *const *list, size_t n, const char *profile)
{
	struct site *s = arena_new(&arena, sizeof *s);

	*s = (struct site){ .names = { list, n },
			    .root = "public",
			    .tls = { .profile = profile, .certificate = "", .directory = "" } };
	return (struct webspace){ .sites = s, .n_sites = 1 };
}

static const struct site *site_of(const struct webspace *w, const char *name)
{
	for (size_t i = 0; i < w->n_sites; i++)
		for (size_t k = 0; k < w->sites[i].names.count; k++)
			if (strcmp(w->sites[i].names.items[k], name) == 0)
				return &w->sites[i];
	return NULL;
}

static void a_site_is_divided_when_its_certificate_would_have_too_many_names(void **state)
{
	static const struct {
		size_t names;
		const char *profile;
		size_t least_parts, most_names;
	} cases[] = {
		{ 1, "", 1, 100 },          { 100, "", 1, 100 },         { 101, "", 2, 100 },
		{ NAMES, "", 10, 100 },     { 25, "shortlived", 1, 25 }, { 26, "tlsserver", 2, 25 },
		{ 100, "classic", 1, 100 },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct webspace w = webspace_of(names, cases[i].names, cases[i].profile);
		size_t all = 0;

		partition_sites(&w);
		assert_true(w.n_sites >= cases[i].least_parts);
		assert_true(cases[i].least_parts > 1 || w.n_sites == 1);
		for (size_t k = 0; k < w.n_sites; k++) {
			assert_true(w.sites[k].names.count <= cases[i].most_names);
			assert_string_equal(w.sites[k].root, "public");
			all += w.sites[k].names.count;
		}
		assert_int_equal(all, cases[i].names);
		for (size_t k = 0; k < cases[i].names; k++)
			assert_non_null(site_of(&w, names[k]));
		arena_clear(&w.arena);
	}
}

static void what_no_ca_certifies_is_left_whole(void **state)
{
	struct webspace own = webspace_of(names, 200, ""), off = own;
	struct site *s = (struct site *)(uintptr_t)own.sites;

	(void)state;
	s->tls.certificate = "/etc/ssl/own.pem";
	partition_sites(&own);
	assert_int_equal(own.n_sites, 1);
	s->tls.certificate = "";
	s->tls.issuer = ISSUER_OFF;
	partition_sites(&off);
	assert_int_equal(off.n_sites, 1);
}

/* How many parts of one have no equal in the other. */
static size_t differing(const struct webspace *a, const struct webspace *b)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n_sites; i++) {
		const struct text_list *mine = &a->sites[i].names;
		const struct site *other = site_of(b, mine->items[0]);
		bool same = other && other->names.count == mine->count;

		for (size_t k = 0; same && k < mine->count; k++)
			same = site_of(b, mine->items[k]) == other;
		n += !same;
	}
	return n;
}

static void another_order_changes_no_part_and_one_name_more_changes_one(void **state)
{
	struct webspace before = webspace_of(names, 500, ""), now;
	const char *turned[501];

	(void)state;
	partition_sites(&before);
	for (size_t i = 0; i < 500; i++)
		turned[i] = names[499 - i];
	now = webspace_of(turned, 500, "");
	partition_sites(&now);
	assert_int_equal(now.n_sites, before.n_sites);
	assert_int_equal(differing(&now, &before), 0);
	arena_clear(&now.arena);
	for (size_t more = 500; more < 600; more++) {
		memcpy(turned, names, 500 * sizeof *turned);
		turned[500] = names[more];
		now = webspace_of(turned, 501, "");
		partition_sites(&now);
		assert_in_range(differing(&now, &before), 1, 2); /* two, where one is divided */
		arena_clear(&now.arena);
	}
	arena_clear(&before.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_site_is_divided_when_its_certificate_would_have_too_many_names),
		cmocka_unit_test(what_no_ca_certifies_is_left_whole),
		cmocka_unit_test(another_order_changes_no_part_and_one_name_more_changes_one),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
