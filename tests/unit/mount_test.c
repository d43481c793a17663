/* Mounts of jails in a named mount namespace of the test's own. */
#include "tests/unit/tree_fixture.h"

#include <sys/statvfs.h>

static struct tree tree;
static void *dirs, *mounts;
static struct finding last;

static int pass_of(const struct webspace *w)
{
	assert_true(tree_pass(&tree, &directory_type, dirs, w, &last) >= 0);
	return tree_pass(&tree, &mount_type, mounts, w, &last);
}

static const char *jail(const char *rest)
{
	return tree_path(&tree, arena_printf(&tree.arena, "home/www/w0/chroot/%s", rest));
}

static const struct webspace alice = { .name = "w0", .fingerprint = 7 };

static int set_up(void **state)
{
	struct err e = { 0 };

	(void)state;
	if (!tree_open(&tree, 3))
		return 0;
	if (directory_type.open(&tree.w, &dirs, &e) < 0 ||
	    mount_type.open(&tree.w, &mounts, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(pass_of(&alice), 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	directory_type.close(dirs);
	mount_type.close(mounts);
	dirs = mounts = NULL;
	tree_close(&tree);
	return 0;
}

#define NEEDS_ROOT() \
	(void)state; \
	if (!mounts) \
	skip()

static void assert_text(const char *path, const char *expected)
{
	autofree char *text = NULL;
	size_t len;
	autofd int root = path_open_dir("/", NULL);
	char real[PATH_MAX];

	assert_non_null(realpath(path, real));
	assert_int_equal(path_read(root, real + 1, 1000, &text, &len, NULL), 0);
	assert_string_equal(text, expected);
}

static void the_base_is_in_the_jail_read_only(void **state)
{
	struct statvfs fs;
	struct stat st;

	NEEDS_ROOT();
	assert_text(jail("etc/t/zone/Europe/Berlin"), "berlin");
	assert_int_equal(statvfs(jail(".base"), &fs), 0);
	assert_int_equal(fs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC),
			 ST_RDONLY | ST_NOSUID);
	assert_int_equal(open(jail("etc/t/new"), O_WRONLY | O_CREAT, 0600), -1);
	assert_int_equal(stat(jail("dev/null"), &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(open(jail("dev/null"), O_RDWR) >= 0, true);
	assert_int_equal(access(jail("etc/t/none"), F_OK), -1);
	assert_int_equal(access(jail("etc/shadow"), F_OK), -1);
	assert_int_equal(pass_of(&alice), 0);
}

static void the_host_sees_none_of_it(void **state)
{
	autofd int ours = open("/proc/self/ns/mnt", O_RDONLY);
	bool is_there;

	NEEDS_ROOT();
	assert_int_equal(setns(tree.outside, CLONE_NEWNS), 0);
	is_there = access(jail(".base/etc"), F_OK) == 0;
	assert_int_equal(setns(ours, CLONE_NEWNS), 0);
	assert_false(is_there);
	assert_int_equal(access(jail(".base/etc"), F_OK), 0);
}

static void a_changed_source_is_in_every_jail_at_once(void **state)
{
	autofd int old = -1;
	char text[4] = "";

	NEEDS_ROOT();
	old = open(jail("etc/t/zone/UTC"), O_RDONLY);
	tree_write(&tree, "/etc/t/zone/UTC", "UTC2");
	tree_write(&tree, "/etc/t/resolv.conf", "nameserver 192.0.2.2\n");
	tree_write(&tree, "/etc/t/none/now", "there");
	assert_int_equal(pass_of(&alice), 0);
	assert_text(jail("etc/t/zone/UTC"), "UTC2");
	assert_text(jail("etc/t/resolv.conf"), "nameserver 192.0.2.2\n");
	assert_text(jail("etc/t/none/now"), "there");
	assert_int_equal(read(old, text, 3), 3); /* who has it open goes on */
	assert_int_equal(remove("/etc/t/resolv.conf"), 0);
	assert_int_equal(pass_of(&alice), 0);
	assert_int_equal(access(jail("etc/t/resolv.conf"), F_OK), -1);
}

static void wrong_flags_are_set_right(void **state)
{
	NEEDS_ROOT();
	assert_int_equal(mount(NULL, jail(".base"), NULL, MS_REMOUNT | MS_BIND, NULL), 0);
	assert_int_equal(pass_of(&alice), 1);
	assert_int_equal(pass_of(&alice), 0);
}

static void another_thing_mounted_on_the_base_goes(void **state)
{
	NEEDS_ROOT();
	assert_int_equal(mount("x", jail(".base"), "tmpfs", 0, NULL), 0);
	assert_int_equal(pass_of(&alice), 1);
	assert_int_equal(pass_of(&alice), 0);
	assert_text(jail("etc/t/zone/UTC"), "utc");
}

static void a_base_that_was_unmounted_is_made_anew(void **state)
{
	NEEDS_ROOT();
	assert_int_equal(umount2(tree_path(&tree, "run/base"), MNT_DETACH), 0);
	assert_int_equal(pass_of(&alice), 1);
	assert_int_equal(pass_of(&alice), 0);
	assert_text(jail("etc/t/zone/UTC"), "utc");
}

static void binds_are_what_they_say(void **state)
{
	const struct bind binds[] = {
		{ .source = "/etc/t/resolv.conf", .target = "etc/resolv.conf" },
		{ .source = "/etc/t/zone", .target = "srv/zone" },
		{ .source = tree_path(&tree, "rw"),
		  .target = "rw",
		  .writable = true,
		  .exec = true },
	};
	struct webspace w = { .name = "w0", .fingerprint = 8, .binds = binds, .n_binds = 3 };
	struct statvfs fs;

	NEEDS_ROOT();
	assert_int_equal(mkdir(binds[2].source, 0777), 0);
	assert_int_equal(pass_of(&w), 3);
	assert_int_equal(pass_of(&w), 0);
	assert_text(jail("srv/zone/UTC"), "utc");
	assert_int_equal(statvfs(jail("srv/zone"), &fs), 0);
	assert_int_equal(fs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC),
			 ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC);
	assert_int_equal(statvfs(jail("rw"), &fs), 0);
	assert_int_equal(fs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC),
			 ST_NOSUID | ST_NODEV);

	/* Replaced by rename: a bind would show the old one. */
	tree_write(&tree, "/etc/t/resolv.conf", "new");
	assert_int_equal(pass_of(&w), 1);
	assert_text(jail("etc/resolv.conf"), "new");

	/* No longer wanted: unmounted, and the places are gone. */
	assert_int_equal(pass_of(&alice), 0);
	assert_int_equal(access(jail("srv"), F_OK), -1);
	assert_int_equal(access(jail("rw"), F_OK), -1);
	assert_int_equal(access(binds[2].source, F_OK), 0);
	assert_text(jail("etc/t/zone/UTC"), "utc");
}

static void a_missing_source_and_a_bad_target_are_said(void **state)
{
	const struct bind missing = { .source = "/etc/t/nowhere", .target = "x" };
	const struct bind bad = { .source = "/etc/t/zone", .target = "data/x" };
	struct webspace w = { .name = "w0", .fingerprint = 8, .binds = &missing, .n_binds = 1 };

	NEEDS_ROOT();
	assert_int_equal(pass_of(&w), -1);
	assert_string_equal(last.reason, "SourceMissing");
	assert_non_null(strstr(last.text, "source /etc/t/nowhere does not exist"));
	w.binds = &bad;
	assert_int_equal(pass_of(&w), -1);
	assert_string_equal(last.reason, "BadBind");
}

static void what_somebody_else_mounted_is_left_alone(void **state)
{
	const struct bind bind = { .source = "/etc/t/zone", .target = "theirs" };
	struct webspace w = { .name = "w0", .fingerprint = 8, .binds = &bind, .n_binds = 1 };

	NEEDS_ROOT();
	assert_int_equal(mkdir(jail("theirs"), 0755), 0);
	assert_int_equal(mount("x", jail("theirs"), "tmpfs", 0, NULL), 0);
	assert_int_equal(pass_of(&w), -1);
	assert_string_equal(last.reason, "ForeignMount");
}

static void removing_takes_off_and_keeps_data(void **state)
{
	const struct bind bind = { .source = "/etc/t/zone", .target = "etc/zone" };
	struct webspace w = { .name = "w0", .fingerprint = 8, .binds = &bind, .n_binds = 1 };
	struct table names = { 0 };

	NEEDS_ROOT();
	assert_int_equal(pass_of(&w), 1);
	assert_int_equal(mkdir(jail("data/kept"), 0755), 0);
	assert_int_equal(mount_type.list(&tree.w, mounts, &names, NULL), 0);
	assert_int_equal(names.count, 1);
	assert_non_null(table_get(&names, "w0"));
	for (int i = 0; i < 2; i++)
		assert_int_equal(mount_type.remove(&tree.w, mounts, "w0", NULL), 0);
	table_clear(&names);
	assert_int_equal(mount_type.list(&tree.w, mounts, &names, NULL), 0);
	assert_int_equal(names.count, 0);
	assert_int_equal(access(jail("data/kept"), F_OK), 0);
	assert_int_equal(access(jail(".base/etc"), F_OK), -1);
	assert_int_equal(mount_type.remove(&tree.w, mounts, "never-there", NULL), 0);
	table_clear(&names);
}

static void an_agent_that_starts_again_finds_all_as_it_was(void **state)
{
	bool in;

	NEEDS_ROOT();
	mount_type.close(mounts);
	assert_int_equal(setns(tree.outside, CLONE_NEWNS), 0);
	assert_int_equal(namespace_enter(&tree.host, false, &in, NULL), 0);
	assert_true(in);
	assert_int_equal(mount_type.open(&tree.w, &mounts, NULL), 0);
	assert_int_equal(pass_of(&alice), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		ROW(the_base_is_in_the_jail_read_only),
		ROW(the_host_sees_none_of_it),
		ROW(a_changed_source_is_in_every_jail_at_once),
		ROW(wrong_flags_are_set_right),
		ROW(another_thing_mounted_on_the_base_goes),
		ROW(a_base_that_was_unmounted_is_made_anew),
		ROW(binds_are_what_they_say),
		ROW(a_missing_source_and_a_bad_target_are_said),
		ROW(what_somebody_else_mounted_is_left_alone),
		ROW(removing_takes_off_and_keeps_data),
		ROW(an_agent_that_starts_again_finds_all_as_it_was),
#undef ROW
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
