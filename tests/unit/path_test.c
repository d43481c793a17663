/* In a directory of its own below /tmp. What needs mounts runs in a child with a namespace of its own. */
#include "agent/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "tests/unit/scratch.h"

static int make_places(void **state)
{
	if (make_root(state) != 0)
		return -1;
	mkdirat(dir, "a", 0755);
	mkdirat(dir, "a/b", 0755);
	close(openat(dir, "a/file", O_CREAT | O_WRONLY, 0644));
	assert_int_equal(symlinkat("a", dir, "link"), 0);
	assert_int_equal(symlinkat("/etc", dir, "a/out"), 0);
	assert_int_equal(symlinkat("file", dir, "a/beside"), 0);
	assert_int_equal(symlinkat("loop", dir, "loop"), 0);
	mkfifoat(dir, "fifo", 0644);
	return 0;
}

static void opened_beneath_are_plain_paths_only(void **state)
{
	static const struct {
		const char *path;
		int flags, result;
	} cases[] = {
		{ "a", O_PATH, 0 },
		{ "a/b", O_RDONLY | O_DIRECTORY, 0 },
		{ "a/b/../file", O_RDONLY, 0 },
		{ "a/file", O_RDONLY | O_NOFOLLOW, 0 },
		{ ".", O_PATH, 0 },
		{ "missing", O_PATH, -ENOENT },
		{ "a/missing/x", O_PATH, -ENOENT },
		{ "", O_PATH, -ENOENT },
		{ "a/file/x", O_PATH, -ENOTDIR },
		{ "a/file", O_RDONLY | O_DIRECTORY, -ENOTDIR },
		{ "..", O_PATH, -EXDEV },
		{ "a/../..", O_PATH, -EXDEV },
		{ "/etc", O_PATH, -EXDEV },
		{ "link", O_PATH, -ELOOP },
		{ "link", O_PATH | O_NOFOLLOW, -ELOOP },
		{ "link", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, -ELOOP },
		{ "link/b", O_PATH, -ELOOP },
		{ "a/out", O_PATH | O_NOFOLLOW, -ELOOP },
		{ "a/out/passwd", O_RDONLY, -ELOOP },
		{ "a/beside", O_RDONLY, -ELOOP },
		{ "loop", O_PATH, -ELOOP },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct err e = { 0 };
		autofd int fd = path_open(dir, cases[i].path, cases[i].flags, &e);

		if (fd < 0)
			assert_non_null(strstr(e.text, cases[i].path));
		if ((fd >= 0 ? 0 : fd) != cases[i].result)
			fail_msg("%s: %d, not %d", cases[i].path, fd, cases[i].result);
		if (fd >= 0)
			assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	}
}

static void an_error_names_the_path_and_the_reason(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(path_open(dir, "link/b", O_PATH, &e), -ELOOP);
	assert_string_equal(e.text, "open link/b: Too many levels of symbolic links");
	assert_int_equal(e.code, ELOOP);
}

static atomic_bool stop_racing;

/* Puts a link to /etc in the place of a directory, and back, as fast as it can. */
static void *race(void *data)
{
	(void)data;
	while (!stop_racing)
		renameat2(dir, "race", dir, "lure", RENAME_EXCHANGE);
	return NULL;
}

static void a_renaming_attacker_never_leads_out(void **state)
{
	uint64_t until = clock_usec() + USEC_PER_SEC;
	unsigned long opened = 0, refused = 0;
	pthread_t thread;
	struct stat st;

	(void)state;
	mkdirat(dir, "race", 0755);
	close(openat(dir, "race/passwd", O_CREAT | O_WRONLY, 0644));
	assert_int_equal(symlinkat("/etc", dir, "lure"), 0);
	stop_racing = false;
	assert_int_equal(pthread_create(&thread, NULL, race, NULL), 0);
	while (clock_usec() < until) {
		autofd int fd = path_open(dir, "race/passwd", O_PATH, NULL);

		if (fd >= 0) {
			assert_int_equal(fstat(fd, &st), 0);
			assert_int_equal(st.st_size, 0); /* ours, not /etc/passwd */
			opened++;
		} else {
			assert_true(fd == -ELOOP || fd == -EAGAIN);
			refused++;
		}
	}
	stop_racing = true;
	pthread_join(thread, NULL);
	assert_true(opened > 1000 && refused > 0);
}

