/* Starts real programs; each case ends within two seconds. */
#include "agent/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define SH(text)                              \
	(const char *const[])                 \
	{                                     \
		"/bin/sh", "-c", (text), NULL \
	}

static uint64_t in_seconds(unsigned seconds)
{
	return clock_usec() + seconds * USEC_PER_SEC;
}

static int run(const char *script, const char *input, struct buf *output, struct err *e)
{
	return spawn_run(&(struct spawn){ .argv = SH(script) }, input, in_seconds(10), output, e);
}

static void output_is(const char *script, const char *input, const char *expected)
{
	autobuf struct buf output = { 0 };
	struct err e = { 0 };

	assert_int_equal(run(script, input, &output, &e), 0);
	assert_string_equal(buf_text(&output), expected);
}

static void failure_is(const char *script, const char *expected)
{
	struct err e = { 0 };

	assert_int_equal(run(script, NULL, NULL, &e), -EIO);
	assert_string_equal(e.text, expected);
}

static void output_and_input_of_a_program_are_those_it_was_given(void **state)
{
	(void)state;
	output_is("echo out; echo err >&2", NULL, "out\nerr\n");
	output_is("cat", "hello\n", "hello\n");
	output_is("cat", "", "");
	output_is("cat", NULL, "");
	output_is("true", NULL, "");
}

static void input_larger_than_any_pipe_does_not_deadlock(void **state)
{
	char *input = malloc(1000001);

	(void)state;
	memset(input, 'x', 1000000);
	input[1000000] = '\0';
	output_is("cat | wc -c", input, "1000000\n");
	output_is("echo not read", input, "not read\n");
	free(input);
}

static void the_last_line_of_the_output_is_the_error(void **state)
{
	(void)state;
	failure_is("echo first; echo 'why it failed' >&2; echo; exit 3", "/bin/sh: why it failed");
	failure_is("exit 3", "/bin/sh: exit status 3");
	failure_is("printf 'a\\033[31mb'; exit 1", "/bin/sh: a?[31mb");
	failure_is("kill -9 $$", "/bin/sh: killed by signal 9");
}

static void output_is_added_and_capped_at_64_kib(void **state)
{
	autobuf struct buf output = { 0 };

	(void)state;
	buf_adds(&output, "before");
	assert_int_equal(run("head -c 300000 /dev/zero | tr '\\0' x", NULL, &output, NULL), 0);
	assert_int_equal(output.len, 6 + 65536);
	assert_int_equal(strlen(output.data), output.len);
}

static void the_child_has_a_clean_environment(void **state)
{
	(void)state;
	setenv("SECRET", "1", 1);
	output_is("echo $SECRET $LANG", NULL, "C.UTF-8\n");
	unsetenv("SECRET");

	autobuf struct buf output = { 0 };
	const char *const env[] = { "A=b c", NULL };
	struct spawn s = { .argv = SH("echo $A $LANG"), .env = env };
	assert_int_equal(spawn_run(&s, NULL, in_seconds(10), &output, NULL), 0);
	assert_string_equal(buf_text(&output), "b c\n");
}

static void the_child_has_the_standard_descriptors_only(void **state)
{
	int open_on_purpose = open("/dev/null", O_RDONLY); /* no O_CLOEXEC */

	(void)state;
	/* 3 is ls's own view of the directory. */
	output_is("exec ls -x /proc/self/fd", NULL, "0  1  2  3\n");
	close(open_on_purpose);
}

