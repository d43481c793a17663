/* Fragments: sections in one piece, compared whole, counted. */
#include <stdlib.h>
#include <string.h>

#include "reconcile/service.h"
#include "tests/unit/cmocka_all.h"

static struct fragment *make(const char *first, const char *last)
{
	struct buf sections[FRAGMENT_SECTIONS] = { 0 };
	struct fragment *f;

	buf_adds(&sections[0], first);
	buf_adds(&sections[FRAGMENT_SECTIONS - 1], last);
	f = fragment_new(sections);
	buf_clear(&sections[0]);
	buf_clear(&sections[FRAGMENT_SECTIONS - 1]);
	return f;
}

static void sections_come_back_as_they_were(void **state)
{
	struct fragment *f = make("one", "last");
	size_t len;

	(void)state;
	assert_memory_equal(fragment_section(f, 0, &len), "one", 3);
	assert_int_equal(len, 3);
	(void)fragment_section(f, 3, &len);
	assert_int_equal(len, 0);
	assert_memory_equal(fragment_section(f, FRAGMENT_SECTIONS - 1, &len), "last", 4);
	assert_int_equal(len, 4);
	assert_true(fragment_contains(f, "last", 4));
	assert_false(fragment_contains(f, "nine", 4));
	assert_false(fragment_contains(f, "", 0));
	fragment_free(f);
}

static void the_same_text_in_other_sections_is_another_fragment(void **state)
{
	struct fragment *a = make("ab", "c"), *b = make("a", "bc"), *c = make("ab", "c");

	(void)state;
	assert_true(fragment_same(a, a));
	assert_true(fragment_same(a, c));
	assert_false(fragment_same(a, b));
	assert_false(fragment_same(a, NULL));
	assert_true(fragment_same(NULL, NULL));
	fragment_free(a);
	fragment_free(b);
	fragment_free(c);
}

static void it_stays_until_its_last_owner_lets_go(void **state)
{
	struct fragment *f = make("x", "y");

	(void)state;
	assert_ptr_equal(fragment_keep(f), f);
	fragment_free(f);
	assert_true(fragment_contains(f, "x", 1));
	fragment_free(f);
	fragment_free(NULL);
	assert_null(fragment_keep(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_come_back_as_they_were),
		cmocka_unit_test(the_same_text_in_other_sections_is_another_fragment),
		cmocka_unit_test(it_stays_until_its_last_owner_lets_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
