/* Token buckets by a clock of the test's: what may be ordered, when the next, and what a crash forgets: nothing. */
#include "acme/limits.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define HOUR ((time_t)3600)
#define DAY  (24 * HOUR)
#define NOW  ((time_t)1800000000)

static struct limits limits;

static int clear(void **state)
{
	(void)state;
	limits_clear(&limits);
	limits = (struct limits){ 0 };
	(void)unlinkat(dir, "limits.json", 0);
	return 0;
}

/* names: up to two, divided by a space. */
static bool order(const char *names, bool renewal, bool replaces, time_t now, time_t *ret_until)
{
	char text[200], *rest = text;
	const char *list[2];
	struct limits_order o = { .names = list, .renewal = renewal, .replaces = replaces };
	const char *what;

	snprintf(text, sizeof text, "%s", names);
	while (rest)
		list[o.n_names++] = strsep(&rest, " ");
	if (!limits_allow(&limits, &o, now, ret_until, &what))
		return false;
	limits_spend(&limits, &o, now);
	return true;
}

/* A new name of a domain of its own. */
static bool order_new(unsigned number, time_t now)
{
	char name[40];
	time_t until;

	snprintf(name, sizeof name, "www.d%u.org", number);
	return order(name, false, false, now, &until);
}

static void three_hundred_new_names_come_in_a_burst_and_then_one_each_36_seconds(void **state)
{
	unsigned number = 0, n = 0;

	(void)state;
	while (order_new(number++, NOW))
		n++;
	assert_int_equal(n, 300);
	for (time_t second = 1, last = 0; second <= 3600; second++)
		if (order_new(number++, NOW + second)) {
			assert_int_equal(second - last, 36);
			last = second;
			n++;
		}
	assert_int_equal(n, 400);
}

static void no_three_hours_of_a_month_see_more_than_twice_the_limit(void **state)
{
	static time_t taken[100000];
	size_t n = 0;

	(void)state;
	for (time_t now = NOW; now < NOW + 30 * DAY; now += 7)
		if (n < ELEMENTS(taken) && order_new((unsigned)n, now))
			taken[n++] = now;
	for (size_t i = 600; i < n; i++)
		assert_true(taken[i] - taken[i - 600] >= 3 * HOUR);
	assert_in_range(n, 300 + 240 * 290, 300 + 240 * 301);
}

static void when_there_will_be_one_is_said_and_is_true(void **state)
{
	time_t until;

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		assert_true(order_new(i, NOW));
	assert_false(order("a.example.org", false, false, NOW, &until));
	assert_int_equal(until, NOW + 36);
	assert_false(order("a.example.org", false, false, until - 1, &until));
	assert_true(order("a.example.org", false, false, until, &until));
}

static void a_domain_has_fifty_and_its_neighbours_have_theirs(void **state)
{
	char name[60];
	time_t until;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "n%u.example.co.uk", i);
		assert_true(order(name, false, false, NOW, &until));
	}
	assert_false(order("new.example.co.uk", false, false, NOW, &until));
	assert_int_equal(until, NOW + 7 * DAY / 50);
	assert_false(order("other.co.uk new.example.co.uk", false, false, NOW, &until));
	assert_true(order("other.co.uk", false, false, NOW, &until));
	assert_true(order("n1.example.co.uk", true, false, NOW, &until)); /* a renewal */
}

static void the_same_set_has_five_whatever_its_order_and_its_kind(void **state)
{
	static const struct {
		const char *names;
		bool renewal, allowed;
	} rows[] = {
		{ "a.org b.org", false, true }, { "b.org a.org", true, true },
		{ "a.org b.org", true, true },  { "a.org b.org", true, true },
		{ "b.org a.org", true, true },  { "a.org b.org", true, false },
		{ "a.org", true, true },        { "a.org c.org", true, true },
	};
	time_t until;

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++)
		assert_int_equal(order(rows[i].names, rows[i].renewal, false, NOW, &until),
				 rows[i].allowed);
	assert_false(order("a.org b.org", true, false, NOW, &until));
	assert_int_equal(until, NOW + 7 * DAY / 5);
	assert_true(order("a.org b.org", true, true, NOW, &until)); /* it says what it replaces */
}