static void a_made_directory_has_the_mode_and_its_parents_0755_whatever_the_umask(void **state)
{
	char path[128], relative[128];
	mode_t old = umask(077);
	struct err e = { 0 };
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/link/new//deep/er/", root);
	assert_int_equal(path_make_dirs(path, 02755, NULL), 1);
	assert_int_equal(path_make_dirs(path, 0700, NULL), 0);
	assert_int_equal(umask(old), 077);
	assert_int_equal(fstatat(dir, "a/new/deep/er", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 02755);
	assert_int_equal(fstatat(dir, "a/new", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);

	snprintf(relative, sizeof(relative), "%s/a/file/x", root);
	assert_int_equal(path_make_dirs(relative, 0755, &e), -ENOTDIR);
	assert_non_null(strstr(e.text, "Not a directory"));
}

static void a_host_directory_may_be_reached_by_a_link(void **state)
{
	char path[128];
	struct err e = { 0 };

	(void)state;
	snprintf(path, sizeof(path), "%s/link/b", root);
	autofd int fd = path_open_dir(path, NULL);
	assert_true(fd >= 0);
	assert_int_equal(path_open_dir("/etc/passwd", &e), -ENOTDIR);
}

static void read_are_regular_files_up_to_a_size(void **state)
{
	static const struct {
		const char *path;
		size_t max;
		int result;
	} cases[] = {
		{ "text", 6, 0 },          { "text", 5, -EFBIG },     { "text", 0, -EFBIG },
		{ "a/file", 0, 0 },        { "a", 9, -EISDIR },       { "fifo", 9, -EINVAL },
		{ "a/beside", 9, -ELOOP }, { "missing", 9, -ENOENT },
	};
	autofd int fd = openat(dir, "text", O_CREAT | O_WRONLY, 0644);

	(void)state;
	assert_int_equal(write(fd, "a\0b\ncd", 6), 6);
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autofree char *text = NULL;
		struct err e = { 0 };
		size_t len = 99;
		int r = path_read(dir, cases[i].path, cases[i].max, &text, &len, &e);

		if (r != cases[i].result)
			fail_msg("%s: %d, not %d", cases[i].path, r, cases[i].result);
		assert_true(r == 0 ? text[len] == '\0' : !text && len == 99 && e.text[0]);
		if (len == 6)
			assert_memory_equal(text, "a\0b\ncd", 7);
	}
}

static void read_is_a_file_whose_size_is_not_known_before(void **state)
{
	autofd int proc = open("/proc/self", O_RDONLY | O_DIRECTORY);
	autofree char *text = NULL;
	size_t len;

	(void)state;
	assert_int_equal(path_read(proc, "status", 65536, &text, &len, NULL), 0);
	assert_int_equal(strlen(text), len);
	assert_true(len > 100);
	assert_int_equal(path_read(proc, "status", 100, &text, &len, NULL), -EFBIG);
}

/* How many entries there are, without "." and ".."; -errno. */
static int count(const char *path)
{
	struct err e = { 0 };
	autodir DIR *d = path_list(dir, path, &e);
	int n = 0;

	if (!d)
		return -e.code;
	while (readdir(d))
		n++;
	return n - 2;
}

static void listed_is_a_directory_beneath_from_its_beginning(void **state)
{
	int n = count("a");

	(void)state;
	assert_true(n >= 4);
	assert_int_equal(count("a"), n);
	assert_int_equal(count("a/b"), 0);
	assert_true(count(".") > 0);
	assert_int_equal(count("missing"), -ENOENT);
	assert_int_equal(count("a/file"), -ENOTDIR);
	assert_int_equal(count("link"), -ELOOP);
	assert_int_equal(count(".."), -EXDEV);
	assert_null(path_list(-1, ".", NULL));
}

static void a_link_is_read_where_all_of_it_fits(void **state)
{
	char text[5];

	(void)state;
	assert_true(path_read_link(dir, "a/out", text, sizeof(text)));
	assert_string_equal(text, "/etc");
	assert_false(path_read_link(dir, "a/out", text, 4));
	assert_false(path_read_link(dir, "a/file", text, sizeof(text)));
	assert_false(path_read_link(dir, "missing", text, sizeof(text)));
	assert_false(path_read_link(-1, "a/out", text, sizeof(text)));
}

static void removed_is_a_tree_with_all_below_it(void **state)
{
	struct stat st;

	(void)state;
	mkdirat(dir, "tree", 0755);
	mkdirat(dir, "tree/x", 0);
	mkdirat(dir, "tree/x/y", 0755);
	mkdirat(dir, "tree/.removed.0", 0755);
	assert_int_equal(symlinkat("/etc", dir, "tree/x/etc"), 0);
	assert_int_equal(linkat(dir, "a/file", dir, "tree/x/y/file", 0), 0);
	assert_int_equal(path_remove_tree(dir, "tree", NULL), 1);
	assert_int_equal(path_remove_tree(dir, "tree", NULL), 0);
	assert_int_equal(fstatat(dir, "tree", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
	assert_int_equal(faccessat(dir, "a/file", F_OK, 0), 0);
}

static void removed_is_a_link_and_not_what_it_names(void **state)
{
	(void)state;
	assert_int_equal(symlinkat("a", dir, "other"), 0);
	assert_int_equal(path_remove_tree(dir, "other", NULL), 1);
	assert_int_equal(faccessat(dir, "a/b", F_OK, 0), 0);
}

static void removed_is_one_name_and_not_a_path(void **state)
{
	(void)state;
	assert_int_equal(path_remove_tree(dir, "a/b", NULL), -EINVAL);
	assert_int_equal(path_remove_tree(dir, "..", NULL), -EINVAL);
	assert_int_equal(path_remove_tree(dir, ".", NULL), -EINVAL);
	assert_int_equal(path_remove_tree(dir, "", NULL), -EINVAL);
}

static void a_tree_deeper_than_descriptors_or_paths_is_removed(void **state)
{
	int at, next;

	(void)state;
	mkdirat(dir, "deep", 0755);
	at = openat(dir, "deep", O_PATH);
	for (int i = 0; i < 3000; i++) {
		mkdirat(at, "d", 0755);
		next = openat(at, "d", O_PATH);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(path_remove_tree(dir, "deep", NULL), 1);
	assert_int_equal(faccessat(dir, "deep", F_OK, 0), -1);
}

/* Returns 0 if all is as it should be, or the number of the step that is not. */
static int with_a_mount(void)
{
	struct err e = { 0 };
	int here, fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 0;                          /* not allowed here: nothing to see */
	here = open(root, O_RDONLY | O_DIRECTORY); /* dir is of the namespace that we left */
	if (fchdir(here) < 0 || mkdir("m", 0755) < 0 || mkdir("m/x", 0755) < 0)
		return 1;
	if (mount("none", "m/x", "tmpfs", 0, NULL) < 0 || mkdir("m/x/kept", 0755) < 0)
		return 2;
	fd = path_open(here, "m/x/kept", O_PATH, NULL);
	if (fd < 0)
		return 3;
	if (path_open_same_mount(here, "m/x/kept", O_PATH, NULL) != -EXDEV)
		return 4;
	if (path_remove_tree(here, "m", &e) >= 0 || !e.text[0])
		return 5;
	if (path_remove_tree(here, "m", NULL) >= 0 || faccessat(fd, ".", F_OK, 0) < 0)
		return 6;
	if (access("m/x/kept", F_OK) < 0)
		return 7;
	return 0;
}

/* In place of the C library's: as on a disk on which a directory cannot take another name. */
static bool is_full;

int renameat2(int from, const char *old_name, int to, const char *new_name, unsigned int flags)
{
	if (!is_full)
		return (int)syscall(SYS_renameat2, from, old_name, to, new_name, flags);
	errno = ENOSPC;
	return -1;
}

static void a_tree_is_removed_where_nothing_can_be_written(void **state)
{
	char path[64];

	(void)state;
	mkdirat(dir, "wide", 0755);
	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof(path), "wide/%d", i);
		mkdirat(dir, path, 0755);
		for (int depth = 0; depth < 4; depth++) {
			snprintf(path + strlen(path), sizeof(path) - strlen(path), "/x");
			mkdirat(dir, path, 0755);
		}
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "/file");
		close(openat(dir, path, O_CREAT | O_WRONLY, 0644));
	}
	is_full = true;
	assert_int_equal(path_remove_tree(dir, "wide", NULL), 1);
	is_full = false;
	assert_int_equal(faccessat(dir, "wide", F_OK, 0), -1);
}

static void a_mount_is_entered_only_where_that_is_allowed(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(with_a_mount());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void the_kernel_here_is_new_enough(void **state)
{
	struct err e = { 0 };

	(void)state;
	if (path_require_kernel(&e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(path_of_fd(12).text, "/proc/self/fd/12");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opened_beneath_are_plain_paths_only),
		cmocka_unit_test(an_error_names_the_path_and_the_reason),
		cmocka_unit_test(a_renaming_attacker_never_leads_out),
		cmocka_unit_test(
			a_made_directory_has_the_mode_and_its_parents_0755_whatever_the_umask),
		cmocka_unit_test(a_host_directory_may_be_reached_by_a_link),
		cmocka_unit_test(read_are_regular_files_up_to_a_size),
		cmocka_unit_test(read_is_a_file_whose_size_is_not_known_before),
		cmocka_unit_test(listed_is_a_directory_beneath_from_its_beginning),
		cmocka_unit_test(a_link_is_read_where_all_of_it_fits),
		cmocka_unit_test(removed_is_a_tree_with_all_below_it),
		cmocka_unit_test(removed_is_a_link_and_not_what_it_names),
		cmocka_unit_test(removed_is_one_name_and_not_a_path),
		cmocka_unit_test(a_tree_deeper_than_descriptors_or_paths_is_removed),
		cmocka_unit_test(a_tree_is_removed_where_nothing_can_be_written),
		cmocka_unit_test(a_mount_is_entered_only_where_that_is_allowed),
		cmocka_unit_test(the_kernel_here_is_new_enough),
	};

	return cmocka_run_group_tests(tests, make_places, remove_root);
}
