/* inotify through the library: what it gets wrong by itself must not be seen here. */
#include "watchers/inotify.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ENTRIES (IN_CREATE | IN_DELETE | IN_ATTRIB)

static char dir[64];
static unsigned n_events;
static int last_wd;

static void count(int wd, uint32_t mask, const char *name, void *data)
{
	(void)mask;
	(void)name;
	(void)data;
	n_events++;
	last_wd = wd;
}

static unsigned drained(void)
{
	n_events = 0;
	while (inotify_drain(count, NULL))
		;
	return n_events;
}

static const char *in_dir(const char *name)
{
	static char path[2][200];
	static unsigned turn;

	turn ^= 1;
	snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
	return path[turn];
}

static void make(const char *name)
{
	assert_int_equal(mkdir(in_dir(name), 0755), 0);
}

static int open_all(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/inotify_test.XXXXXX");
	return mkdtemp(dir) && inotify_open(NULL) >= 0 ? 0 : -1;
}

static int close_all(void **state)
{
	(void)state;
	inotify_close();
	rmdir(in_dir("a"));
	rmdir(in_dir("b"));
	unlink(in_dir("link"));
	return rmdir(dir);
}

static void the_descriptor_is_ours_and_does_not_block(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(inotify_open(&e), -EBUSY);
	assert_int_equal(drained(), 0);
}

static void an_event_names_its_watch(void **state)
{
	(void)state;
	make("a");

	int wd = inotify_watch(in_dir("a"), ENTRIES, -1, NULL);

	assert_true(wd > 0);
	assert_int_equal(chmod(in_dir("a"), 0700), 0);
	assert_int_equal(drained(), 1);
	assert_int_equal(last_wd, wd);
	inotify_forget(wd);
	rmdir(in_dir("a"));
	drained();
}

static void a_directory_is_never_watched_twice(void **state)
{
	(void)state;
	int first = inotify_watch(dir, IN_CREATE, -1, NULL);
	int second = inotify_watch(dir, IN_DELETE, -1, NULL);

	assert_true(first > 0);
	assert_int_equal(first, second);
	make("a");
	rmdir(in_dir("a"));
	assert_int_equal(drained(), 2);
	inotify_forget(first);
	drained();
}

static void a_shared_watch_lives_as_long_as_its_last_user(void **state)
{
	(void)state;
	int wd = inotify_share(dir, IN_CREATE, NULL);

	assert_int_equal(inotify_share(dir, IN_DELETE, NULL), wd);
	inotify_unshare(wd);
	make("a");
	assert_int_equal(drained(), 1);
	inotify_unshare(wd);
	rmdir(in_dir("a"));
	drained();
	make("a");
	assert_int_equal(drained(), 0);
	rmdir(in_dir("a"));
}

static void a_link_and_a_file_are_refused(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(symlink("/", in_dir("link")), 0);
	assert_int_equal(inotify_watch(in_dir("link"), ENTRIES, -1, &e), -ENOTDIR);
	assert_int_equal(inotify_watch(in_dir("none"), ENTRIES, -1, &e), -ENOENT);
	unlink(in_dir("link"));
}

static void another_directory_in_its_place_is_watched_instead(void **state)
{
	(void)state;
	make("a");

	int old = inotify_watch(in_dir("a"), ENTRIES, -1, NULL);

	assert_int_equal(inotify_watch(in_dir("a"), ENTRIES, old, NULL), old);
	assert_int_equal(rename(in_dir("a"), in_dir("b")), 0);
	make("a");

	int fresh = inotify_watch(in_dir("a"), ENTRIES, old, NULL);

	assert_true(fresh > 0 && fresh != old);
	drained();
	chmod(in_dir("b"), 0700);
	assert_int_equal(drained(), 0);
	chmod(in_dir("a"), 0700);
	assert_int_equal(drained(), 1);
	assert_int_equal(last_wd, fresh);
	inotify_forget(fresh);
	rmdir(in_dir("a"));
	rmdir(in_dir("b"));
	drained();
}

static void ten_thousand_directories_come_and_go_and_the_heap_stays_flat(void **state)
{
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		make("a");

		int wd = inotify_watch(in_dir("a"), ENTRIES, -1, NULL);

		assert_true(wd > 0);
		if (i % 2) /* half are ended by us, half by the kernel */
			inotify_forget(wd);
		rmdir(in_dir("a"));
		drained();
		if (i == 100)
			used = mallinfo2().uordblks;
	}
	assert_true(mallinfo2().uordblks <= used + 1024);
}

static void the_inotify_of_others_is_left_alone(void **state)
{
	int theirs = inotify_init1(IN_CLOEXEC), plain = inotify_init();

	(void)state;
	assert_true(theirs >= 0 && plain >= 0);
	assert_int_equal(fcntl(plain, F_GETFL) & O_NONBLOCK, 0);
	int wd = inotify_add_watch(theirs, dir, IN_CREATE);

	assert_true(wd > 0);
	assert_int_equal(inotify_add_watch(theirs, dir, IN_CREATE), wd);
	assert_int_equal(inotify_rm_watch(theirs, wd), 0);
	assert_int_equal(inotify_rm_watch(theirs, wd), -1);
	assert_int_equal(errno, EINVAL);
	close(theirs);
	close(plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_descriptor_is_ours_and_does_not_block),
		cmocka_unit_test(an_event_names_its_watch),
		cmocka_unit_test(a_directory_is_never_watched_twice),
		cmocka_unit_test(a_shared_watch_lives_as_long_as_its_last_user),
		cmocka_unit_test(a_link_and_a_file_are_refused),
		cmocka_unit_test(another_directory_in_its_place_is_watched_instead),
		cmocka_unit_test(ten_thousand_directories_come_and_go_and_the_heap_stays_flat),
		cmocka_unit_test(the_inotify_of_others_is_left_alone),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