static void five_thousand_renewals_that_say_so_cost_nothing(void **state)
{
	time_t until;

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		assert_true(order("a.org", true, true, NOW, &until));
	assert_false(limits.changed);
}

/* What the CA says: nothing before then, of that alone. */
static void what_the_ca_says_is_empty_stays_so_until_its_time(void **state)
{
	const char *set[] = { "set.org", "www.set.org" };
	time_t until;

	(void)state;
	limits_drain_domain(&limits, "domain.org", NOW + HOUR, NOW);
	limits_drain_set(&limits, set, 2, NOW + 2 * HOUR, NOW);
	assert_false(order("x.domain.org", false, false, NOW, &until));
	assert_int_equal(until, NOW + HOUR);
	assert_false(order("www.set.org set.org", true, false, NOW, &until));
	assert_int_equal(until, NOW + 2 * HOUR);
	assert_true(order("set.org", true, false, NOW, &until));
	assert_true(order("free.org", false, false, NOW, &until));
	limits_drain_account(&limits, NOW + 3 * HOUR, NOW);
	assert_false(order("free2.org", false, false, NOW, &until));
	assert_int_equal(until, NOW + 3 * HOUR);
	assert_true(order("free.org", true, false, NOW, &until));
	assert_true(order("free2.org", false, false, NOW + 3 * HOUR, &until));
}

static void what_is_empty_for_longer_does_not_become_so_for_less(void **state)
{
	time_t until;

	(void)state;
	limits_drain_account(&limits, NOW + DAY, NOW);
	limits_drain_account(&limits, NOW + HOUR, NOW);
	limits_drain_account(&limits, NOW - HOUR, NOW);
	assert_false(order("a.org", false, false, NOW, &until));
	assert_int_equal(until, NOW + DAY);
}

static void an_order_that_came_to_nothing_counts_for_the_account_alone(void **state)
{
	const char *name = "a.org";
	struct limits_order o = { .names = &name, .n_names = 1 };
	time_t until;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		assert_true(order(name, false, false, NOW, &until));
		limits_return(&limits, &o);
	}
	for (unsigned i = 0; i < 200; i++)
		assert_true(order_new(i, NOW));
	assert_false(order_new(200, NOW));
}

static void restart(time_t now)
{
	assert_int_equal(limits_write(&limits, dir, now, NULL), 0);
	limits_clear(&limits);
	limits = (struct limits){ 0 };
	limits_read(&limits, dir, now);
}

static void what_was_spent_is_known_after_a_restart(void **state)
{
	const char *set[] = { "set.org" };
	time_t until;

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		assert_true(order_new(i, NOW));
	limits_drain_domain(&limits, "d.org", NOW + 6 * DAY, NOW);
	limits_drain_set(&limits, set, 1, NOW + 7 * DAY, NOW);
	restart(NOW + 1);
	assert_false(order_new(300, NOW + 35));
	assert_true(order_new(300, NOW + 36));
	assert_false(order("x.d.org", false, false, NOW + 5 * DAY, &until));
	assert_int_equal(until, NOW + 6 * DAY);
	assert_false(order("set.org", true, false, NOW + 6 * DAY, &until));
}

static void what_the_ca_forbade_for_days_is_known_after_a_restart(void **state)
{
	time_t until;

	(void)state;
	limits_drain_account(&limits, NOW + 7 * DAY, NOW);
	restart(NOW + 1);
	assert_false(order("a.org", false, false, NOW + 1, &until));
	assert_int_equal(until, NOW + 7 * DAY);
}

