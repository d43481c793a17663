/* In a directory of its own below /tmp. */
#include "agent/base/put.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "tests/unit/scratch.h"

static int put(const char *name, mode_t mode, const char *text)
{
	return put_file(dir, name, mode, text, strlen(text), PUT_BATCH, NULL);
}

static struct stat look(const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void holds(const char *name, mode_t mode, const char *text)
{
	autofree char *is = NULL;
	size_t len;

	assert_int_equal(path_read(dir, name, 1000, &is, &len, NULL), 0);
	assert_string_equal(is, text);
	assert_int_equal(look(name).st_mode, S_IFREG | mode);
}

static void nothing_temporary_is_left(void)
{
	autodir DIR *entries = opendir(root);
	struct dirent *it;

	while ((it = readdir(entries)))
		if (it->d_name[0] == '.' && strlen(it->d_name) > 2)
			fail_msg("%s is left", it->d_name);
}

static void a_file_is_made_changed_and_then_left_alone(void **state)
{
	struct stat before, after;

	(void)state;
	assert_int_equal(put("f", 0644, "one"), 1);
	holds("f", 0644, "one");
	assert_int_equal(put("f", 0644, "two"), 1);
	holds("f", 0644, "two");
	assert_int_equal(put("f", 0644, "twos"), 1);
	assert_int_equal(put("f", 0644, ""), 1);
	holds("f", 0644, "");
	before = look("f");
	assert_int_equal(put("f", 0644, ""), 0);
	after = look("f");
	assert_int_equal(after.st_ino, before.st_ino);
	assert_memory_equal(&after.st_ctim, &before.st_ctim, sizeof(before.st_ctim));
	nothing_temporary_is_left();
}

static void the_mode_is_exact_whatever_the_umask(void **state)
{
	mode_t old = umask(077);

	(void)state;
	assert_int_equal(put("m", 0664, "x"), 1);
	assert_int_equal(put("m", 0664, "x"), 0);
	holds("m", 0664, "x");
	assert_int_equal(put("m", 0600, "x"), 1);
	holds("m", 0600, "x");
	umask(old);
}

static void what_is_not_our_plain_file_is_replaced(void **state)
{
	(void)state;
	assert_int_equal(put("target", 0644, "x"), 1);
	assert_int_equal(symlinkat("target", dir, "l"), 0);
	assert_int_equal(put("l", 0644, "x"), 1);
	holds("l", 0644, "x");

	assert_int_equal(linkat(dir, "target", dir, "second", 0), 0);
	assert_int_equal(put("second", 0644, "x"), 1);
	assert_int_equal(look("target").st_nlink, 1);

	mkfifoat(dir, "fifo", 0644);
	assert_int_equal(put("fifo", 0644, "x"), 1);
	holds("fifo", 0644, "x");

	if (geteuid() == 0) {
		assert_int_equal(fchownat(dir, "target", 12345, 0, 0), 0);
		assert_int_equal(put("target", 0644, "x"), 1);
		assert_int_equal(look("target").st_uid, 0);
	}
	nothing_temporary_is_left();
}

static void a_large_file_is_compared_to_its_end(void **state)
{
	static char text[100000];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(put_file(dir, "big", 0644, text, sizeof(text), PUT_SYNC, NULL), 1);
	assert_int_equal(put_file(dir, "big", 0644, text, sizeof(text), PUT_SYNC, NULL), 0);
	text[sizeof(text) - 1] = 'y';
	assert_int_equal(put_file(dir, "big", 0644, text, sizeof(text), PUT_SYNC, NULL), 1);
}

static void a_directory_is_made_once_and_what_is_in_it_can_be_synced(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(put_dir(dir, "made", 0700, &e), 0);
	assert_int_equal(put_dir(dir, "made", 0700, &e), 0);
	assert_int_equal(put_dir(dir, "none/made", 0700, &e), -ENOENT);
	assert_string_equal(e.text, "mkdir none/made: No such file or directory");

	autofd int made = path_open(dir, "made", O_RDONLY | O_DIRECTORY, NULL);

	assert_int_equal(put_file(made, "file", 0600, "text", 4, PUT_BATCH, NULL), 1);
	assert_int_equal(put_link(made, "link", "nowhere", NULL), 1);
	assert_int_equal(put_sync_files(made, &e), 0);
}

static void a_failure_says_what_and_leaves_nothing(void **state)
{
	struct rlimit old, small = { .rlim_cur = 10, .rlim_max = RLIM_INFINITY };
	struct err e = { 0 };

	(void)state;
	mkdirat(dir, "d", 0755);
	assert_int_equal(put_file(dir, "d", 0644, "x", 1, PUT_BATCH, &e), -EISDIR);
	assert_string_equal(e.text, "write d: rename: Is a directory");
	assert_int_equal(put_file(-1, "f", 0644, "x", 1, PUT_BATCH, &e), -EBADF);
	assert_int_equal(put_file(dir, "d/f", 0644, "x", 1, PUT_BATCH, &e), -EINVAL);
	assert_int_equal(put_file(dir, "..", 0644, "x", 1, PUT_BATCH, &e), -EINVAL);
	assert_int_equal(put_link(dir, "d", "x", &e), -EISDIR);
	assert_string_equal(e.text, "link d to x: rename: Is a directory");

	put("full", 0644, "before");
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(put("full", 0644, "more than it may hold"), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	holds("full", 0644, "before");
	nothing_temporary_is_left();
}

static void a_name_as_long_as_names_may_be_is_put(void **state)
{
	char name[256];

	(void)state;
	memset(name, 'n', 255);
	name[255] = '\0';
	assert_int_equal(put(name, 0644, "x"), 1);
	assert_int_equal(put(name, 0644, "x"), 0);
}

static void a_link_is_made_changed_and_then_left_alone(void **state)
{
	struct stat before;
	char is[16] = "";

	(void)state;
	assert_int_equal(put_link(dir, "current", "1", NULL), 1);
	assert_int_equal(put_link(dir, "current", "12", NULL), 1);
	before = look("current");
	assert_int_equal(put_link(dir, "current", "12", NULL), 0);
	assert_int_equal(before.st_ino, look("current").st_ino);
	assert_int_equal(readlinkat(dir, "current", is, sizeof(is)), 2);
	assert_string_equal(is, "12");
	assert_int_equal(put_link(dir, "current", "1", NULL), 1);
	put("current2", 0644, "x");
	assert_int_equal(put_link(dir, "current2", "1", NULL), 1);
	assert_int_equal(put_link(dir, "x", "", NULL), -ENOENT);
	nothing_temporary_is_left();
}

static atomic_bool stop_reading;
static atomic_ulong torn;

static void *read_again_and_again(void *data)
{
	(void)data;
	while (!stop_reading) {
		autofree char *text = NULL;
		size_t len;

		if (path_read(dir, "busy", 100000, &text, &len, NULL) < 0 || len != 50000 ||
		    text[0] != text[49999])
			torn++;
	}
	return NULL;
}

static void a_reader_sees_the_old_file_or_the_new_one(void **state)
{
	static char text[50000];
	uint64_t until = clock_usec() + USEC_PER_SEC / 2;
	pthread_t thread;

	(void)state;
	memset(text, 'a', sizeof(text));
	put_file(dir, "busy", 0644, text, sizeof(text), PUT_BATCH, NULL);
	assert_int_equal(pthread_create(&thread, NULL, read_again_and_again, NULL), 0);
	for (int i = 0; clock_usec() < until; i++) {
		memset(text, 'a' + i % 26, sizeof(text));
		put_file(dir, "busy", 0644, text, sizeof(text), PUT_BATCH, NULL);
	}
	stop_reading = true;
	pthread_join(thread, NULL);
	assert_int_equal(torn, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_made_changed_and_then_left_alone),
		cmocka_unit_test(the_mode_is_exact_whatever_the_umask),
		cmocka_unit_test(what_is_not_our_plain_file_is_replaced),
		cmocka_unit_test(a_large_file_is_compared_to_its_end),
		cmocka_unit_test(a_directory_is_made_once_and_what_is_in_it_can_be_synced),
		cmocka_unit_test(a_failure_says_what_and_leaves_nothing),
		cmocka_unit_test(a_name_as_long_as_names_may_be_is_put),
		cmocka_unit_test(a_link_is_made_changed_and_then_left_alone),
		cmocka_unit_test(a_reader_sees_the_old_file_or_the_new_one),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
