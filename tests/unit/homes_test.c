/* Homes: what happens to a managed directory is heard, what a user does in his own is not. */
#include "watchers/homes.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "watchers/inotify.h"

static char top[64], told[4096];
static struct homes homes;
static uint64_t now_usec;

static void tell(const char *name, void *data)
{
	size_t len = strlen(told);

	(void)data;
	snprintf(told + len, sizeof told - len, "%s ", name ? name : "*");
}

static void pass_on(int wd, uint32_t mask, const char *name, void *data)
{
	(void)data;
	homes_event(&homes, wd, mask, name);
}

static const char *heard(void)
{
	told[0] = '\0';
	while (inotify_drain(pass_on, NULL))
		;
	homes_tell(&homes, now_usec, tell, NULL);
	return told;
}

static void make_home(const char *name)
{
	static const char *const dirs[] = {
		"", "/logs", "/chroot", "/chroot/data", "/chroot/tmp", "/chroot/tmp/misc"
	};
	char path[100];

	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		snprintf(path, sizeof path, "%s%s", name, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
}

static int set_up(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "/tmp/homes_test.XXXXXX");
	if (!mkdtemp(top) || chdir(top) < 0 || inotify_open(NULL) < 0)
		return -1;
	now_usec = 0;
	homes_open(&homes, top);
	make_home("alice");
	make_home("bob");
	return homes_watch(&homes, "alice", NULL) + homes_watch(&homes, "bob", NULL);
}

static int tear_down(void **state)
{
	(void)state;
	homes_close(&homes);
	inotify_close();

	autofd int tmp = path_open_dir("/tmp", NULL);

	return chdir("/") < 0 || path_remove_tree(tmp, strrchr(top, '/') + 1, NULL) < 0 ? -1 : 0;
}

static void a_changed_mode_of_any_managed_directory_is_heard(void **state)
{
	static const char *const dirs[] = { "alice",
					    "alice/logs",
					    "alice/chroot",
					    "alice/chroot/data",
					    "alice/chroot/tmp",
					    "alice/chroot/tmp/misc" };

	(void)state;
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		chmod(dirs[i], 0777);
		assert_string_equal(heard(), "alice ");
	}
}

static void each_name_is_told_once_a_wake_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		chmod("alice", i % 2 ? 0700 : 0755);
		chmod("alice/chroot/data", i % 2 ? 0700 : 0755);
	}
	assert_string_equal(heard(), "alice ");
	assert_string_equal(heard(), "");
}

static void what_a_user_does_in_his_own_directories_is_not_heard(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		char path[100];

		snprintf(path, sizeof path, "alice/chroot/data/%u", i);
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
		snprintf(path, sizeof path, "alice/chroot/tmp/misc/%u", i);
		mkdir(path, 0755);
		rmdir(path);
		unlink("alice/chroot/data/0");
	}
	assert_string_equal(heard(), "");
}

static void what_a_user_keeps_in_tmp_beside_what_is_ours_is_no_hint(void **state)
{
	(void)state;
	close(open("alice/chroot/tmp/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	assert_int_equal(rename("alice/chroot/tmp/x", "alice/chroot/tmp/y"), 0);
	unlink("alice/chroot/tmp/y");
	assert_string_equal(heard(), "");
	assert_int_equal(rename("alice/chroot/tmp/misc", "alice/chroot/tmp/y"), 0);
	assert_string_equal(heard(), "alice ");
}

static void a_home_made_anew_is_followed_by_itself(void **state)
{
	(void)state;
	path_remove_tree(AT_FDCWD, "alice", NULL);
	assert_string_equal(heard(), "alice ");
	make_home("alice");
	assert_string_equal(heard(), "alice ");
	heard();
	chmod("alice/chroot/tmp/misc", 0700);
	assert_string_equal(heard(), "alice ");
}

static void a_home_moved_away_is_not_taken_for_the_new_one(void **state)
{
	(void)state;
	rename("alice", "elsewhere");
	make_home("alice");
	assert_string_equal(heard(), "alice ");
	heard();
	chmod("elsewhere/chroot/data", 0700);
	assert_string_equal(heard(), "");
	chmod("alice/chroot/data", 0700);
	assert_string_equal(heard(), "alice ");
}

static void a_link_in_place_of_a_directory_is_not_followed(void **state)
{
	(void)state;
	rename("alice/chroot", "alice/old");
	assert_int_equal(symlink("../bob/chroot", "alice/chroot"), 0);
	assert_string_equal(heard(), "alice ");
	chmod("bob/chroot/data", 0700);
	assert_string_equal(heard(), "bob ");
}

static void a_forgotten_home_is_not_heard(void **state)
{
	(void)state;
	chmod("alice", 0700);
	homes_forget(&homes, "alice");
	homes_forget(&homes, "alice");
	chmod("alice/chroot/data", 0700);
	chmod("bob", 0700);
	assert_string_equal(heard(), "bob ");
	assert_int_equal(homes_watch(&homes, "alice", NULL), 0);
	chmod("alice/chroot/data", 0755);
	assert_string_equal(heard(), "alice ");
}

static void lost_events_are_anybody_and_everything_is_followed(void **state)
{
	(void)state;
	path_remove_tree(AT_FDCWD, "bob", NULL);
	make_home("bob");
	homes_lost(&homes);
	assert_true(strstr(heard(), "*") != NULL);
	heard();
	chmod("bob/chroot/data", 0700);
	assert_string_equal(heard(), "bob ");
}

static void a_home_without_directories_waits_for_them(void **state)
{
	(void)state;
	assert_int_equal(homes_watch(&homes, "carol", NULL), 0);
	make_home("carol");
	assert_string_equal(heard(), "carol ");
	heard();
	chmod("carol/chroot/tmp/misc", 0700);
	assert_string_equal(heard(), "carol ");
}

static void touch(const char *path)
{
	assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
}

/* What alice can do to her own directories, as fast as she can: how often is she told about in that time? */
static unsigned storm(unsigned rounds, uint64_t step_usec)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rounds; i++, now_usec += step_usec) {
		touch("alice/chroot/data");
		touch("alice/chroot/tmp/misc");
		if (now_usec >= homes.due_usec)
			homes_due(&homes, now_usec);
		n += strcmp(heard(), "alice ") == 0;
	}
	return n;
}

