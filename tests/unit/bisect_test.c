/* The search for who is at fault, with items that are just numbers. */
#include "reconcile/units/bisect.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#define MAX 200

struct outcome {
	enum bisect_verdict verdict;
	size_t trials;
	bool blamed[MAX];
	size_t n_blamed;
};

/* Plays a whole search: bad[item] says who breaks a trial; host breaks every one. */
static struct outcome play(size_t n, const bool bad[MAX], bool host, bool guesses)
{
	struct outcome o = { 0 };
	size_t row[MAX];
	struct bisect b;
	enum bisect_verdict v = BISECT_TRY;

	for (size_t i = 0; i < n; i++)
		row[i] = i;
	bisect_start(&b, n);
	while (v == BISECT_TRY || v == BISECT_CULPRIT) {
		bool passed = !host, guess = false;

		if (v == BISECT_CULPRIT) {
			o.blamed[row[b.culprit]] = true;
			o.n_blamed++;
			row[b.culprit] = row[b.count - 1];
			v = bisect_remove(&b);
			continue;
		}
		for (size_t i = 0; i < b.attempt; i++)
			passed = passed && !bad[row[i]];
		for (size_t i = b.accepted; guesses && !passed && !guess && i < b.count; i++) {
			size_t item = row[i];

			guess = bad[item];
			if (!guess || b.phase != BISECT_ALL)
				continue;
			row[i] = row[b.accepted];
			row[b.accepted] = item;
		}
		o.trials++;
		assert_true(o.trials < 1000);
		v = bisect_told(&b, passed, guess);
	}
	o.verdict = v;
	return o;
}

static void nobody_is_blamed_when_all_is_well(void **state)
{
	bool bad[MAX] = { 0 };
	struct outcome o = play(100, bad, false, false);

	(void)state;
	assert_int_equal(o.verdict, BISECT_GOOD);
	assert_int_equal(o.trials, 1);
	assert_int_equal(o.n_blamed, 0);
	assert_int_equal(play(0, bad, false, false).verdict, BISECT_GOOD);
}

static void a_fault_of_the_host_blames_nobody(void **state)
{
	bool bad[MAX] = { 0 };

	(void)state;
	for (size_t n = 0; n < MAX; n++) {
		struct outcome o = play(n, bad, true, n % 2);

		assert_int_equal(o.verdict, BISECT_NOBODY);
		assert_int_equal(o.n_blamed, 0);
	}
}

static void any_two_of_twenty_are_found_and_nobody_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < 20; i++)
		for (size_t k = 0; k < 40; k++) {
			bool bad[MAX] = { 0 };
			struct outcome o;

			bad[i] = bad[k % 20] = true;
			o = play(20, bad, false, k < 20);
			assert_int_equal(o.verdict, BISECT_GOOD);
			assert_memory_equal(o.blamed, bad, sizeof(bad));
		}
}

static void all_bad_leaves_none(void **state)
{
	bool bad[MAX];
	struct outcome o;

	(void)state;
	memset(bad, 1, sizeof(bad));
	o = play(50, bad, false, false);
	assert_int_equal(o.verdict, BISECT_GOOD);
	assert_int_equal(o.n_blamed, 50);
}

static void three_of_a_hundred_cost_few_trials(void **state)
{
	bool bad[MAX] = { [7] = true, [50] = true, [99] = true };

	(void)state;
	assert_in_range(play(100, bad, false, false).trials, 4, 28);
	assert_in_range(play(100, bad, false, true).trials, 4, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_blamed_when_all_is_well),
		cmocka_unit_test(a_fault_of_the_host_blames_nobody),
		cmocka_unit_test(any_two_of_twenty_are_found_and_nobody_else),
		cmocka_unit_test(all_bad_leaves_none),
		cmocka_unit_test(three_of_a_hundred_cost_few_trials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