static void nothing_is_written_when_nothing_changed_and_full_buckets_are_left_out(void **state)
{
	autofree char *text = NULL;
	size_t len;
	time_t until;

	(void)state;
	assert_int_equal(limits_write(&limits, dir, NOW, NULL), 0);
	assert_int_equal(faccessat(dir, "limits.json", F_OK, 0), -1);
	assert_true(order("a.org", false, false, NOW, &until));
	assert_int_equal(limits_write(&limits, dir, NOW + 8 * DAY, NULL), 0);
	assert_int_equal(path_read(dir, "limits.json", 4096, &text, &len, NULL), 0);
	assert_string_equal(text, "[]");
}

static void a_clock_that_jumps_back_fills_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++)
		assert_true(order_new(i, NOW));
	assert_false(order_new(300, NOW - HOUR));
	assert_false(order_new(300, NOW - DAY));
}

static void what_a_clock_that_was_a_year_ahead_has_written_holds_up_nobody(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++)
		assert_true(order_new(i, NOW + 365 * DAY));
	assert_true(order_new(300, NOW));
	for (unsigned i = 301; i < 600; i++)
		assert_true(order_new(i, NOW));
	assert_false(order_new(600, NOW));
}

static void a_file_that_is_odd_counts_as_nothing_spent(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"{}",
		"[1, null, \"account\", [], {}]",
		"[{\"bucket\": \"account\"}]",
		"[{\"bucket\": 7, \"full_at\": 1800001000}]",
		"[{\"bucket\": \"account\", \"full_at\": \"later\"}]",
		"[{\"bucket\": \"account\", \"full_at\": -1}]",
		"[{\"bucket\": \"account\", \"full_at\": 9223372036854775807}]",
		"[{\"bucket\": \"account\", \"full_at\": 1e300}]",
		"[{\"bucket\": \"moons\", \"full_at\": 1800001000}]",
		"[{\"bucket\": \"account\", \"full_at\": 1800010",
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		int fd = openat(dir, "limits.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
		close(fd);
		limits_read(&limits, dir, NOW);
		for (unsigned k = 0; k < 300; k++)
			if (!order_new(k, NOW))
				fail_msg("%s: %u", texts[i], k);
		limits_clear(&limits);
	}
}

static void the_registered_domain_is_that_of_the_public_suffix_list(void **state)
{
	static const char *const rows[][2] = {
		{ "www.example.org", "example.org" },
		{ "example.org", "example.org" },
		{ "a.b.example.co.uk", "example.co.uk" },
		{ "*.example.org", "example.org" },
		{ "alice.github.io", "alice.github.io" },
		{ "localhost", "localhost" },
		{ "co.uk", "co.uk" },
		{ "x.unknown-tld", "x.unknown-tld" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++)
		assert_string_equal(limits_domain(rows[i][0]), rows[i][1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, clear, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(three_hundred_new_names_come_in_a_burst_and_then_one_each_36_seconds),
		TEST(no_three_hours_of_a_month_see_more_than_twice_the_limit),
		TEST(when_there_will_be_one_is_said_and_is_true),
		TEST(a_domain_has_fifty_and_its_neighbours_have_theirs),
		TEST(the_same_set_has_five_whatever_its_order_and_its_kind),
		TEST(five_thousand_renewals_that_say_so_cost_nothing),
		TEST(what_the_ca_says_is_empty_stays_so_until_its_time),
		TEST(what_is_empty_for_longer_does_not_become_so_for_less),
		TEST(an_order_that_came_to_nothing_counts_for_the_account_alone),
		TEST(what_was_spent_is_known_after_a_restart),
		TEST(what_the_ca_forbade_for_days_is_known_after_a_restart),
		TEST(nothing_is_written_when_nothing_changed_and_full_buckets_are_left_out),
		TEST(a_clock_that_jumps_back_fills_nothing),
		TEST(what_a_clock_that_was_a_year_ahead_has_written_holds_up_nobody),
		TEST(a_file_that_is_odd_counts_as_nothing_spent),
		TEST(the_registered_domain_is_that_of_the_public_suffix_list),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
