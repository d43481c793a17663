/* removal.c: when a file's absence is believed. */
#include "agent/model/removal.h"

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static const struct {
	const char *what;
	struct removal_view view;
	enum removal decision;
} cases[] = {
	/* clang-format off */
	{ "one of ten, just gone", { .now = 100, .absent_since = 100, .n_files = 9, .n_in_force = 10, .n_absent = 1 }, REMOVAL_WAIT },
	{ "one of ten, 29 s", { .now = 129, .absent_since = 100, .n_files = 9, .n_in_force = 10, .n_absent = 1 }, REMOVAL_WAIT },
	{ "one of ten, 30 s", { .now = 130, .absent_since = 100, .n_files = 9, .n_in_force = 10, .n_absent = 1 }, REMOVAL_GO },
	{ "the clock went back", { .now = 50, .absent_since = 100, .n_files = 9, .n_in_force = 10, .n_absent = 1 }, REMOVAL_WAIT },
	{ "five of ten", { .now = 130, .absent_since = 100, .n_files = 5, .n_in_force = 10, .n_absent = 5 }, REMOVAL_GO },
	{ "six of ten", { .now = 130, .absent_since = 100, .n_files = 4, .n_in_force = 10, .n_absent = 6 }, REMOVAL_HELD },
	{ "six of ten, not yet due", { .now = 110, .absent_since = 100, .n_files = 4, .n_in_force = 10, .n_absent = 6 }, REMOVAL_WAIT },
	{ "2 % of 1000", { .now = 130, .absent_since = 100, .n_files = 980, .n_in_force = 1000, .n_absent = 20 }, REMOVAL_GO },
	{ "more than 2 % of 1000", { .now = 130, .absent_since = 100, .n_files = 979, .n_in_force = 1000, .n_absent = 21 }, REMOVAL_HELD },
	{ "the only one", { .now = 130, .absent_since = 100, .n_files = 0, .n_in_force = 1, .n_absent = 1 }, REMOVAL_HELD },
	{ "the only one, confirmed", { .now = 130, .absent_since = 100, .confirmed = true, .n_files = 0, .n_in_force = 1, .n_absent = 1 }, REMOVAL_GO },
	{ "confirmed, but in its grace", { .now = 110, .absent_since = 100, .confirmed = true, .n_files = 0, .n_in_force = 1, .n_absent = 1 }, REMOVAL_WAIT },
	{ "held, though others came back", { .now = 130, .absent_since = 100, .held = true, .n_files = 9, .n_in_force = 10, .n_absent = 1 }, REMOVAL_HELD },
	{ "held and confirmed", { .now = 130, .absent_since = 100, .held = true, .confirmed = true, .n_files = 0, .n_in_force = 10, .n_absent = 10 }, REMOVAL_GO },
	{ "all but a broken file", { .now = 130, .absent_since = 100, .n_files = 1, .n_in_force = 3, .n_absent = 2 }, REMOVAL_GO },
	/* clang-format on */
};

static void absence_is_believed_by_the_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct removal_view v = cases[i].view;

		v.grace_s = 30;
		v.directory_ok = true;
		if (removal_decide(&v) != cases[i].decision)
			fail_msg("%s", cases[i].what);
		v.directory_ok = false;
		if (removal_decide(&v) != REMOVAL_WAIT)
			fail_msg("%s, without a directory", cases[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(absence_is_believed_by_the_rules) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
