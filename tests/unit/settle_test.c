/* Settling: pure, so the clock is a number. */
#include "watchers/settle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000)

static void collect(const char *name, void *data)
{
	char *told = data;
	size_t len = strlen(told);

	snprintf(told + len, 4096 - len, "%s ", name ? name : "*");
}

static struct settle new_settle(void)
{
	return (struct settle){ .quiet_usec = 200 * MS, .most_usec = 2000 * MS };
}

static void nothing_waits_at_first(void **state)
{
	struct settle s = new_settle();

	(void)state;
	assert_true(settle_due(&s) == UINT64_MAX);
}

static void each_change_moves_the_quiet_time_and_the_first_one_bounds_it(void **state)
{
	static const struct {
		uint64_t changes_ms[4], due_ms;
	} cases[] = {
		{ { 1000 }, 1200 },
		{ { 1000, 1100 }, 1300 },
		{ { 1000, 2900 }, 3000 },
		{ { 1000, 1500, 2000, 5000 }, 3000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct settle s = new_settle();

		for (size_t k = 0; k < 4 && cases[i].changes_ms[k]; k++)
			settle_add(&s, "a", cases[i].changes_ms[k] * MS);
		assert_int_equal(settle_due(&s), cases[i].due_ms * MS);
		settle_clear(&s);
	}
}

static void names_are_told_once_each_in_their_order(void **state)
{
	struct settle s = new_settle();
	char told[4096] = "";

	(void)state;
	settle_add(&s, "b", 1);
	settle_add(&s, "a", 2);
	settle_add(&s, "b", 3);
	settle_tell(&s, collect, told);
	assert_string_equal(told, "b a ");
	assert_true(settle_due(&s) == UINT64_MAX);
	settle_tell(&s, collect, told);
	assert_string_equal(told, "b a ");
}

static void more_than_256_names_are_any(void **state)
{
	struct settle s = new_settle();
	char told[4096] = "", name[16];

	(void)state;
	for (unsigned i = 0; i < SETTLE_NAMES_MAX; i++) {
		snprintf(name, sizeof name, "n%u", i);
		settle_add(&s, name, i);
	}
	assert_false(s.any);
	settle_add(&s, "n7", 300);
	assert_false(s.any);
	settle_add(&s, "one-more", 300);
	settle_add(&s, "n8", 301);
	settle_tell(&s, collect, told);
	assert_string_equal(told, "* ");
}

static void any_swallows_the_names_that_waited(void **state)
{
	struct settle s = new_settle();
	char told[4096] = "";

	(void)state;
	settle_add(&s, "a", 1);
	settle_add(&s, NULL, 2);
	settle_tell(&s, collect, told);
	settle_add(&s, "b", 3);
	settle_tell(&s, collect, told);
	assert_string_equal(told, "* b ");
}

static struct settle *again;

static void cause_another(const char *name, void *data)
{
	collect(name, data);
	if (strcmp(name, "a") == 0)
		settle_add(again, "c", 9);
}

static void whoever_is_told_may_cause_the_next_change(void **state)
{
	struct settle s = new_settle();
	char told[4096] = "";

	(void)state;
	again = &s;
	settle_add(&s, "a", 1);
	settle_add(&s, "b", 1);
	settle_tell(&s, cause_another, told);
	assert_string_equal(told, "a b ");
	assert_int_equal(settle_due(&s), 9 + 200 * MS);
	settle_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_waits_at_first),
		cmocka_unit_test(each_change_moves_the_quiet_time_and_the_first_one_bounds_it),
		cmocka_unit_test(names_are_told_once_each_in_their_order),
		cmocka_unit_test(more_than_256_names_are_any),
		cmocka_unit_test(any_swallows_the_names_that_waited),
		cmocka_unit_test(whoever_is_told_may_cause_the_next_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
