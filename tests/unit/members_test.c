/* The list of members: what is written is read back, and nothing else is. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/base/table.h"
#include "reconcile/units/members.h"
#include "tests/unit/cmocka_all.h"

static void keep(const char *name, struct fragment *fragment, void *data)
{
	assert_null(table_set(data, name, fragment));
}

static struct fragment *make(const char *first, const char *second)
{
	struct buf sections[FRAGMENT_SECTIONS] = { 0 };
	struct fragment *f;

	buf_adds(&sections[0], first);
	buf_adds(&sections[3], second);
	f = fragment_new(sections);
	buf_clear(&sections[0]);
	buf_clear(&sections[3]);
	return f;
}

static void what_was_written_is_read_back(void **state)
{
	struct fragment *all[] = { make("one\n", "two"), make("", ""), make("\n\n", "x 1 2\n") };
	static const char *const names[] = { "alice", "bob", "_carol-2" };
	autobuf struct buf text = { 0 };
	struct table found = { 0 };

	(void)state;
	members_write((const struct fragment *const *)all, names, 3, &text);
	assert_true(members_read(text.data, text.len, keep, &found));
	assert_int_equal(found.count, 3);
	for (size_t i = 0; i < 3; i++) {
		struct fragment *f = table_get(&found, names[i]);

		assert_true(fragment_same(f, all[i]));
		fragment_free(f);
		fragment_free(all[i]);
	}
	table_clear(&found);
}

static void fewer_lengths_of_an_earlier_version_are_read(void **state)
{
	char text[] = "alice 1 0 2\nxyz\nbob 2\nxy\n";
	struct table found = { 0 };
	struct fragment *f;
	size_t len;

	(void)state;
	assert_true(members_read(text, strlen(text), keep, &found));
	assert_int_equal(found.count, 2);
	f = table_take(&found, "alice");
	assert_memory_equal(fragment_section(f, 2, &len), "yz", 2);
	assert_int_equal(len, 2);
	fragment_section(f, FRAGMENT_SECTIONS - 1, &len);
	assert_int_equal(len, 0);
	fragment_free(f);
	fragment_free(table_take(&found, "bob"));
	table_clear(&found);
}

static void nothing_else_is_read(void **state)
{
	static const char *const bad[] = {
		"alice",
		"alice\n",
		"alice 0 0 0 0 0 0 0 0\n",
		"alice 9 0 0 0 0 0 0 0\nx\n",
		"alice 1 0 0 0 0 0 0 0\nxy\n",
		"alice 1 0 0 0 0 0 0 0 0 0\nx\n",
		"alice -1 0 0 0 0 0 0 0\nx\n",
		"alice 99999999999999999999 0 0 0 0 0 0 0\nx\n",
		"\n",
		"a 1 0 0 0 0 0 0 0\nx\nb",
	};
	struct table found = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		autofree char *text = strdup(bad[i]);

		assert_false(members_read(text, strlen(text), keep, &found));
		assert_int_equal(found.count, 0);
	}
	assert_true(members_read((char[]){ "" }, 0, keep, &found));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read_back),
		cmocka_unit_test(fewer_lengths_of_an_earlier_version_are_read),
		cmocka_unit_test(nothing_else_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
