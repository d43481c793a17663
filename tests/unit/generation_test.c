/* Generations on disk: numbers that only grow, and what a crash leaves. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "reconcile/units/generation.h"
#include "tests/unit/cmocka_all.h"

static char state_dir[64];
static struct host host = { .state_dir = state_dir };
static int dir;

static int setup(void **state)
{
	struct err e;

	(void)state;
	snprintf(state_dir, sizeof(state_dir), "/tmp/generation_test.XXXXXX");
	assert_non_null(mkdtemp(state_dir));
	assert_int_equal(generation_open(&host, "php/8.2-01", false, &e), -ENOENT);
	dir = generation_open(&host, "php/8.2-01", true, &e);
	assert_true(dir >= 0);
	return 0;
}

static int teardown(void **state)
{
	autofd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	close(dir);
	return path_remove_tree(tmp, state_dir + strlen("/tmp/"), NULL) == 1 ? 0 : -1;
}

static void make(uint64_t n)
{
	struct unit_file files[UNIT_FILES] = { { .name = "conf" } };
	struct err e;

	buf_printf(&files[0].text, "generation %d\n", (int)n);
	assert_int_equal(generation_write(dir, n, files, &e), 0);
	assert_int_equal(generation_sync(dir, n, &e), 0);
	assert_true(generation_holds(dir, n, &files[0]));
	buf_clear(&files[0].text);
}

static bool is_there(uint64_t n)
{
	size_t len;
	autofree char *text = generation_read(dir, n, "conf", &len);

	return text != NULL;
}

static void numbers_grow_also_when_the_counter_is_lost(void **state)
{
	autofd int d = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(generation_next(&host), 1);
	assert_int_equal(generation_next(&host), 2);
	make(41);
	assert_int_equal(unlinkat(d, "generation", 0), 0);
	assert_int_equal(generation_next(&host), 42);
	assert_true(put_file(d, "generation", 0644, "", 0, PUT_BATCH, NULL) >= 0);
	assert_int_equal(generation_next(&host), 42);
	assert_int_equal(generation_next(&host), 43);
}

static void the_link_says_what_is_in_force(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(generation_current(dir), 0);
	make(7);
	assert_int_equal(generation_link(dir, 7, &e), 0);
	assert_int_equal(generation_current(dir), 7);
	assert_int_equal(generation_link(dir, 0, &e), 0);
	assert_int_equal(generation_link(dir, 0, &e), 0);
	assert_int_equal(generation_current(dir), 0);
	assert_int_equal(symlinkat("../elsewhere", dir, "current"), 0);
	assert_int_equal(generation_current(dir), 0);
}

static void what_was_staged_goes_and_the_newest_stay(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 12; n++)
		make(n * 10);
	generation_discard(dir, 100);
	assert_false(is_there(110));
	assert_true(is_there(100));
	assert_int_equal(generation_below(dir, 100), 90);
	generation_prune(dir, 100);
	assert_true(is_there(60));
	assert_false(is_there(50));
	assert_int_equal(generation_below(dir, 60), 0);
}

static void a_stamp_tells_of_writing(void **state)
{
	static const char *const names[UNIT_FILES] = { "conf", "missing" };
	struct generation_stamp before, after;
	autofd int fd = -1;

	(void)state;
	make(3);
	generation_stamp(dir, 3, names, &before);
	generation_stamp(dir, 3, names, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	fd = openat(dir, "3/conf", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "x", 1), 1);
	generation_stamp(dir, 3, names, &after);
	assert_memory_not_equal(&before, &after, sizeof(before));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(numbers_grow_also_when_the_counter_is_lost),
		CASE(the_link_says_what_is_in_force),
		CASE(what_was_staged_goes_and_the_newest_stay),
		CASE(a_stamp_tells_of_writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
