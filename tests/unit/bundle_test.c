/* The table of bundles, and what it comes to on a host. */
#include "agent/model/bundle.h"

#include <string.h>

#include "agent/base/own.h"
#include "agent/model/option.h"
#include "reconcile/tree/bundled.h"
#include "tests/unit/cmocka_all.h"

static void every_bundle_has_what_a_jail_and_a_reader_need(void **state)
{
	const struct option *o = option_find(SCOPE_WEBSPACE, "bundles");

	(void)state;
	assert_non_null(o);
	for (size_t i = 0; i < n_bundles; i++) {
		const struct bundle *b = &bundles[i];

		assert_ptr_equal(bundle_find(b->name), b);
		assert_non_null(strstr(o->form, b->name));
		assert_non_null(strstr(o->meaning, b->name));
		assert_int_equal(strncmp(b->cure, "install ", 8), 0);
		assert_false(b->paths[0].optional); /* or nobody would hear that it is not there */
		assert_null(b->paths[BUNDLE_PATHS - 1].pattern);
		for (const struct bundle_path *p = b->paths; p->pattern; p++) {
			assert_int_equal(p->pattern[0], '/');
			assert_true(!p->target || p->target[0] != '/');
		}
	}
}

static void what_is_not_there_is_said_and_a_bind_of_ones_own_counts(void **state)
{
	autoarena struct arena a = { 0 };
	struct bundled looked = { 0 };
	const char *const names[] = { "php-libraries", "mariadb" };
	const struct bind own[] = { { .source = "/srv", .target = "usr/share" },
				    { .source = "/srv", .target = "var/run" } };
	struct webspace w = { .name = "zoe", .bundles = { names, ELEMENTS(names) } };
	struct bind_list all;

	(void)state;
	bundled_refresh(&looked, 1);
	bundled_binds(&looked, &w, &a, &all);
	assert_true(all.count >= 2 && all.hash != 0);
	for (size_t i = 0; i < all.count; i++) {
		assert_false(all.items[i].writable || all.items[i].dev || all.items[i].suid);
		if (all.items[i].missing)
			assert_non_null(
				strstr(all.items[i].missing, " is not on this host: install "));
	}
	w.binds = own;
	w.n_binds = ELEMENTS(own);
	bundled_binds(&looked, &w, &a, &all);
	assert_int_equal(all.count, 2);
	assert_string_equal(all.items[1].target, "var/run");
	w.bundles.count = 0;
	bundled_binds(&looked, &w, &a, &all);
	assert_ptr_equal(all.items, own);
	assert_int_equal(all.hash, 0);
	bundled_clear(&looked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bundle_has_what_a_jail_and_a_reader_need),
		cmocka_unit_test(what_is_not_there_is_said_and_a_bind_of_ones_own_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