static void the_child_has_no_signal_blocked_or_ignored(void **state)
{
	sigset_t some, old;

	(void)state;
	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	sigaddset(&some, SIGCHLD);
	sigprocmask(SIG_BLOCK, &some, &old);
	signal(SIGPIPE, SIG_IGN);
	output_is("exec grep ^SigBlk /proc/self/status", NULL, "SigBlk:\t0000000000000000\n");
	failure_is("kill -PIPE $$; echo ignored; exit 1", "/bin/sh: killed by signal 13");
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void the_umask_is_the_wanted_one_and_ours_stays(void **state)
{
	autobuf struct buf output = { 0 };
	struct spawn s = { .argv = SH("umask"), .umask = 077 };
	mode_t old = umask(0123);

	(void)state;
	output_is("umask", NULL, "0022\n");
	assert_int_equal(spawn_run(&s, NULL, in_seconds(10), &output, NULL), 0);
	assert_string_equal(buf_text(&output), "0077\n");
	assert_int_equal(umask(old), 0123);
}

static void at_the_deadline_the_whole_group_is_killed(void **state)
{
	autobuf struct buf output = { 0 };
	uint64_t begin = clock_usec();
	struct spawn s = { .argv = SH("sleep 98 & echo $!; sleep 99") };
	struct err e = { 0 };
	pid_t left;
	int tries;

	(void)state;
	assert_int_equal(spawn_run(&s, NULL, begin + 300000, &output, &e), -ETIMEDOUT);
	assert_in_range(clock_usec() - begin, 300000, 3000000);
	assert_string_equal(e.text, "/bin/sh: not done in time, killed");
	left = (pid_t)strtol(buf_text(&output), NULL, 10);
	assert_true(left > 1);
	/* Dead at once; gone when its new parent has reaped it. */
	for (tries = 0; tries < 100 && getpgid(left) > 0; tries++) {
		char path[64], line[256] = "";
		autofd int fd = -1;

		snprintf(path, sizeof(path), "/proc/%d/stat", left);
		fd = open(path, O_RDONLY);
		if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0 || strstr(line, ") Z "))
			break;
		poll(NULL, 0, 10);
	}
	assert_true(tries < 100);
}

static void a_deadline_in_the_past_ends_it_at_once(void **state)
{
	(void)state;
	assert_int_equal(spawn_run(&(struct spawn){ .argv = SH("sleep 9") }, NULL, 1, NULL, NULL),
			 -ETIMEDOUT);
}

static void a_grandchild_that_holds_the_output_does_not_hold_us(void **state)
{
	uint64_t begin = clock_usec();

	(void)state;
	output_is("sleep 3 & echo done", NULL, "done\n");
	assert_in_range(clock_usec() - begin, 0, 2500000);
}

