/* What gets into the shared base, and what does not. */
#include "tests/unit/tree_fixture.h"

#include <sys/statvfs.h>

#include "reconcile/tree/base_tree.h"

static struct tree tree;
static struct base_tree *base;

static int set_up(void **state)
{
	struct err e = { 0 };

	(void)state;
	if (!tree_open(&tree, 1))
		return 0;
	tree_write(&tree, "/etc/t/zone/private", "secret");
	assert_int_equal(chmod("/etc/t/zone/private", 0640), 0);
	tree_write(&tree, "/etc/t/elsewhere", "by link");
	assert_int_equal(symlink("../certs/a.pem", "/etc/t/zone/inside"), 0);
	assert_int_equal(symlink("/etc/t/certs/a.pem", "/etc/t/zone/absolute"), 0);
	assert_int_equal(symlink("../elsewhere", "/etc/t/zone/outside"), 0);
	assert_int_equal(symlink("nowhere", "/etc/t/certs/dangling"), 0);
	assert_int_equal(mkfifo("/etc/t/zone/fifo", 0666), 0);
	if (base_tree_open(&tree.host, true, &base, &e) < 0)
		fail_msg("%s", e.text);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	base_tree_close(base);
	base = NULL;
	tree_close(&tree);
	return 0;
}

#define NEEDS_ROOT() \
	(void)state; \
	if (!base)   \
	skip()

static const char *copy(const char *rest)
{
	return tree_path(&tree, arena_printf(&tree.arena, "run/base/%s", rest));
}

static mode_t type_of(const char *rest)
{
	struct stat st;

	return lstat(copy(rest), &st) < 0 ? 0 : st.st_mode & S_IFMT;
}

static void only_what_everybody_may_read_is_copied(void **state)
{
	static const struct {
		const char *path;
		mode_t type;
	} cases[] = {
		{ "etc/t/zone/UTC", S_IFREG },
		{ "etc/t/zone/private", 0 },
		{ "etc/t/zone/fifo", 0 },
		{ "etc/t/zone/inside", S_IFLNK },
		{ "etc/t/zone/absolute", S_IFLNK },
		{ "etc/t/zone/outside", S_IFREG },
		{ "dev/urandom", S_IFCHR },
		{ "etc/passwd", S_IFLNK },
		{ "etc/shadow", 0 },
		{ "etc/t/none", 0 },
		{ ".next", 0 },
	};

	NEEDS_ROOT();
	for (size_t i = 0; i < ELEMENTS(cases); i++)
		assert_int_equal(type_of(cases[i].path), cases[i].type);
}

static void a_look_at_unchanged_sources_changes_nothing(void **state)
{
	struct stat before, after;

	NEEDS_ROOT();
	assert_int_equal(stat(copy("etc/t/zone"), &before), 0);
	assert_int_equal(base_tree_look(base, NULL), 0);
	base_tree_close(base);
	assert_int_equal(base_tree_open(&tree.host, true, &base, NULL), 0);
	assert_int_equal(base_tree_look(base, NULL), 0);
	assert_int_equal(stat(copy("etc/t/zone"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

static void a_source_that_changed_while_no_agent_ran_is_exchanged(void **state)
{
	struct stat before, after, other_before, other_after;

	NEEDS_ROOT();
	assert_int_equal(stat(copy("etc/t/zone"), &before), 0);
	assert_int_equal(stat(copy("etc/t/certs"), &other_before), 0);
	base_tree_close(base);
	tree_write(&tree, "/etc/t/zone/Europe/Berlin", "berlin, later");
	assert_int_equal(base_tree_open(&tree.host, true, &base, NULL), 0);
	assert_int_equal(stat(copy("etc/t/zone"), &after), 0);
	assert_int_equal(stat(copy("etc/t/certs"), &other_after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(other_before.st_ino, other_after.st_ino);
}

static void a_copy_that_somebody_removed_comes_back(void **state)
{
	NEEDS_ROOT();
	assert_int_equal(remove(copy("etc/t/resolv.conf")), 0);
	assert_int_equal(base_tree_look(base, NULL), 1);
	assert_int_equal(type_of("etc/t/resolv.conf"), S_IFREG);
}

static void what_is_too_large_is_an_error_and_the_old_copy_stays(void **state)
{
	struct err e = { 0 };

	NEEDS_ROOT();
	tree_write(&tree, "/etc/t/zone/huge", "");
	assert_int_equal(truncate("/etc/t/zone/huge", 65 << 20), 0);
	assert_int_equal(base_tree_look(base, &e), -EFBIG);
	assert_non_null(strstr(e.text, "larger than 64 MB"));
	assert_int_equal(type_of("etc/t/zone/UTC"), S_IFREG);
	assert_int_equal(remove("/etc/t/zone/huge"), 0);
	assert_true(base_tree_look(base, &e) >= 0);
}

static void a_source_that_left_the_list_leaves_the_base(void **state)
{
	NEEDS_ROOT();
	base_tree_close(base);
	tree.host.base.count = 2;
	assert_int_equal(base_tree_open(&tree.host, true, &base, NULL), 0);
	assert_int_equal(type_of("etc/t/resolv.conf"), 0);
	assert_int_equal(type_of("etc/t/zone/UTC"), S_IFREG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		ROW(only_what_everybody_may_read_is_copied),
		ROW(a_look_at_unchanged_sources_changes_nothing),
		ROW(a_source_that_changed_while_no_agent_ran_is_exchanged),
		ROW(a_copy_that_somebody_removed_comes_back),
		ROW(what_is_too_large_is_an_error_and_the_old_copy_stays),
		ROW(a_source_that_left_the_list_leaves_the_base),
#undef ROW
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
