/* In a directory of its own on a file system with ACLs; only root may set all of it. */
#include "agent/base/acl.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "tests/unit/scratch.h"

#define WEB 33
#define USER(u)               \
	{                     \
		false, (u), 5 \
	}

static bool is_root_here(void)
{
	if (geteuid() == 0)
		return true;
	skip();
	return false;
}

static int new_dir(const char *name)
{
	mkdirat(dir, name, 0755);
	return openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int new_file(const char *name)
{
	close(openat(dir, name, O_CREAT | O_WRONLY, 0644));
	return openat(dir, name, O_PATH | O_CLOEXEC);
}

static void reads_as(int fd, const char *text, bool odd)
{
	struct acl_rights is;
	struct err e = { 0 };
	bool is_odd = !odd;

	if (acl_read(fd, &is, &is_odd, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(acl_text(&is).text, text);
	assert_int_equal(is_odd, odd);
}

static void shows(int fd, mode_t mode)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static bool has(int fd, const char *name)
{
	return getxattr(path_of_fd(fd).text, name, NULL, 0) > 0;
}

static const struct {
	struct acl_rights rights;
	const char *text;
	mode_t shown;
} cases[] = {
	{ { .mode = 0750, .uid = 1, .gid = 20001 }, "1:20001 0750", 0750 },
	{ { .mode = 010, .gid = 20001 }, "0:20001 0010", 010 },
	{ { .mode = 07777, .gid = 20001 }, "0:20001 7777", 07777 },
	{ { .mode = 02070, .gid = 20001 }, "0:20001 2070", 02070 },
	{ { .mode = 0750, .n_named = 1, .named = { { false, WEB, 1 } } },
	  "0:0 0750 u:33:--x",
	  0750 },
	{ { .mode = 010, .n_named = 1, .named = { { false, WEB, 5 } } }, "0:0 0010 u:33:r-x", 050 },
	{ { .mode = 03070, .n_named = 1, .named = { { true, 44, 0 } } },
	  "0:0 3070 g:44:---",
	  03070 },
	{ { .mode = 0,
	    .n_named = 4,
	    .named = { USER(1), USER(2), { true, 1, 2 }, { true, 9, 4 } } },
	  "0:0 0000 u:1:r-x u:2:r-x g:1:-w- g:9:r--",
	  070 },
	{ { .mode = 0750, .has_default = true, .default_mode = 0640 },
	  "0:0 0750 default 0640",
	  0750 },
	{ { .mode = 0070,
	    .n_named = 1,
	    .named = { USER(WEB) },
	    .has_default = true,
	    .default_mode = 0750,
	    .n_default = 2,
	    .default_named = { { false, WEB, 5 }, { true, 7, 7 } } },
	  "0:0 0070 u:33:r-x default 0750 u:33:r-x g:7:rwx",
	  0070 },
	{ { .mode = 0755 }, "0:0 0755", 0755 },
};

static void what_is_written_is_read_again_from_whatever_was_before(void **state)
{
	(void)state;
	if (!is_root_here())
		return;
	autofd int fd = new_dir("d");
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		for (size_t j = 0; j < ELEMENTS(cases); j++) {
			struct acl_rights is;
			bool odd;

			assert_int_equal(acl_write(fd, &cases[i].rights, NULL), 0);
			assert_int_equal(acl_write(fd, &cases[j].rights, NULL), 0);
			reads_as(fd, cases[j].text, false);
			shows(fd, cases[j].shown);
			assert_int_equal(acl_read(fd, &is, &odd, NULL), 0);
			assert_true(acl_same(&is, &cases[j].rights));
			assert_int_equal(acl_same(&is, &cases[i].rights), i == j);
		}
	}
}

static void without_named_entries_nothing_but_the_mode_is_stored(void **state)
{
	(void)state;
	if (!is_root_here())
		return;
	autofd int fd = new_dir("plain");
	assert_int_equal(acl_write(fd, &cases[9].rights, NULL), 0);
	assert_true(has(fd, "system.posix_acl_access") && has(fd, "system.posix_acl_default"));
	assert_int_equal(acl_write(fd, &cases[0].rights, NULL), 0);
	assert_false(has(fd, "system.posix_acl_access") || has(fd, "system.posix_acl_default"));
}

static void a_chmod_of_something_with_an_acl_is_seen(void **state)
{
	(void)state;
	if (!is_root_here())
		return;
	autofd int fd = new_dir("masked");
	assert_int_equal(acl_write(fd, &cases[9].rights, NULL), 0);
	assert_int_equal(fchmodat(dir, "masked", 0060, 0), 0);
	reads_as(fd, cases[9].text, true);
	autofd int readable = openat(dir, "masked", O_RDONLY | O_DIRECTORY);
	reads_as(readable, cases[9].text, true);
	assert_int_equal(acl_write(fd, &cases[9].rights, NULL), 0);
	reads_as(fd, cases[9].text, false);
}

static void more_entries_than_we_set_are_odd_and_can_be_removed(void **state)
{
	struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} entries[40];
	} raw = { .version = 2 };
	size_t n = 0;

	(void)state;
	if (!is_root_here())
		return;
	autofd int fd = new_dir("many");
	for (unsigned named = 5; named <= 30; named += 25) {
		n = 0;
		raw.entries[n].tag = 1, raw.entries[n++].perm = 7;
		for (unsigned i = 0; i < named; i++, n++)
			raw.entries[n].tag = 2, raw.entries[n].perm = 1,
			raw.entries[n].id = 100 + i;
		raw.entries[n].tag = 4, raw.entries[n++].perm = 5;
		raw.entries[n].tag = 0x10, raw.entries[n++].perm = 5;
		raw.entries[n].tag = 0x20, raw.entries[n++].perm = 5;
		assert_int_equal(setxattr(path_of_fd(fd).text, "system.posix_acl_access", &raw,
					  4 + n * 8, 0),
				 0);
		struct acl_rights is;
		bool odd = false;
		assert_int_equal(acl_read(fd, &is, &odd, NULL), 0);
		assert_true(odd);
		assert_int_equal(acl_write(fd, &cases[10].rights, NULL), 0);
		reads_as(fd, "0:0 0755", false);
	}
}

