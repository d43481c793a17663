/* The accounts of a small /etc of our own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "reconcile/accounts/accounts.h"
#include "tests/unit/cmocka_all.h"

static char etc[64];
static int etc_fd;

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
			     "www-data:x:33:33::/var/www:/usr/sbin/nologin\n"
			     "# a comment\n"
			     "+nis::::::\n"
			     "alice:x:20001:20001::/home/www/alice:/usr/sbin/nologin\n"
			     "bob:x:20002:100::/home/www/bob:/usr/sbin/nologin\n"
			     "carol:x:20003:100::/home/www/carol:/usr/sbin/nologin\n"
			     "dave:x:20004:20004::/home/www/dave:/usr/sbin/nologin\n"
			     "erin:x:20005:20005::/home/www/erin:/usr/sbin/nologin\n"
			     "alice:x:999:999::/second/line:/bin/sh\n"
			     "broken:x:minus:1\n"
			     "huge:x:4294967295:1::/:/bin/sh\n"
			     "last:x:20009:20009::/:/bin/sh";
static const char group[] = "root:x:0:\n"
			    "users:x:100:\n"
			    "alice:x:20001:alice,www-data\n"
			    "dave:x:20004:mallory\n"
			    "erin:x:20005:\n"
			    "lonely:x:20050:\n";

static void write_file(const char *name, const char *text)
{
	assert_true(put_file(etc_fd, name, 0644, text, strlen(text), PUT_BATCH, NULL) >= 0);
}

static int set_up(void **state)
{
	(void)state;
	strncpy(etc, "/tmp/accounts.XXXXXX", sizeof etc - 1);
	assert_non_null(mkdtemp(etc));
	etc_fd = open(etc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_file("passwd", passwd);
	write_file("group", group);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(etc_fd);
	(void)path_remove_tree(AT_FDCWD, etc, NULL);
	return 0;
}

static struct accounts *open_accounts(void)
{
	struct accounts *a = NULL;

	assert_int_equal(accounts_open_in(etc, &a, NULL), 0);
	accounts_web_user(a, "www-data");
	return a;
}

static void accounts_are_what_the_local_files_say(void **state)
{
	static const struct {
		const char *name;
		int result;
		uid_t uid;
		gid_t gid;
		bool shared;
	} cases[] = {
		{ "root", 0, 0, 0, false },
		{ "alice", 0, 20001, 20001,
		  false }, /* the web user may be in her group; first line counts */
		{ "bob", 0, 20002, 100, true }, /* carol's primary group too */
		{ "carol", 0, 20003, 100, true },
		{ "dave", 0, 20004, 20004, true }, /* mallory is in it */
		{ "erin", 0, 20005, 20005, false },
		{ "last", 0, 20009, 20009, false }, /* no line break at the end */
		{ "broken", -ENOENT, 0, 0, false },
		{ "huge", -ENOENT, 0, 0, false },
		{ "+nis", -ENOENT, 0, 0, false },
		{ "", -ENOENT, 0, 0, false },
		{ "ali", -ENOENT, 0, 0, false },
		{ "zoe", -ENOENT, 0, 0, false },
	};
	struct accounts *a = open_accounts();

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct account got = { 0 };
		struct err e;

		assert_int_equal(accounts_get(a, cases[i].name, &got, &e), cases[i].result);
		if (cases[i].result < 0)
			continue;
		assert_int_equal(got.uid, cases[i].uid);
		assert_int_equal(got.gid, cases[i].gid);
		assert_int_equal(got.shared_group, cases[i].shared);
		assert_true(got.local);
	}
	accounts_close(a);
}

static void an_id_is_taken_as_uid_gid_or_group(void **state)
{
	static const struct {
		id_t id;
		bool taken;
	} cases[] = { { 0, true },      { 100, true }, { 20001, true },  { 20050, true },
		      { 20051, false }, { 999, true }, { 20000, false }, { 4000000, false } };
	struct accounts *a = open_accounts();

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++)
		assert_int_equal(accounts_id_taken(a, cases[i].id), cases[i].taken);
	accounts_close(a);
}

