/* The watchers on the loop: from a change to its hint. */
#include "watchers/watchers.h"

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

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

static char top[64], conf[100], home[100], passwd[100], told[4096];
static struct loop *loop;
static struct watchers *watchers;
static uint64_t told_usec;

static void hint(enum hint what, const char *name, void *data)
{
	static const char *const words[] = { "file", "home", "host" };
	size_t len = strlen(told);

	(void)data;
	snprintf(told + len, sizeof told - len, "%s:%s ", words[what], name ? name : "*");
	told_usec = clock_usec();
}

/* Lets the loop run that long and returns what was told. */
static const char *heard_within(unsigned ms)
{
	told[0] = '\0';
	for (uint64_t now = clock_usec(), end = now + ms * USEC_PER_MSEC; now < end;
	     now = clock_usec())
		assert_true(loop_step(loop, end - now) >= 0);
	return told;
}

static void put(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static int set_up(void **state)
{
	static const char *files[2];

	(void)state;
	snprintf(top, sizeof top, "/tmp/watchers_test.XXXXXX");
	if (!mkdtemp(top) || chdir(top) < 0 || mkdir("conf", 0755) < 0 || mkdir("home", 0755) < 0 ||
	    mkdir("home/alice", 0755) < 0 || mkdir("etc", 0755) < 0 || loop_open(&loop, NULL) < 0)
		return -1;
	snprintf(conf, sizeof conf, "%s/conf", top);
	snprintf(home, sizeof home, "%s/home", top);
	snprintf(passwd, sizeof passwd, "%s/etc/passwd", top);
	files[0] = passwd;

	const struct watchers_config config = {
		.loop = loop,
		.config_dir = conf,
		.home_root = home,
		.host_files = files,
		.settle_ms = 50,
		.hint = hint,
	};
	struct err e = { 0 };

	if (watchers_open(&config, &watchers, &e) < 0)
		fail_msg("%s", e.text);
	return watchers_home(watchers, "alice", NULL);
}

static int tear_down(void **state)
{
	autofd int tmp = path_open_dir("/tmp", NULL);

	(void)state;
	watchers_close(watchers);
	loop_close(loop);
	return chdir("/") < 0 || path_remove_tree(tmp, strrchr(top, '/') + 1, NULL) < 0 ? -1 : 0;
}

static void a_drop_in_is_told_once_it_is_quiet(void **state)
{
	(void)state;
	uint64_t before = clock_usec();

	put("conf/alice.conf");
	put("conf/bob.conf");
	put("conf/alice.conf");
	assert_string_equal(heard_within(200), "file:alice file:bob ");
	assert_true(told_usec - before >= 50 * USEC_PER_MSEC);
	assert_string_equal(heard_within(100), "");
}

static void drift_is_told_at_once(void **state)
{
	(void)state;
	uint64_t before = clock_usec();

	chmod("home/alice", 0700);
	assert_string_equal(heard_within(30), "home:alice ");
	assert_true(told_usec - before < 30 * USEC_PER_MSEC);
	watchers_forget(watchers, "alice");
	chmod("home/alice", 0755);
	assert_string_equal(heard_within(30), "");
}

static void a_file_of_the_host_is_told_by_its_path(void **state)
{
	char expected[200];

	(void)state;
	put("etc/passwd.new");
	put("etc/group");
	assert_string_equal(heard_within(120), "");
	rename("etc/passwd.new", "etc/passwd");
	snprintf(expected, sizeof expected, "host:%s ", passwd);
	assert_string_equal(heard_within(200), expected);
}

static void more_files_than_can_be_named_are_any(void **state)
{
	char path[100];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(path, sizeof path, "conf/w%u.conf", i);
		put(path);
	}
	heard_within(300); /* of homes too, if somebody mounts something on this machine */
	assert_non_null(strstr(told, "file:* "));
	assert_null(strstr(told, "file:w"));
}

static void an_overflow_is_anything(void **state)
{
	(void)state;
	/* 40,000 events, the queue holds 16,384; each differs from the one before it */
	for (unsigned i = 0; i < 20000; i++) {
		put("etc/group");
		put("etc/passwd");
	}
	heard_within(600);
	assert_non_null(strstr(told, "file:* "));
	assert_non_null(strstr(told, "home:* "));
	assert_non_null(strstr(told, "host:* "));
	chmod("home/alice", 0755);
	assert_string_equal(heard_within(100), "home:alice ");
}

#define with_place(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_place(a_drop_in_is_told_once_it_is_quiet),
		with_place(drift_is_told_at_once),
		with_place(a_file_of_the_host_is_told_by_its_path),
		with_place(more_files_than_can_be_named_are_any),
		with_place(an_overflow_is_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
