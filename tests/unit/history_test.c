/* history.c: what webspaces' files said before they changed, point by point. */
#include "agent/model/history.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "agent/base/own.h"
#include "agent/base/put.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

static struct history h;
static int good = -1; /* the texts that webspaces have now */

static int open_directory(const char *name)
{
	(void)mkdirat(dir, name, 0700);
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int setup(void **state)
{
	if (make_root(state) < 0)
		return -1;
	good = open_directory("good");
	return good < 0 || history_open(root, true, &h, NULL) < 0;
}

static int teardown(void **state)
{
	history_close(&h);
	close(good);
	return remove_root(state);
}

static void has(const char *file, const char *text)
{
	assert_true(put_file(good, file, 0600, text, strlen(text), PUT_BATCH, NULL) >= 0);
}

/* What the file says in that directory; NULL: there is none. */
static const char *said(int at, const char *file)
{
	static char text[64];
	autofd int fd = openat(at, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	return n < 0 ? NULL : text;
}

/* At a generation, the webspace gets another text. */
static void changes(uint64_t generation, const char *name, const char *text)
{
	char file[NAME_FILE_MAX + 8];

	h.point = generation;
	assert_int_equal(history_keep(&h, name, good, NULL), 0);
	has(history_file(name, false, file), text);
}

static size_t since(uint64_t generation, int to)
{
	size_t n = 0;

	assert_int_equal(history_since(&h, generation, to, &n, NULL), 0);
	return n;
}

static void before_the_first_generation_nothing_is_kept(void **state)
{
	(void)state;
	has("alice.conf", "1");
	changes(0, "alice", "1");
	assert_int_equal(history_before(&h, UINT64_MAX), 0);
	assert_int_equal(history_oldest(&h), 1);
	assert_int_equal(history_when(&h, 1), 0);
}

static void the_first_change_at_a_point_counts(void **state)
{
	autofd int to = open_directory("first");

	(void)state;
	changes(3, "alice", "2");
	changes(3, "alice", "3");
	assert_int_equal(history_before(&h, UINT64_MAX), 3);
	assert_true(history_when(&h, 3) > 0);
	assert_int_equal(since(3, to), 1);
	assert_string_equal(said(to, "alice.conf"), "1");
}

static void a_webspace_that_was_new_says_so_and_stays_new(void **state)
{
	autofd int to = open_directory("new");

	(void)state;
	changes(5, "bob", "1");
	changes(5, "bob", "2");
	assert_int_equal(since(5, to), 1);
	assert_non_null(said(to, "bob.new"));
	assert_null(said(to, "bob.conf"));
}

static void of_several_points_the_nearest_after_a_generation_counts(void **state)
{
	autofd int to = open_directory("nearest");

	(void)state;
	changes(8, "alice", "4"); /* it was "3" */
	changes(8, "bob", "3");   /* it was "2" */
	assert_int_equal(since(9, to), 0);
	assert_int_equal(since(6, to), 2);
	assert_string_equal(said(to, "alice.conf"), "3");
	assert_string_equal(said(to, "bob.conf"), "2");
	/* Further back, over what is there from the last time. */
	assert_int_equal(since(4, to), 2);
	assert_string_equal(said(to, "alice.conf"), "3");
	assert_null(said(to, "bob.conf"));
	assert_non_null(said(to, "bob.new"));
	assert_int_equal(since(2, to), 2);
	assert_string_equal(said(to, "alice.conf"), "1");
}

static void who_changed_at_a_point_is_told(void **state)
{
	struct table names = { 0 };

	(void)state;
	history_names(&h, 8, &names);
	assert_int_equal(names.count, 2);
	assert_non_null(table_get(&names, "alice"));
	assert_non_null(table_get(&names, "bob"));
	table_clear(&names);
	history_names(&h, 7, &names);
	assert_int_equal(names.count, 0);
}

static void whoever_is_forgotten_is_at_no_point(void **state)
{
	autofd int to = open_directory("forgotten-by-all");

	(void)state;
	assert_int_equal(history_forget(&h, "bob", NULL), 0);
	assert_int_equal(history_forget(&h, "nobody", NULL), 0);
	assert_int_equal(since(1, to), 1);
	assert_null(said(to, "bob.new"));
	assert_string_equal(said(to, "alice.conf"), "1");
}

static void only_the_newest_points_are_kept_and_it_is_known_which_are_not(void **state)
{
	uint64_t n = UINT64_MAX;
	int count = 0;

	(void)state;
	for (int i = 0; i < 2 * HISTORY_KEPT; i++)
		changes(10 + (uint64_t)i, "alice", "5");
	while ((n = history_before(&h, n)) != 0)
		count++;
	assert_int_equal(count, HISTORY_KEPT);
	assert_int_equal(history_oldest(&h), 10 + HISTORY_KEPT);
	assert_int_equal(history_when(&h, 8), 0);
}

static void who_may_only_read_keeps_nothing(void **state)
{
	struct history reader;

	(void)state;
	assert_int_equal(history_open(root, false, &reader, NULL), 0);
	reader.point = 100;
	assert_int_equal(history_keep(&reader, "alice", good, NULL), 0);
	assert_int_equal(history_when(&reader, 100), 0);
	assert_int_equal(history_oldest(&reader), history_oldest(&h));
	history_close(&reader);
	assert_int_equal(history_open("/nowhere", false, &reader, NULL), 0);
	assert_int_equal(history_before(&reader, UINT64_MAX), 0);
}

static void files_are_called_by_webspaces_and_nothing_else_is_one(void **state)
{
	static const char *const others[] = { "generation", "alice", ".new",
					      ".conf",      "",      "alice.txt" };
	char name[NAME_FILE_MAX + 1], file[NAME_FILE_MAX + 8];
	bool is_new;

	(void)state;
	assert_string_equal(history_file("alice", true, file), "alice.new");
	assert_true(history_name(file, &is_new, name) && is_new);
	assert_string_equal(name, "alice");
	assert_string_equal(history_file("alice", false, file), "alice.conf");
	assert_true(history_name(file, &is_new, name) && !is_new);
	for (size_t i = 0; i < ELEMENTS(others); i++)
		assert_false(history_name(others[i], &is_new, name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_first_generation_nothing_is_kept),
		cmocka_unit_test(the_first_change_at_a_point_counts),
		cmocka_unit_test(a_webspace_that_was_new_says_so_and_stays_new),
		cmocka_unit_test(of_several_points_the_nearest_after_a_generation_counts),
		cmocka_unit_test(who_changed_at_a_point_is_told),
		cmocka_unit_test(whoever_is_forgotten_is_at_no_point),
		cmocka_unit_test(only_the_newest_points_are_kept_and_it_is_known_which_are_not),
		cmocka_unit_test(who_may_only_read_keeps_nothing),
		cmocka_unit_test(files_are_called_by_webspaces_and_nothing_else_is_one),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
