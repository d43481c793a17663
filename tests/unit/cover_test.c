/* Which names a certificate is good for. */
#include "acme/store/cover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (n < 4 && list[n])
		n++;
	return n;
}

static void names_and_wildcards_cover_what_they_say(void **state)
{
	static const struct {
		const char *listed[4], *wanted[4];
		bool covers, exact;
		const char *uncovered;
	} cases[] = {
		{ { "a.org" }, { "a.org" }, true, true, NULL },
		{ { "A.org" }, { "a.org" }, true, true, NULL },
		{ { "a.org", "b.org" }, { "b.org", "a.org" }, true, true, NULL },
		{ { "a.org", "b.org" }, { "b.org" }, true, false, NULL },
		{ { "a.org" }, { "a.org", "b.org", "c.org" }, false, false, "b.org" },
		{ { "*.a.org" }, { "x.a.org" }, true, false, NULL },
		{ { "*.a.org" }, { "a.org" }, false, false, "a.org" },
		{ { "*.a.org" }, { "x.y.a.org" }, false, false, "x.y.a.org" },
		{ { "*.a.org" }, { "*.a.org" }, true, true, NULL },
		{ { "x.a.org" }, { "*.a.org" }, false, false, "*.a.org" },
		{ { "*" }, { "org" }, false, false, "org" },
		{ { "*.org" }, { "a.org" }, true, false, NULL },
		{ { "x*.a.org" }, { "xy.a.org" }, false, false, "xy.a.org" },
		{ { NULL }, { "a.org" }, false, false, "a.org" },
		{ { "a.org" }, { NULL }, false, false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct certificate c = { 0 };
		const char *uncovered = NULL;

		cover_names(cases[i].listed, count(cases[i].listed), cases[i].wanted,
			    count(cases[i].wanted), &c, &uncovered);
		assert_int_equal(c.covers, cases[i].covers);
		assert_int_equal(c.exact, cases[i].exact);
		/* What is covered is never excluded without a look; "nothing" is no question. */
		if (cases[i].covers)
			assert_true(cover_may(c.listed, cases[i].wanted, count(cases[i].wanted)));
		if (cases[i].uncovered)
			assert_string_equal(uncovered, cases[i].uncovered);
		else
			assert_null(uncovered);
	}
}

/* Of a hundred other names few cost a look in vain. */
static void most_other_names_are_excluded_by_their_bits(void **state)
{
	static const char *const listed[] = { "www.a.example.org" };
	struct certificate c = { 0 };
	unsigned looks = 0;

	(void)state;
	cover_names(listed, 1, listed, 1, &c, NULL);
	for (int i = 0; i < 100; i++) {
		char text[32];
		const char *const wanted[] = { text };

		snprintf(text, sizeof text, "s%d.b.example.org", i);
		looks += cover_may(c.listed, wanted, 1);
	}
	assert_in_range(looks, 0, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_wildcards_cover_what_they_say),
		cmocka_unit_test(most_other_names_are_excluded_by_their_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
