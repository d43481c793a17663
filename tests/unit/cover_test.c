/* Which names a certificate is good for. */
#include "acme/store/cover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

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
		if (cases[i].uncovered)
			assert_string_equal(uncovered, cases[i].uncovered);
		else
			assert_null(uncovered);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_wildcards_cover_what_they_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