static void whoever_makes_events_without_end_is_heard_now_and_then(void **state)
{
	unsigned n;

	(void)state;
	assert_int_equal(storm(50, 0), 50); /* many at once are everyday life */
	n = storm(20000, 1000);             /* 20 s of it */
	assert_in_range(n, 50, 300);
}

static void a_muted_home_is_heard_again_and_others_all_the_time(void **state)
{
	(void)state;
	storm(200, 0);
	chmod("alice/chroot/data", 0700);
	chmod("bob/chroot/data", 0700);
	assert_string_equal(heard(), "bob ");
	assert_true(homes.due_usec != UINT64_MAX);
	now_usec = homes.due_usec;
	homes_due(&homes, now_usec);
	assert_string_equal(heard(), "alice ");
	chmod("alice/chroot/data", 0755);
	assert_string_equal(heard(), "alice ");
}

static void a_muted_home_can_be_forgotten(void **state)
{
	(void)state;
	storm(200, 0);
	homes_forget(&homes, "alice");
	now_usec = homes.due_usec;
	homes_due(&homes, now_usec);
	assert_string_equal(heard(), "");
	assert_int_equal(homes_watch(&homes, "alice", NULL), 0);
	chmod("alice/chroot/data", 0700);
	assert_string_equal(heard(), "alice ");
}

static void lost_events_are_not_everybody_each_time(void **state)
{
	(void)state;
	homes_lost(&homes);
	assert_string_equal(heard(), "* ");
	homes_lost(&homes);
	assert_string_equal(heard(), "");
	now_usec = homes.due_usec;
	homes_due(&homes, now_usec);
	assert_string_equal(heard(), "* ");
}

static void homes_come_and_go_by_the_hundred(void **state)
{
	char name[16];

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 300; i++) {
			snprintf(name, sizeof name, "h%u", i);
			if (round == 0)
				make_home(name);
			assert_int_equal(homes_watch(&homes, name, NULL), 0);
		}
		for (unsigned i = 0; i < 300; i += 2) {
			snprintf(name, sizeof name, "h%u", i);
			homes_forget(&homes, name);
		}
		heard();
		chmod("h7/chroot", round % 2 ? 0700 : 0711);
		chmod("h8/chroot", round % 2 ? 0700 : 0711);
		assert_string_equal(heard(), "h7 ");
	}
}

#define with_place(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_place(a_changed_mode_of_any_managed_directory_is_heard),
		with_place(each_name_is_told_once_a_wake_up),
		with_place(what_a_user_does_in_his_own_directories_is_not_heard),
		with_place(what_a_user_keeps_in_tmp_beside_what_is_ours_is_no_hint),
		with_place(a_home_made_anew_is_followed_by_itself),
		with_place(a_home_moved_away_is_not_taken_for_the_new_one),
		with_place(a_link_in_place_of_a_directory_is_not_followed),
		with_place(a_forgotten_home_is_not_heard),
		with_place(lost_events_are_anybody_and_everything_is_followed),
		with_place(a_home_without_directories_waits_for_them),
		with_place(whoever_makes_events_without_end_is_heard_now_and_then),
		with_place(a_muted_home_is_heard_again_and_others_all_the_time),
		with_place(a_muted_home_can_be_forgotten),
		with_place(lost_events_are_not_everybody_each_time),
		with_place(homes_come_and_go_by_the_hundred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
