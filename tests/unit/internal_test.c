/* The internal CA: made once, completed after a crash, made anew when it is damaged or due, with its key where there is one. */
#include "acme/store/internal.h"

#include <errno.h>
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

#include "acme/crypto/chain.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define NOW ((time_t)1800000000)
#define DAY ((time_t)86400)

static char top[64];
static int state_dir;

static int set_up(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "/tmp/internal_test.XXXXXX");
	if (!mkdtemp(top) || chdir(top) < 0)
		return -1;
	state_dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return state_dir < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	autofd int tmp = path_open_dir("/tmp", NULL);

	(void)state;
	close(state_dir);
	return chdir("/") < 0 || path_remove_tree(tmp, strrchr(top, '/') + 1, NULL) < 0 ? -1 : 0;
}

static int opened(bool may_make, time_t now, struct err *e)
{
	struct authority *a = NULL;
	int r = internal_open(state_dir, may_make, now, &a, e);

	if (r == 0)
		authority_close(a);
	return r;
}

static char *text_of(const char *path)
{
	char *text = NULL;
	size_t len;

	assert_int_equal(path_read(AT_FDCWD, path, 65536, &text, &len, NULL), 0);
	return text;
}

static void put(const char *path, const char *text)
{
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void it_is_made_at_first_use_and_stays(void **state)
{
	autofree char *before = NULL, *after = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(opened(false, NOW, NULL), -ENOENT);
	assert_int_equal(opened(true, NOW, NULL), 0);
	assert_int_equal(stat("ca/ca.key", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(stat("ca/ca.pem", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	before = text_of("ca/ca.pem");
	assert_int_equal(opened(true, NOW + DAY, NULL), 0);
	assert_int_equal(opened(false, NOW + DAY, NULL), 0);
	after = text_of("ca/ca.pem");
	assert_string_equal(before, after);
}

static void a_key_without_certificate_is_completed(void **state)
{
	autofree char *before = NULL, *after = NULL;

	(void)state;
	assert_int_equal(opened(true, NOW, NULL), 0);
	before = text_of("ca/ca.key");
	unlink("ca/ca.pem");
	assert_int_equal(opened(false, NOW, NULL), -ENOENT);
	assert_int_equal(opened(true, NOW, NULL), 0);
	after = text_of("ca/ca.key");
	assert_string_equal(before, after);
}

static void what_is_damaged_is_made_anew_and_set_aside_by_who_may(void **state)
{
	static const struct {
		const char *file, *text, *says;
		bool keeps_key;
	} cases[] = {
		{ "ca/ca.key", "", "ca/ca.key: not a private key", false },
		{ "ca/ca.key", "garbage", "ca/ca.key: not a private key", false },
		{ "ca/ca.pem", "", "ca/ca.pem: not a certificate", true },
		{ "ca/ca.pem", "garbage", "ca/ca.pem: not a certificate", true },
	};

	(void)state;
	assert_int_equal(opened(true, NOW, NULL), 0);
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autofree char *key = text_of("ca/ca.key"), *after = NULL, *left = NULL;
		char aside[40];
		struct err e = { 0 };

		put(cases[i].file, cases[i].text);
		assert_int_equal(opened(false, NOW, &e), -EBADMSG);
		if (!strstr(e.text, cases[i].says))
			fail_msg("%s", e.text);
		assert_int_equal(opened(true, NOW, NULL), 0);
		assert_int_equal(opened(false, NOW, NULL), 0);
		after = text_of("ca/ca.key");
		assert_int_equal(strcmp(key, after) == 0, cases[i].keeps_key);
		snprintf(aside, sizeof aside, "%s.damaged.%d", cases[i].file, (int)i + 1);
		left = text_of(aside);
		assert_string_equal(left, cases[i].text);
	}
}

static void a_certificate_without_its_key_is_set_aside(void **state)
{
	autofree char *old = NULL, *left = NULL;

	(void)state;
	assert_int_equal(opened(true, NOW, NULL), 0);
	old = text_of("ca/ca.pem");
	unlink("ca/ca.key");
	assert_int_equal(opened(false, NOW, NULL), -ENOENT);
	assert_int_equal(opened(true, NOW, NULL), 0);
	left = text_of("ca/ca.pem.damaged.1");
	assert_string_equal(left, old);
	put("ca/ca.pem", old);
	assert_int_equal(opened(false, NOW, NULL), -EBADMSG);
	assert_int_equal(opened(true, NOW, NULL), 0);
	assert_int_equal(access("ca/ca.pem.damaged.2", F_OK), 0);
}

static void before_it_ends_its_certificate_is_made_anew_from_the_same_key(void **state)
{
	autofree char *key = NULL, *same = NULL, *before = NULL, *after = NULL;

	(void)state;
	assert_int_equal(opened(true, NOW, NULL), 0);
	key = text_of("ca/ca.key");
	before = text_of("ca/ca.pem");
	assert_int_equal(opened(true, NOW + 3284 * DAY, NULL), 0);
	same = text_of("ca/ca.pem");
	assert_string_equal(before, same);
	free(take_ptr(same));
	assert_int_equal(opened(true, NOW + 3286 * DAY, NULL), 0);
	same = text_of("ca/ca.key");
	after = text_of("ca/ca.pem");
	assert_string_equal(key, same);
	assert_string_not_equal(before, after);
}

static void one_that_is_not_valid_yet_is_made_anew(void **state)
{
	autofree char *before = NULL, *after = NULL;

	(void)state;
	assert_int_equal(opened(true, NOW + 9000 * DAY, NULL), 0);
	before = text_of("ca/ca.pem");
	assert_int_equal(opened(false, NOW, NULL), 0);
	assert_int_equal(opened(true, NOW, NULL), 0);
	after = text_of("ca/ca.pem");
	assert_string_not_equal(before, after);
}

static void a_leaf_lives_ninety_days_and_no_longer_than_its_ca(void **state)
{
	static const char *const names[] = { "a.example.org" };
	struct authority *a;
	struct key *k;

	(void)state;
	assert_int_equal(internal_open(state_dir, true, NOW, &a, NULL), 0);
	assert_int_equal(key_new(KEY_P256, &k, NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		autobuf struct buf chain = { 0 }, key = { 0 };
		time_t now = i ? NOW + 3640 * DAY : NOW;
		struct certificate c;

		assert_int_equal(internal_issue(a, k, names, 1, now, &chain, NULL), 0);
		key_write(k, &key);
		assert_int_equal(chain_read((struct pem){ chain.data, chain.len },
					    (struct pem){ key.data, key.len }, names, 1, a, &c,
					    NULL, NULL),
				 0);
		assert_true(c.internal && c.exact && c.key_matches);
		assert_int_equal(c.not_after, i ? authority_ends(a) : NOW + 90 * DAY);
	}
	assert_int_equal(internal_issue(a, k, names, 0, NOW, NULL, NULL), -EINVAL);
	key_free(k);
	authority_close(a);
}

#define with_place(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_place(it_is_made_at_first_use_and_stays),
		with_place(a_key_without_certificate_is_completed),
		with_place(what_is_damaged_is_made_anew_and_set_aside_by_who_may),
		with_place(a_certificate_without_its_key_is_set_aside),
		with_place(before_it_ends_its_certificate_is_made_anew_from_the_same_key),
		with_place(one_that_is_not_valid_yet_is_made_anew),
		with_place(a_leaf_lives_ninety_days_and_no_longer_than_its_ca),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