static void a_changed_file_is_read_again_and_a_missing_one_is_empty(void **state)
{
	struct accounts *a = open_accounts();
	struct account got;

	(void)state;
	write_file("passwd", "zoe:x:20077:20077::/:/bin/sh\n");
	assert_int_equal(accounts_get(a, "alice", &got, NULL), 0);
	assert_int_equal(accounts_refresh(a, NULL), 0);
	assert_int_equal(accounts_get(a, "alice", &got, NULL), -ENOENT);
	assert_int_equal(accounts_get(a, "zoe", &got, NULL), 0);
	assert_int_equal(unlinkat(etc_fd, "group", 0), 0);
	assert_int_equal(unlinkat(etc_fd, "passwd", 0), 0);
	assert_int_equal(accounts_refresh(a, NULL), 0);
	assert_int_equal(accounts_get(a, "zoe", &got, NULL), -ENOENT);
	assert_false(accounts_id_taken(a, 20077));
	accounts_close(a);
}

static void news_is_what_others_changed_and_told_once(void **state)
{
	struct accounts *a = open_accounts();

	(void)state;
	assert_false(accounts_have_news(a));
	write_file("passwd", "zoe:x:20077:20077::/:/bin/sh\n");
	assert_int_equal(accounts_refresh_own(a, NULL), 0);
	assert_false(accounts_have_news(a));
	write_file("passwd", "");
	assert_int_equal(accounts_refresh(a, NULL), 0);
	write_file("passwd", "yves:x:20078:20078::/:/bin/sh\n");
	assert_int_equal(accounts_refresh_own(a, NULL), 0);
	assert_true(accounts_have_news(a));
	assert_false(accounts_have_news(a));
	write_file("group", "");
	assert_true(accounts_have_news(a));
	accounts_close(a);
}

static void services_that_are_not_installed_are_passed_over(void **state)
{
	struct accounts *a;
	struct account got;

	(void)state;
	write_file("nsswitch.conf", "# passwd: x\npasswd:  files nosuchservice [!UNAVAIL=return "
				    "SUCCESS=return] ../../evil compat # sss\nhosts: files\n");
	a = open_accounts();
	assert_int_equal(accounts_get(a, "zoe", &got, NULL), -ENOENT);
	assert_int_equal(accounts_get(a, "zoe", &got, NULL), -ENOENT);
	accounts_close(a);
}

static void ten_thousand_accounts_are_cheap(void **state)
{
	autobuf struct buf p = { 0 }, g = { 0 };
	struct accounts *a;
	struct account got;
	uint64_t start;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		buf_printf(&p, "user%05d:x:%d:%d::/home/www/user%05d:/usr/sbin/nologin\n", i,
			   20000 + i, 20000 + i, i);
		buf_printf(&g, "user%05d:x:%d:\n", i, 20000 + i);
	}
	write_file("passwd", p.data);
	write_file("group", g.data);
	start = clock_usec();
	a = open_accounts();
	print_message("read: %u us\n", (unsigned)(clock_usec() - start));
	start = clock_usec();
	for (int i = 0; i < 10000; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "user%05d", i);
		assert_int_equal(accounts_get(a, name, &got, NULL), 0);
		assert_false(got.shared_group);
	}
	print_message("10,000 lookups: %u us\n", (unsigned)(clock_usec() - start));
	accounts_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(accounts_are_what_the_local_files_say, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_id_is_taken_as_uid_gid_or_group, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_changed_file_is_read_again_and_a_missing_one_is_empty, set_up, tear_down),
		cmocka_unit_test_setup_teardown(news_is_what_others_changed_and_told_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(services_that_are_not_installed_are_passed_over,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(ten_thousand_accounts_are_cheap, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
