/* When a certificate is renewed: by its lifetime, by the CA's window, before it is too late; and many of them, spread. */
#include "acme/client/renew.h"

#include <stdio.h>
#include <string.h>

#include "acme/store/seen.h"
#include "agent/base/hash.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

#define HOUR ((time_t)3600)
#define DAY  (24 * HOUR)
#define NOW  ((time_t)1800000000)

static struct lifetime of(time_t length)
{
	return (struct lifetime){ NOW, NOW + length };
}

static void two_thirds_of_its_life_and_half_of_a_short_one(void **state)
{
	static const struct {
		time_t length, middle;
	} rows[] = {
		{ 398 * DAY, 265 * DAY }, { 90 * DAY, 60 * DAY },  { 64 * DAY, 42 * DAY },
		{ 45 * DAY, 30 * DAY },   { 10 * DAY, 6 * DAY },   { 9 * DAY, 4 * DAY },
		{ 6 * DAY, 3 * DAY },     { 160 * HOUR, 3 * DAY }, { 2 * HOUR, HOUR },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct lifetime l = of(rows[i].length);
		time_t at = renew_by_lifetime(&l, "alice/alice.example.org") - NOW;
		time_t whole = rows[i].length;
		time_t part = whole < 10 * DAY ? whole / 2 : whole / 3 * 2;

		assert_in_range(at, part - whole * 3 / 100, part + whole * 3 / 100);
		assert_in_range(at, rows[i].middle - whole / 10, rows[i].middle + whole / 10);
	}
}

static void the_same_name_is_renewed_at_the_same_part_of_its_life(void **state)
{
	struct lifetime l = of(90 * DAY);

	(void)state;
	assert_int_equal(renew_by_lifetime(&l, "a"), renew_by_lifetime(&l, "a"));
	assert_int_not_equal(renew_by_lifetime(&l, "a"), renew_by_lifetime(&l, "b"));
}

static void the_latest_moment_is_before_the_end_whatever_the_lifetime(void **state)
{
	static const struct {
		time_t length, left;
	} rows[] = {
		{ 90 * DAY, 90 * DAY / 20 },
		{ 45 * DAY, 45 * DAY / 20 },
		{ 6 * DAY, DAY },
		{ 160 * HOUR, DAY },
		{ DAY, 6 * HOUR },
		{ HOUR, HOUR / 4 },
		{ 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct lifetime l = of(rows[i].length);

		assert_int_equal(l.not_after - renew_latest(&l), rows[i].left);
	}
}

static void a_moment_is_chosen_within_the_window(void **state)
{
	(void)state;
	for (uint64_t random = 0; random < 100000; random += 37)
		assert_in_range(renew_in_window(NOW, NOW + 2 * DAY, random), NOW,
				NOW + 2 * DAY - 1);
	assert_int_equal(renew_in_window(NOW, NOW + 1, UINT64_MAX), NOW);
}

static void a_window_that_says_nothing_chooses_nothing(void **state)
{
	static const struct {
		time_t start, end;
	} rows[] = {
		{ 0, 0 }, { 0, NOW }, { NOW, 0 }, { NOW, NOW }, { NOW + 1, NOW }, { -5, 5 },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++)
		assert_int_equal(renew_in_window(rows[i].start, rows[i].end, 4711), 0);
}

/* The moment, in days from the start of a life of 90 days; chosen and success likewise, -1: none. */
static void the_moment_is_the_windows_but_within_reason(void **state)
{
	static const struct {
		double chosen, success;
		double least, most;
		const char *why;
	} rows[] = {
		{ -1, 0, 57.3, 62.7, "by its lifetime" },
		{ 20, 0, 20, 20, "by the window" },
		{ -400, 0, 9, 9, "a window that is over: at once, but not before a tenth" },
		{ 5, 0, 9, 9, "nor for one that comes too soon" },
		{ 89.9, 0, 85.5, 85.5, "never later than the latest" },
		{ 200, 0, 85.5, 85.5, "even if the window is" },
		{ -400, 87, 88.5, 88.5, "old when it came: half of what is left" },
		{ -400, 89.99, 89.99, 90, "… however little that is" },
		{ -400, 90.5, -401, -399, "a success after the end is of a clock that was wrong" },
		{ -400, 4000, -401, -399, "… also far ahead" },
		{ -400, -1, -401, -399, "no success is known" },
	};
	struct lifetime l = of(90 * DAY);

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		time_t chosen =
			rows[i].chosen == -1 ? 0 : NOW + (time_t)(rows[i].chosen * (double)DAY);
		time_t success =
			rows[i].success == -1 ? 0 : NOW + (time_t)(rows[i].success * (double)DAY);
		double at = (double)(renew_at(&l, "x", chosen, success) - NOW) / (double)DAY;

		if (at < rows[i].least - 0.01 || at > rows[i].most + 0.01)
			fail_msg("%s: %.2f", rows[i].why, at);
	}
}