static void a_program_that_cannot_be_executed_is_an_error_of_the_start(void **state)
{
	static const struct {
		const char *program;
		int error;
	} cases[] = {
		{ "/does/not/exist", -ENOENT },
		{ "/etc/passwd", -EACCES },
		{ "/tmp", -EACCES },
		{ "true", -EINVAL },
		{ "", -EINVAL },
		{ NULL, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		const char *const argv[] = { cases[i].program, NULL };
		struct spawned child;
		struct err e = { 0 };

		assert_int_equal(spawn_start(&(struct spawn){ .argv = argv }, &child, &e),
				 cases[i].error);
		assert_int_not_equal(e.text[0], '\0');
	}
}

static void a_started_child_is_followed_by_its_descriptor(void **state)
{
	struct spawned child = { 0 };
	struct pollfd fd = { .events = POLLIN };
	int status;

	(void)state;
	assert_int_equal(
		spawn_start(&(struct spawn){ .argv = SH("sleep 0.2; exit 7"), .new_session = true },
			    &child, NULL),
		0);
	assert_int_equal(spawn_reap(&child), -EAGAIN);
	assert_int_equal(getpgid(child.pid), child.pid);
	fd.fd = child.pidfd;
	assert_int_equal(poll(&fd, 1, 5000), 1);
	status = spawn_reap(&child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_false(spawn_succeeded(status));
	assert_int_equal(spawn_reap(&child), -ECHILD);
	close(child.pidfd);
}

static void a_started_child_has_the_given_standard_input_or_none(void **state)
{
	struct spawned child = { 0 };
	struct pollfd ended = { .events = POLLIN };
	int line[2];

	(void)state;
	assert_int_equal(pipe(line), 0);
	assert_int_equal(write(line[1], "hello\n", 6), 6);
	for (int given = 0; given < 2; given++) {
		struct spawn s = { .argv = SH("read word; test \"$word\" = hello"),
				   .in = given ? line[0] : 0 };

		assert_int_equal(spawn_start(&s, &child, NULL), 0);
		ended.fd = child.pidfd;
		assert_int_equal(poll(&ended, 1, 5000), 1);
		assert_int_equal(spawn_succeeded(spawn_reap(&child)), given);
		close(child.pidfd);
	}
	close(line[0]);
	close(line[1]);
}

static void no_descriptor_is_left_behind(void **state)
{
	int before = dup(0), after;

	(void)state;
	close(before);
	for (int i = 0; i < 3; i++) {
		run("cat", "x", NULL, NULL);
		run("exit 1", NULL, NULL, NULL);
		spawn_run(&(struct spawn){ .argv = (const char *const[]){ "/no", NULL } }, "x",
			  in_seconds(1), NULL, NULL);
	}
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

static void another_program_of_ours_is_beside_us_or_it_is_said_where_it_should_be(void **state)
{
	autofd int fd = spawn_open("spawn_test", NULL);
	struct err e = { 0 };

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(spawn_open("no-such-program", &e), -ENOENT);
	assert_true(strncmp(e.text, "no program no-such-program beside /", 35) == 0);
	assert_non_null(strstr(e.text, "/spawn_test, nor in ../lib/webspaces/"));
	assert_int_equal(spawn_open(".", &e), -EPERM);
}

static void an_open_program_is_run_whatever_its_name_and_what_is_there_now(void **state)
{
	char copy[] = "/tmp/spawn_test.XXXXXX";
	autobuf struct buf output = { 0 };
	autofree char *cp = NULL;
	autofd int fd = -1;
	struct err e = { 0 };

	(void)state;
	close(mkstemp(copy));
	cp = memory_printf("cp /bin/echo %s && chmod +x %s", copy, copy);
	output_is(cp, NULL, "");
	fd = open(copy, O_PATH | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(unlink(copy), 0);
	assert_int_equal(spawn_run(&(struct spawn){ .program = fd, .argv = SH("hello") }, NULL,
				   in_seconds(10), &output, &e),
			 0);
	assert_string_equal(buf_text(&output), "-c hello\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_and_input_of_a_program_are_those_it_was_given),
		cmocka_unit_test(input_larger_than_any_pipe_does_not_deadlock),
		cmocka_unit_test(the_last_line_of_the_output_is_the_error),
		cmocka_unit_test(output_is_added_and_capped_at_64_kib),
		cmocka_unit_test(the_child_has_a_clean_environment),
		cmocka_unit_test(the_child_has_the_standard_descriptors_only),
		cmocka_unit_test(the_child_has_no_signal_blocked_or_ignored),
		cmocka_unit_test(the_umask_is_the_wanted_one_and_ours_stays),
		cmocka_unit_test(at_the_deadline_the_whole_group_is_killed),
		cmocka_unit_test(a_deadline_in_the_past_ends_it_at_once),
		cmocka_unit_test(a_grandchild_that_holds_the_output_does_not_hold_us),
		cmocka_unit_test(a_program_that_cannot_be_executed_is_an_error_of_the_start),
		cmocka_unit_test(a_started_child_is_followed_by_its_descriptor),
		cmocka_unit_test(a_started_child_has_the_given_standard_input_or_none),
		cmocka_unit_test(no_descriptor_is_left_behind),
		cmocka_unit_test(
			another_program_of_ours_is_beside_us_or_it_is_said_where_it_should_be),
		cmocka_unit_test(an_open_program_is_run_whatever_its_name_and_what_is_there_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
