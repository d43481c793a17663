/* Drop-ins: whatever happens to the directory or on the way to it is heard, noise is not. */
#include "watchers/dropins.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/err.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "watchers/inotify.h"

static char top[64], config_dir[100], told[8192];
static struct dropins dropins;

static void tell(const char *name, void *data)
{
	size_t len = strlen(told);

	(void)data;
	snprintf(told + len, sizeof told - len, "%s ", name ? name : "*");
}

static void pass_on(int wd, uint32_t mask, const char *name, void *data)
{
	(void)data;
	dropins_event(&dropins, wd, mask, name);
}

/* What was told since the last time. */
static const char *heard(void)
{
	static char said[8192];

	told[0] = '\0';
	while (inotify_drain(pass_on, NULL))
		;
	assert_int_equal(dropins_follow(&dropins, NULL), 0);
	memcpy(said, told, sizeof said);
	return said;
}

static bool heard_of(const char *name)
{
	return strstr(heard(), name) != NULL;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* Fresh place, inside it: srv/conf (a directory) and conf → srv/conf if linked. */
static int set_up(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "/tmp/dropins_test.XXXXXX");
	if (!mkdtemp(top) || chdir(top) < 0 || inotify_open(NULL) < 0)
		return -1;
	snprintf(config_dir, sizeof config_dir, "%s/conf", top);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	dropins_close(&dropins);
	inotify_close();

	autofd int tmp = path_open_dir("/tmp", NULL);

	return chdir("/") < 0 || path_remove_tree(tmp, strrchr(top, '/') + 1, NULL) < 0 ? -1 : 0;
}

static void watch(void)
{
	struct err e = { 0 };

	if (dropins_open(&dropins, config_dir, tell, NULL, &e) < 0)
		fail_msg("%s", e.text);
}

static void a_written_renamed_linked_or_deleted_file_is_named(void **state)
{
	(void)state;
	mkdir("conf", 0755);
	watch();
	put("conf/alice.conf", "x");
	assert_true(heard_of("alice "));
	put("new", "x");
	rename("new", "conf/bob.conf");
	assert_string_equal(heard(), "bob ");
	rename("conf/bob.conf", "conf/eve.conf");
	assert_string_equal(heard(), "bob eve ");
	assert_int_equal(link("conf/eve.conf", "conf/dave.conf"), 0);
	assert_true(heard_of("dave "));
	unlink("conf/alice.conf");
	assert_string_equal(heard(), "alice ");
	chmod("conf/eve.conf", 0666);
	assert_string_equal(heard(), "eve ");
}

static void what_editors_and_git_leave_is_not_heard(void **state)
{
	static const char *const noise[] = {
		".alice.conf.swp",     "4913",  "alice.conf~", ".alice.conf",
		"alice.conf.dpkg-new", ".conf", "README"
	};

	(void)state;
	mkdir("conf", 0755);
	watch();
	for (size_t i = 0; i < sizeof noise / sizeof *noise; i++) {
		char path[100];

		snprintf(path, sizeof path, "conf/%s", noise[i]);
		put(path, "x");
		unlink(path);
	}
	mkdir("conf/.git", 0755);
	put("conf/.git/alice.conf", "x");
	put("elsewhere.conf", "x");
	assert_string_equal(heard(), "");
}

static void a_directory_that_appears_later_is_followed(void **state)
{
	(void)state;
	snprintf(config_dir, sizeof config_dir, "%s/a/b/conf", top);
	watch();
	mkdir("a", 0755);
	assert_string_equal(heard(), "");
	mkdir("a/b", 0755);
	mkdir("a/b/conf", 0755);
	assert_string_equal(heard(), "* ");
	put("a/b/conf/alice.conf", "x");
	assert_true(heard_of("alice "));
}

static void a_replaced_directory_is_any_and_followed(void **state)
{
	(void)state;
	mkdir("conf", 0755);
	mkdir("next", 0755);
	watch();
	rename("conf", "old");
	assert_string_equal(heard(), "* ");
	rename("next", "conf");
	assert_string_equal(heard(), "* ");
	put("old/alice.conf", "x");
	assert_string_equal(heard(), "");
	put("conf/alice.conf", "x");
	assert_true(heard_of("alice "));
	assert_int_equal(renameat2(AT_FDCWD, "old", AT_FDCWD, "conf", 2 /* RENAME_EXCHANGE */), 0);
	assert_string_equal(heard(), "* ");
	put("conf/bob.conf", "x");
	assert_true(heard_of("bob "));
}

static void a_directory_deleted_and_made_again_is_any(void **state)
{
	(void)state;
	mkdir("conf", 0755);
	watch();
	rmdir("conf");
	mkdir("conf", 0755);
	assert_true(heard_of("*"));
	put("conf/alice.conf", "x");
	assert_true(heard_of("alice "));
}

