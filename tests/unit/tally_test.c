/* tally.c: what is told one by one, what is only counted, and that no name is lost. */
#include "agent/base/tally.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "tests/unit/cmocka_all.h"

static struct {
	size_t sums, count, names, directories, mounts;
	int level;
	char like[64];
} seen;

static void on_sum(const struct tally_sum *sum, void *data)
{
	const size_t *n = table_get(sum->resources, "directory");

	(void)data;
	seen.sums++;
	seen.count += sum->count;
	seen.names += sum->webspaces->count;
	seen.directories += n ? *n : 0;
	n = table_get(sum->resources, "mount");
	seen.mounts += n ? *n : 0;
	seen.level = sum->level;
	snprintf(seen.like, sizeof(seen.like), "%s", sum->like);
}

/* Entries number from … to - 1, of as many webspaces. Returns how many were told. */
static size_t say(struct tally *t, const char *kind, unsigned from, unsigned to, uint64_t now)
{
	size_t told = 0;

	for (unsigned i = from; i < to; i++) {
		char name[24], message[40];

		snprintf(name, sizeof(name), "user%u", i);
		snprintf(message, sizeof(message), "%s: %s", name, kind);
		told += tally_admits(t,
				     &(struct tally_entry){
					     .level = i % 7 ? 5 : 3,
					     .kind = kind,
					     .webspace = name,
					     .resource = i % 2 ? "directory" : "mount",
					     .message = message,
				     },
				     now);
	}
	return told;
}

static int begin(void **state)
{
	static struct tally t;

	memset(&seen, 0, sizeof(seen));
	t = (struct tally){ 0 };
	*state = &t;
	return 0;
}

static int end(void **state)
{
	tally_clear(*state);
	return 0;
}

static void the_first_hundred_are_told_and_the_others_counted_with_their_names(void **state)
{
	struct tally *t = *state;

	assert_int_equal(say(t, "ready", 0, 600, 0), TALLY_FULL);
	assert_int_equal(t->counted, 500);
	tally_sum(t, on_sum, NULL);
	assert_int_equal(seen.sums, 1);
	assert_int_equal(seen.count, 500);
	assert_int_equal(seen.names, 500);
	assert_int_equal(seen.directories, 250);
	assert_int_equal(seen.mounts, 250);
	assert_int_equal(seen.level, 3); /* the gravest */
	assert_string_equal(seen.like, "user100: ready");
}

static void a_sum_is_told_once(void **state)
{
	struct tally *t = *state;

	say(t, "ready", 0, 101, 0);
	tally_sum(t, on_sum, NULL);
	tally_sum(t, on_sum, NULL);
	assert_int_equal(seen.sums, 1);
	assert_int_equal(t->counted, 0);
}

static void a_sum_does_not_begin_a_new_span_but_time_does(void **state)
{
	struct tally *t = *state;

	say(t, "ready", 0, 200, 0);
	tally_sum(t, on_sum, NULL);
	assert_int_equal(say(t, "ready", 200, 210, TALLY_SPAN_USEC - 1), 0);
	assert_int_equal(say(t, "ready", 300, 310, TALLY_SPAN_USEC), 10);
	tally_sum(t, on_sum, NULL);
	assert_int_equal(seen.count, 100 + 10);
}

static void one_kind_does_not_silence_another(void **state)
{
	struct tally *t = *state;

	say(t, "ready", 0, 1000, 0);
	assert_int_equal(say(t, "quarantined", 0, 3, 0), 3);
}

static void a_sum_is_due_before_it_has_more_names_than_an_entry_can_hold(void **state)
{
	struct tally *t = *state;
	size_t told = 0;

	for (unsigned i = 0; i < 10000; i++) {
		told += say(t, "ready", i, i + 1, 0);
		if (tally_is_full(t, "ready"))
			tally_sum(t, on_sum, NULL);
	}
	tally_sum(t, on_sum, NULL);
	assert_int_equal(told + seen.names, 10000);
	assert_int_equal(seen.sums, 10);
}

#define TALLY_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TALLY_TEST(the_first_hundred_are_told_and_the_others_counted_with_their_names),
		TALLY_TEST(a_sum_is_told_once),
		TALLY_TEST(a_sum_does_not_begin_a_new_span_but_time_does),
		TALLY_TEST(one_kind_does_not_silence_another),
		TALLY_TEST(a_sum_is_due_before_it_has_more_names_than_an_entry_can_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
