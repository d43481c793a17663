#include "agent/base/table.h"

#include <stdio.h>

#include "tests/unit/cmocka_all.h"

#define MANY 20000

static void what_was_set_is_found_and_what_was_taken_is_not(void **state)
{
	struct table t = { 0 };
	static int values[MANY];
	char key[16];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "user%d", i);
		assert_null(table_set(&t, key, &values[i]));
	}
	for (int i = 0; i < MANY; i += 2) {
		snprintf(key, sizeof(key), "user%d", i);
		assert_ptr_equal(table_take(&t, key), &values[i]);
		assert_null(table_take(&t, key));
	}
	assert_int_equal(t.count, MANY / 2);
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "user%d", i);
		assert_ptr_equal(table_get(&t, key), i % 2 ? &values[i] : NULL);
	}
	table_clear(&t);
	assert_null(table_get(&t, "user1"));
}

static void setting_again_gives_back_what_was_there(void **state)
{
	struct table t = { 0 };
	int a, b;

	(void)state;
	table_set(&t, "alice", &a);
	assert_ptr_equal(table_set(&t, "alice", &b), &a);
	assert_ptr_equal(table_get(&t, "alice"), &b);
	assert_int_equal(t.count, 1);
	table_clear(&t);
}

static void iteration_is_in_order_of_insertion_and_survives_taking(void **state)
{
	const char *names[] = { "zoe", "alice", "bob", "carol" };
	struct table t = { 0 };
	struct table_entry *it;
	size_t i = 0;

	(void)state;
	for (i = 0; i < 4; i++)
		table_set(&t, names[i], &names[i]);
	i = 0;
	table_each (&t, it) {
		assert_string_equal(it->key, names[i++]);
		table_take(&t, it->key);
	}
	assert_int_equal(i, 4);
	assert_int_equal(t.count, 0);
	table_clear(&t);
}

static void coming_and_going_for_ever_does_not_grow_it(void **state)
{
	struct table t = { 0 };
	char key[16];
	int value;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "user%d", i);
		table_set(&t, key, &value);
		table_take(&t, key);
	}
	assert_in_range(t.room, 0, 16);
	table_clear(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_set_is_found_and_what_was_taken_is_not),
		cmocka_unit_test(setting_again_gives_back_what_was_there),
		cmocka_unit_test(iteration_is_in_order_of_insertion_and_survives_taking),
		cmocka_unit_test(coming_and_going_for_ever_does_not_grow_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