static void set_id_bits_survive_a_change_of_the_owner(void **state)
{
	struct acl_rights want = { .uid = 5, .gid = 6, .mode = 06755 };

	(void)state;
	if (!is_root_here())
		return;
	autofd int fd = new_file("program");
	assert_int_equal(acl_write(fd, &want, NULL), 0);
	reads_as(fd, "5:6 6755", false);
	want.n_named = 1;
	want.named[0] = (struct acl_named){ false, WEB, 4 };
	want.uid = 7;
	assert_int_equal(acl_write(fd, &want, NULL), 0);
	reads_as(fd, "7:6 6755 u:33:r--", false);
}

static void files_with_two_names_and_links_are_refused(void **state)
{
	const struct acl_rights want = { .mode = 0600 };
	struct err e = { 0 };

	(void)state;
	autofd int fd = new_file("one");
	assert_int_equal(linkat(dir, "one", dir, "two", 0), 0);
	assert_int_equal(acl_write(fd, &want, &e), -EMLINK);
	assert_string_equal(e.text, "has 2 links; it may be somebody else's file");
	shows(fd, 0644);

	assert_int_equal(symlinkat("one", dir, "link"), 0);
	autofd int link = openat(dir, "link", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct acl_rights is;
	bool odd;
	assert_int_equal(acl_write(link, &want, NULL), -ELOOP);
	assert_int_equal(acl_read(link, &is, &odd, NULL), -ELOOP);
}

static void what_cannot_be_is_an_error_with_a_sentence(void **state)
{
	const struct acl_rights want = { .mode = 0600, .has_default = true };
	struct acl_rights is;
	struct err e = { 0 };
	bool odd;

	(void)state;
	autofd int fd = new_file("plain_file");
	assert_int_equal(acl_write(fd, &want, &e), -EINVAL);
	assert_string_equal(e.text, "only directories have a default ACL");
	assert_int_equal(acl_read(-1, &is, &odd, &e), -EBADF);
	assert_int_equal(acl_write(-1, &is, &e), -EBADF);
	assert_string_equal(e.text, "stat: Bad file descriptor");
}

static void a_file_system_without_acls_takes_plain_modes(void **state)
{
	const struct acl_rights named = cases[4].rights;
	struct err e = { 0 };
	bool odd = true;
	struct acl_rights is;
	autofd int fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(acl_read(fd, &is, &odd, NULL), 0);
	assert_false(odd || is.n_named || is.has_default);
	assert_true(acl_write(fd, &named, &e) < 0);
	assert_int_not_equal(e.text[0], '\0');
}

static void the_longest_text_fits(void **state)
{
	struct acl_rights r = { .uid = UINT32_MAX,
				.gid = UINT32_MAX,
				.mode = 07777,
				.n_named = 4,
				.has_default = true,
				.default_mode = 0777,
				.n_default = 4 };

	(void)state;
	for (size_t i = 0; i < ACL_NAMED_MAX; i++)
		r.named[i] = r.default_named[i] = (struct acl_named){ true, UINT32_MAX, 7 };
	assert_int_equal(strlen(acl_text(&r).text), 175);
}

/* Not a test: prints what a look at a directory costs. */
static void measure(void)
{
	const unsigned rounds = 100000;

	for (size_t i = 0; i < 4; i++) {
		const struct acl_rights *rights = &cases[i & 1 ? 9 : 0].rights;
		autofd int path = new_dir("measured");
		autofd int fd = openat(path, ".", O_DIRECTORY | (i & 2 ? O_RDONLY : O_PATH));
		struct acl_rights is;
		bool odd;

		(void)acl_write(fd, rights, NULL);
		uint64_t begin = clock_usec();
		for (unsigned n = 0; n < rounds; n++)
			acl_read(fd, &is, &odd, NULL);
		printf("acl_read %s %s: %.2f us\n", i & 2 ? "O_RDONLY" : "O_PATH",
		       acl_text(&is).text, (double)(clock_usec() - begin) / rounds);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_again_from_whatever_was_before),
		cmocka_unit_test(without_named_entries_nothing_but_the_mode_is_stored),
		cmocka_unit_test(a_chmod_of_something_with_an_acl_is_seen),
		cmocka_unit_test(more_entries_than_we_set_are_odd_and_can_be_removed),
		cmocka_unit_test(set_id_bits_survive_a_change_of_the_owner),
		cmocka_unit_test(files_with_two_names_and_links_are_refused),
		cmocka_unit_test(what_cannot_be_is_an_error_with_a_sentence),
		cmocka_unit_test(a_file_system_without_acls_takes_plain_modes),
		cmocka_unit_test(the_longest_text_fits),
	};

	if (argc == 2 && strcmp(argv[1], "measure") == 0) {
		(void)make_root(NULL);
		measure();
		return remove_root(NULL);
	}
	return cmocka_run_group_tests(tests, make_root, remove_root);
}
