/* With a file for stderr, and a socket for the journal in a mount namespace of its own. */
#include "agent/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
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
	log_info("a\nwebspaces: forged\033[31m\xc2\x9b\x9b\u202e");
	logged_is("webspaces: a\\012webspaces: forged\\033[31m\\302\\233\\233\\342\\200\\256\n");
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

static bool holds(const char *datagram, size_t len, const char *field)
{
	return memmem(datagram, len, field, strlen(field)) != NULL;
}

/* Returns 0 if all is as it should be, or the number of the step that is not. */
static int with_a_journal(void)
{
	const struct sockaddr_un address = { AF_UNIX, "/run/systemd/journal/socket" };
	autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char stream[64], text[4096];
	struct stat st;
	ssize_t len;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/run", "tmpfs", 0, NULL) < 0)
		return 0; /* not allowed here: nothing to see */
	if (mkdir("/run/systemd", 0755) < 0 || mkdir("/run/systemd/journal", 0755) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fstat(STDERR_FILENO, &st) < 0)
		return 1;
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open(false);
	log_entry(&(struct log_entry){ .level = LOG_NOTICE,
				       .id = ID_CHANGED,
				       .webspace = "alice",
				       .change = "drift",
				       .old_value = "one\ntwo" },
		  "put back %d", 7);
	len = recv(fd, text, sizeof(text), MSG_DONTWAIT);
	if (len < 0)
		return 2;
	if (!holds(text, (size_t)len, "MESSAGE=put back 7\n") ||
	    !holds(text, (size_t)len, "PRIORITY=5\n") ||
	    !holds(text, (size_t)len, "SYSLOG_IDENTIFIER=webspaces\n") ||
	    !holds(text, (size_t)len, "MESSAGE_ID=" ID_CHANGED "\n") ||
	    !holds(text, (size_t)len, "WEBSPACE=alice\n") ||
	    !holds(text, (size_t)len, "CHANGE=drift\n"))
		return 3;
	if (holds(text, (size_t)len, "RESOURCE"))
		return 4;
	return holds(text, (size_t)len, "OLD=one\\012two\n") ? 0 : 5;
}

static void the_journal_gets_every_field_that_is_set(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(with_a_journal());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	logged_is("");
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
		LOG_TEST(the_journal_gets_every_field_that_is_set),
		LOG_TEST(a_stream_that_is_not_our_stderr_does_not_hide_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
