/* With a file for stderr; what goes to the journal needs one, and is tried where there is one. */
#include "agent/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/ids.h"
#include "agent/base/own.h"

static int kept;

static int begin(void **state)
{
	autofd int fd = memfd_create("stderr", MFD_CLOEXEC);

	(void)state;
	fflush(stderr);
	unsetenv("JOURNAL_STREAM");
	kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	return dup2(fd, STDERR_FILENO) < 0;
}

static int end(void **state)
{
	(void)state;
	(void)dup2(kept, STDERR_FILENO);
	close(kept);
	return 0;
}

static void logged_is(const char *expected)
{
	char text[4096] = "";

	assert_true(pread(STDERR_FILENO, text, sizeof(text) - 1, 0) >= 0);
	assert_string_equal(text, expected);
}

static void a_line_names_program_and_webspace(void **state)
{
	(void)state;
	log_open(false);
	log_error("no %s", "way");
	log_entry(&(struct log_entry){ .level = LOG_NOTICE, .webspace = "alice", .id = ID_CHANGED },
		  "directory data: mode");
	logged_is("webspaces: no way\nwebspaces: alice: directory data: mode\n");
}

static void a_name_that_the_message_begins_with_is_not_said_twice(void **state)
{
	(void)state;
	log_open(false);
	log_entry(&(struct log_entry){ .level = LOG_INFO, .webspace = "bob" }, "bob: mount");
	log_entry(&(struct log_entry){ .level = LOG_INFO, .webspace = "bob" }, "bobby");
	logged_is("webspaces: bob: mount\nwebspaces: bob: bobby\n");
}

static void a_message_is_one_line_whatever_it_holds(void **state)
{
	(void)state;
	log_open(false);
	log_info("a\nwebspaces: forged\033[31m");
	logged_is("webspaces: a webspaces: forged [31m\n");
}

static void debug_is_logged_only_when_asked_for(void **state)
{
	(void)state;
	log_open(false);
	log_debug("quiet");
	log_open(true);
	log_debug("loud");
	logged_is("webspaces: loud\n");
}

static void a_long_message_is_cut_and_errno_stays(void **state)
{
	char message[5000], expected[4096];

	(void)state;
	memset(message, 'm', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	snprintf(expected, sizeof(expected), "webspaces: %.2047s\n", message);
	log_open(false);
	errno = EXDEV;
	log_warning("%s", message);
	assert_int_equal(errno, EXDEV);
	logged_is(expected);
}

static void a_stream_that_is_not_our_stderr_does_not_hide_the_log(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "8:1234567", 1);
	log_open(false);
	log_info("seen");
	unsetenv("JOURNAL_STREAM");
	logged_is("webspaces: seen\n");
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_line_names_program_and_webspace),
		LOG_TEST(a_name_that_the_message_begins_with_is_not_said_twice),
		LOG_TEST(a_message_is_one_line_whatever_it_holds),
		LOG_TEST(debug_is_logged_only_when_asked_for),
		LOG_TEST(a_long_message_is_cut_and_errno_stays),
		LOG_TEST(a_stream_that_is_not_our_stderr_does_not_hide_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