static void a_swapped_link_is_any_and_followed(void **state)
{
	(void)state;
	mkdir("one", 0755);
	mkdir("two", 0755);
	assert_int_equal(symlink("one", "conf"), 0);
	watch();
	put("one/alice.conf", "x");
	assert_true(heard_of("alice "));
	assert_int_equal(symlink("two", "next"), 0);
	rename("next", "conf");
	assert_string_equal(heard(), "* ");
	put("one/alice.conf", "y");
	assert_string_equal(heard(), "");
	put("two/bob.conf", "x");
	assert_true(heard_of("bob "));
	/* what the link leads to is replaced, the link stays */
	rename("two", "gone");
	mkdir("two", 0755);
	assert_string_equal(heard(), "* ");
}

static void a_link_on_the_way_is_followed_too(void **state)
{
	(void)state;
	mkdir("rev1", 0755);
	mkdir("rev1/conf", 0755);
	mkdir("rev2", 0755);
	mkdir("rev2/conf", 0755);
	assert_int_equal(symlink("rev1", "current"), 0);
	snprintf(config_dir, sizeof config_dir, "%s/current/conf", top);
	watch();
	assert_int_equal(symlink("rev2", "next"), 0);
	rename("next", "current");
	assert_string_equal(heard(), "* ");
	put("rev2/conf/alice.conf", "x");
	assert_true(heard_of("alice "));
}

static void swap_link(const char *at, const char *target)
{
	(void)unlink("conf/..data_tmp");
	assert_int_equal(symlink(target, "conf/..data_tmp"), 0);
	assert_int_equal(rename("conf/..data_tmp", at), 0);
}

static void f15_a_config_map_is_heard_of(void **state)
{
	(void)state;
	mkdir("conf", 0755);
	mkdir("conf/..2026_1", 0755);
	mkdir("conf/..2026_2", 0755);
	mkdir("conf/..2026_3", 0755);
	put("conf/..2026_1/alice.conf", "1");
	put("conf/..2026_2/alice.conf", "2");
	put("conf/..2026_3/bob.conf", "3");
	assert_int_equal(symlink("..2026_1", "conf/..data"), 0);
	assert_int_equal(symlink("..data/alice.conf", "conf/alice.conf"), 0);
	watch();
	assert_string_equal(heard(), "");
	swap_link("conf/..data", "..2026_2");
	assert_true(heard_of("alice "));
	put("conf/..2026_2/alice.conf", "in place");
	assert_true(heard_of("alice "));
	assert_string_equal(heard(), "");
	put("conf/..2026_1/alice.conf", "nobody's");
	assert_string_equal(heard(), "");
	/* One goes, one comes. */
	assert_int_equal(symlink("..data/bob.conf", "conf/bob.conf"), 0);
	swap_link("conf/..data", "..2026_3");
	unlink("conf/alice.conf");
	assert_true(heard_of("bob "));
	put("conf/..2026_3/bob.conf", "4");
	assert_true(heard_of("bob "));
	put("conf/..2026_3/alice.conf", "4");
	assert_string_equal(heard(), "");
}

static void f15_links_to_elsewhere_are_heard_of_at_each_step(void **state)
{
	(void)state;
	mkdir("conf", 0755);
	mkdir("store1", 0755);
	mkdir("store2", 0755);
	put("store1/alice", "1");
	put("store2/alice", "2");
	assert_int_equal(symlink("store1", "static"), 0);
	assert_int_equal(symlink("../static/alice", "conf/alice.conf"), 0);
	watch();
	put("store1/alice", "1b");
	assert_true(heard_of("alice "));
	assert_int_equal(symlink("store2", "next"), 0);
	rename("next", "static");
	assert_true(heard_of("alice "));
	put("store2/new", "2b");
	assert_string_equal(heard(), "");
	rename("store2/new", "store2/alice");
	assert_true(heard_of("alice "));
	unlink("store2/alice");
	assert_true(heard_of("alice "));
	put("store2/alice", "3");
	assert_true(heard_of("alice "));
	/* A file of its own again. */
	put("new", "x");
	rename("new", "conf/alice.conf");
	assert_true(heard_of("alice "));
	put("store2/alice", "4");
	assert_string_equal(heard(), "");
}

static void a_circle_of_links_ends(void **state)
{
	(void)state;
	assert_int_equal(symlink("other", "conf"), 0);
	assert_int_equal(symlink("conf", "other"), 0);
	watch();
	unlink("conf");
	mkdir("conf", 0755);
	assert_string_equal(heard(), "* ");
}

static void the_rights_of_the_directory_are_any(void **state)
{
	(void)state;
	mkdir("conf", 0755);
	watch();
	chmod("conf", 0777);
	assert_true(heard_of("*"));
}

#define with_place(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_place(a_written_renamed_linked_or_deleted_file_is_named),
		with_place(what_editors_and_git_leave_is_not_heard),
		with_place(a_directory_that_appears_later_is_followed),
		with_place(a_replaced_directory_is_any_and_followed),
		with_place(a_directory_deleted_and_made_again_is_any),
		with_place(a_swapped_link_is_any_and_followed),
		with_place(a_link_on_the_way_is_followed_too),
		with_place(f15_a_config_map_is_heard_of),
		with_place(f15_links_to_elsewhere_are_heard_of_at_each_step),
		with_place(a_circle_of_links_ends),
		with_place(the_rights_of_the_directory_are_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