/* A CA that always says "now", over a year: of each lifetime ten and no more. */
static void a_ca_that_always_says_now_is_asked_ten_times_a_life_at_most(void **state)
{
	static const time_t lengths[] = { 90 * DAY, 45 * DAY, 6 * DAY, DAY };

	(void)state;
	for (size_t i = 0; i < ELEMENTS(lengths); i++) {
		time_t now = NOW;
		unsigned n = 0;

		while (now < NOW + 10 * lengths[i]) {
			struct lifetime l = { now, now + lengths[i] };

			now = renew_at(&l, "x", NOW - DAY, now);
			n++;
		}
		assert_in_range(n, 90, 101);
	}
}

static void the_window_is_asked_for_within_a_minute_and_a_day(void **state)
{
	static const struct {
		int64_t retry_after;
		time_t wait;
	} rows[] = {
		{ -1, 6 * HOUR }, { 0, 60 },           { 1, 60 },         { 60, 60 },
		{ 61, 61 },       { 21600, 6 * HOUR }, { 30 * DAY, DAY }, { INT64_MAX, DAY },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++)
		assert_int_equal(renew_ask_after(rows[i].retry_after), rows[i].wait);
}

static void urgency_goes_by_parts_of_the_lifetime(void **state)
{
	static const struct {
		double part;
		unsigned urgency;
	} rows[] = { { 0, 0 },    { 0.79, 0 }, { 0.81, 1 }, { 0.94, 1 },
		     { 0.96, 2 }, { 1, 3 },    { 2, 3 } };
	static const time_t lengths[] = { 90 * DAY, 6 * DAY };

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++)
		for (size_t k = 0; k < ELEMENTS(lengths); k++) {
			struct lifetime l = of(lengths[k]);
			time_t now = NOW + (time_t)(rows[i].part * (double)lengths[k]);

			assert_int_equal(renew_urgency(&l, now), rows[i].urgency);
		}
}

static void a_name_that_is_held_back_is_waited_for_a_day_at_most(void **state)
{
	struct lifetime long_one = of(90 * DAY), short_one = of(6 * DAY);

	(void)state;
	assert_int_equal(renew_patience(&long_one), DAY);
	assert_int_equal(renew_patience(&short_one), 6 * DAY / 20);
}

/* Many at once ------------------------------------------------------------- */

#define MANY 5000

/* 5,000 moments within [start, start + spread): no part of `grain` seconds has more than three times its share. */
static void assert_spread(const time_t *at, time_t start, time_t spread, time_t grain)
{
	size_t parts = (size_t)(spread / grain) + 1, most = 0;
	autofree size_t *counts = memory_new(parts * sizeof *counts);

	for (size_t i = 0; i < MANY; i++) {
		size_t part = (size_t)((at[i] - start) / grain);

		assert_in_range(at[i], start, start + spread);
		if (++counts[part] > most)
			most = counts[part];
	}
	if (most * (size_t)spread > 3 * MANY * (size_t)grain)
		fail_msg("%zu in one part of %ld s", most, (long)grain);
}

