/* The named mount namespace: made once, joined again, made anew when it is no namespace. */
#include "tests/unit/tree_fixture.h"

static struct tree tree;
static bool is_open;

static int set_up(void **state)
{
	(void)state;
	is_open = tree_open(&tree, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (is_open)
		tree_close(&tree);
	return 0;
}

#define NEEDS_ROOT()  \
	(void)state;  \
	if (!is_open) \
	skip()

static ino_t namespace_of_this_process(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/mnt", &st), 0);
	return st.st_ino;
}

static void leave(void)
{
	assert_int_equal(setns(tree.outside, CLONE_NEWNS), 0);
}

static void enter(bool create, bool *ret_in)
{
	struct err e = { 0 };

	if (namespace_enter(&tree.host, create, ret_in, &e) < 0)
		fail_msg("%s", e.text);
}

static void it_is_joined_again_by_its_name(void **state)
{
	ino_t made = namespace_of_this_process();
	char cwd[100] = "";
	bool in = false;

	NEEDS_ROOT();
	leave();
	assert_int_not_equal(namespace_of_this_process(), made);
	enter(true, &in);
	assert_true(in);
	assert_int_equal(namespace_of_this_process(), made);
	assert_string_equal(getcwd(cwd, sizeof cwd), "/");
}

static void without_a_name_it_is_not_entered_unless_made(void **state)
{
	autofd int kept = open("/proc/self/ns/mnt", O_RDONLY); /* else its number is free again */
	ino_t made = namespace_of_this_process();
	bool in = true;

	NEEDS_ROOT();
	assert_true(kept >= 0);
	leave();
	assert_int_equal(umount2(tree_path(&tree, "run/ns/mnt"), MNT_DETACH), 0);
	enter(false, &in);
	assert_false(in);
	enter(true, &in);
	assert_true(in);
	assert_int_not_equal(namespace_of_this_process(), made);
}

static void what_is_no_namespace_is_replaced(void **state)
{
	const char *name = tree_path(&tree, "run/ns/mnt");
	bool in = false;

	NEEDS_ROOT();
	leave();
	assert_int_equal(umount2(name, MNT_DETACH), 0);
	assert_int_equal(mount("/proc/self/ns/net", name, NULL, MS_BIND, NULL), 0);
	enter(true, &in);
	assert_true(in);
}

static void mounts_of_the_host_arrive_and_ours_do_not_leave(void **state)
{
	const char *theirs = tree_path(&tree, "theirs"), *ours = tree_path(&tree, "ours");
	autofd int inside = open("/proc/self/ns/mnt", O_RDONLY);
	bool in = false;

	NEEDS_ROOT();
	assert_int_equal(mkdir(theirs, 0755), 0);
	assert_int_equal(mkdir(ours, 0755), 0);
	/* A host whose mounts are shared, as systemd makes them, and a namespace made from it. */
	leave();
	assert_int_equal(umount2(tree_path(&tree, "run/ns"), MNT_DETACH), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL), 0);
	enter(true, &in);
	assert_int_equal(mount("x", ours, "tmpfs", 0, NULL), 0);
	tree_write(&tree, "ours/x", "");
	leave();
	assert_int_equal(access(tree_path(&tree, "ours/x"), F_OK), -1);
	assert_int_equal(mount("x", theirs, "tmpfs", 0, NULL), 0);
	tree_write(&tree, "theirs/x", "");
	enter(false, &in);
	assert_true(in);
	assert_int_equal(access(tree_path(&tree, "theirs/x"), F_OK), 0);
}

static void whoever_sees_only_a_copy_of_the_hosts_mounts_makes_no_second_one(void **state)
{
	struct err e = { 0 };
	bool in = true;

	NEEDS_ROOT();
	leave();
	assert_int_equal(namespace_make(&tree.host, &e), 0);
	leave();
	assert_int_equal(unshare(CLONE_NEWNS), 0); /* as for a unit with PrivateTmp= */
	assert_int_equal(namespace_enter(&tree.host, true, &in, &e), -EXDEV);
	assert_false(in);
	assert_non_null(strstr(e.text, "not to be seen from here"));
	assert_int_equal(namespace_require(&tree.host, &e), -EXDEV);
	leave();
	assert_int_equal(namespace_require(&tree.host, &e), 0);
}

static void when_its_name_is_dropped_there_is_none_to_join(void **state)
{
	struct err e = { 0 };

	NEEDS_ROOT();
	leave();
	assert_int_equal(namespace_make(&tree.host, &e), 0);
	leave();
	assert_int_equal(namespace_drop(&tree.host, &e), 0);
	assert_int_equal(namespace_drop(&tree.host, &e), 0);
	assert_int_equal(namespace_require(&tree.host, &e), -ENOENT);
	assert_int_equal(namespace_make(&tree.host, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		ROW(it_is_joined_again_by_its_name),
		ROW(without_a_name_it_is_not_entered_unless_made),
		ROW(what_is_no_namespace_is_replaced),
		ROW(mounts_of_the_host_arrive_and_ours_do_not_leave),
		ROW(whoever_sees_only_a_copy_of_the_hosts_mounts_makes_no_second_one),
		ROW(when_its_name_is_dropped_there_is_none_to_join),
#undef ROW
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