/*
 * All were issued within the same second. Where there is less than one a minute on average (a
 * life of 90 days), two by chance are above three times that: there it is hours that count, and
 * no minute has more than a handful.
 */
static void five_thousand_certificates_issued_at_once_are_renewed_spread(void **state)
{
	static const struct {
		time_t length, grain;
	} rows[] = {
		{ 6 * DAY, 60 },    { 160 * HOUR, 60 }, { DAY, 60 },
		{ 45 * DAY, HOUR }, { 64 * DAY, HOUR }, { 90 * DAY, HOUR },
	};
	static time_t at[MANY];

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct lifetime l = of(rows[i].length);
		time_t whole = rows[i].length, part = whole < 10 * DAY ? whole / 2 : whole / 3 * 2;
		time_t spread = whole / 100 * 6;
		char name[64];

		for (size_t k = 0; k < MANY; k++) {
			snprintf(name, sizeof name, "w%zu/w%zu.example.org", k, k);
			at[k] = renew_at(&l, name, 0, NOW);
		}
		assert_spread(at, NOW + part - spread / 2, spread, rows[i].grain);
	}
}

static int by_time(const void *a, const void *b)
{
	const time_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void no_minute_of_five_thousand_renewals_of_90_days_has_more_than_a_handful(void **state)
{
	static time_t at[MANY];
	struct lifetime l = of(90 * DAY);
	char name[64];

	(void)state;
	for (size_t k = 0; k < MANY; k++) {
		snprintf(name, sizeof name, "w%zu/w%zu.example.org", k, k);
		at[k] = renew_at(&l, name, 0, NOW);
	}
	qsort(at, MANY, sizeof *at, by_time);
	for (size_t k = 8; k < MANY; k++)
		assert_true(at[k] - at[k - 8] >= 60);
}

/* The CA moves its window for all, to the coming hours: a revocation. */
static void a_window_that_moves_earlier_for_five_thousand_is_no_storm(void **state)
{
	static const time_t windows[] = { HOUR, 6 * HOUR, DAY / 2 };
	static time_t at[MANY];
	struct lifetime l = of(90 * DAY);
	time_t start = NOW + 20 * DAY;
	char name[32];

	(void)state;
	for (size_t i = 0; i < ELEMENTS(windows); i++) {
		for (size_t k = 0; k < MANY; k++) {
			uint64_t random;

			snprintf(name, sizeof name, "random %zu", k);
			random = hash_text(HASH_START, name);
			at[k] = renew_at(&l, name,
					 renew_in_window(start, start + windows[i], random), NOW);
		}
		assert_spread(at, start, windows[i], 60);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_thirds_of_its_life_and_half_of_a_short_one),
		cmocka_unit_test(the_same_name_is_renewed_at_the_same_part_of_its_life),
		cmocka_unit_test(the_latest_moment_is_before_the_end_whatever_the_lifetime),
		cmocka_unit_test(a_moment_is_chosen_within_the_window),
		cmocka_unit_test(a_window_that_says_nothing_chooses_nothing),
		cmocka_unit_test(the_moment_is_the_windows_but_within_reason),
		cmocka_unit_test(a_ca_that_always_says_now_is_asked_ten_times_a_life_at_most),
		cmocka_unit_test(the_window_is_asked_for_within_a_minute_and_a_day),
		cmocka_unit_test(urgency_goes_by_parts_of_the_lifetime),
		cmocka_unit_test(a_name_that_is_held_back_is_waited_for_a_day_at_most),
		cmocka_unit_test(five_thousand_certificates_issued_at_once_are_renewed_spread),
		cmocka_unit_test(
			no_minute_of_five_thousand_renewals_of_90_days_has_more_than_a_handful),
		cmocka_unit_test(a_window_that_moves_earlier_for_five_thousand_is_no_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
