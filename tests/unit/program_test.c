/* Programs beside the loop: what they print, when they are late, what they leave behind. */
#include "acme/client/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static struct loop *loop;
static struct {
	unsigned calls;
	size_t len;
	char problem[200], text[200];
} outcome;

static int set_up(void **state)
{
	(void)state;
	alarm(20);
	memset(&outcome, 0, sizeof outcome);
	return loop_open(&loop, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	loop_close(loop);
	return 0;
}

static void on_end(const char *problem, const struct buf *output, void *data)
{
	(void)data;
	outcome.calls++;
	snprintf(outcome.problem, sizeof outcome.problem, "%s", problem ? problem : "");
	outcome.len = output->len;
	snprintf(outcome.text, sizeof outcome.text, "%s", output->len ? buf_text(output) : "");
}

static struct program *start(const char *script, const char *const *env, unsigned timeout_s)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };

	return program_start(loop, argv, env, timeout_s, on_end, NULL);
}

static void step_until_ended(void)
{
	while (outcome.calls == 0)
		assert_true(loop_step(loop, 5 * USEC_PER_SEC) >= 0);
	(void)loop_step(loop, 0);
	assert_int_equal(outcome.calls, 1);
}

static void an_outcome_is_told_once_with_what_was_printed(void **state)
{
	static const struct {
		const char *script, *problem, *text;
	} cases[] = {
		{ "echo done; echo also >&2", "", "done\nalso\n" },
		{ "echo hello; echo no zone >&2; exit 3", "/bin/sh: no zone", "hello\nno zone\n" },
		{ "exit 3", "/bin/sh: exit status 3", "" },
		{ "kill -9 $$", "/bin/sh: killed by signal 9", "" },
		{ ":", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		memset(&outcome, 0, sizeof outcome);
		assert_non_null(start(cases[i].script, NULL, 10));
		assert_int_equal(outcome.calls, 0); /* later, never at once */
		step_until_ended();
		assert_string_equal(outcome.problem, cases[i].problem);
		assert_string_equal(outcome.text, cases[i].text);
	}
}

static void the_environment_is_the_given_one_and_nothing_else(void **state)
{
	static const char *const env[] = { "ONE=1", "TWO=2 3", NULL };

	(void)state;
	(void)start("exec /usr/bin/env", env, 10);
	step_until_ended();
	/* The shell adds where it is. */
	assert_non_null(strstr(outcome.text, "ONE=1\n"));
	assert_non_null(strstr(outcome.text, "TWO=2 3\n"));
	assert_null(strstr(outcome.text, "PATH="));
	assert_null(strstr(outcome.text, "HOME="));
}

static void the_end_is_kept_of_what_is_printed_without_end(void **state)
{
	(void)state;
	(void)start("head -c 5000000 /dev/zero | tr '\\0' x; echo; echo no zone; exit 1", NULL, 10);
	step_until_ended();
	assert_string_equal(outcome.problem, "/bin/sh: no zone");
	assert_true(outcome.len >= 65536 && outcome.len < 65536 + 4096 + 1);
}

static void one_that_is_late_is_killed_and_told_so(void **state)
{
	uint64_t began = clock_usec();

	(void)state;
	(void)start("trap '' TERM; while :; do sleep 5; done", NULL, 1);
	step_until_ended();
	assert_string_equal(outcome.problem, "/bin/sh: not done in time, killed");
	assert_true(clock_usec() - began < 3 * USEC_PER_SEC);
}

static bool lives(pid_t pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH;
}

static void what_it_leaves_in_its_session_ends_with_it(void **state)
{
	pid_t left;

	(void)state;
	(void)start("sleep 60 & echo $!", NULL, 10);
	step_until_ended();
	left = (pid_t)strtol(outcome.text, NULL, 10);
	assert_true(left > 1);
	for (int i = 0; i < 200 && lives(left); i++)
		(void)loop_step(loop, 10 * USEC_PER_MSEC);
	/* A zombie of whoever took it over, at most: it does not run. */
	{
		char path[64], line[300] = "";
		FILE *stat;

		snprintf(path, sizeof path, "/proc/%d/stat", (int)left);
		stat = fopen(path, "re");
		if (stat) {
			assert_non_null(fgets(line, sizeof line, stat));
			fclose(stat);
			assert_non_null(strstr(line, ") Z"));
		}
	}
}

static void one_that_is_dropped_says_nothing(void **state)
{
	(void)state;
	program_drop(start("echo done", NULL, 10));
	program_drop(start("sleep 60", NULL, 10));
	program_drop(NULL);
	for (int i = 0; i < 5; i++)
		(void)loop_step(loop, 20 * USEC_PER_MSEC);
	assert_int_equal(outcome.calls, 0);
}

static void one_that_is_not_there_has_failed(void **state)
{
	static const char *const argv[] = { "/nowhere/hook", "present", NULL };

	(void)state;
	(void)program_start(loop, argv, NULL, 10, on_end, NULL);
	step_until_ended();
	assert_non_null(strstr(outcome.problem, "/nowhere/hook: No such file or directory"));
	assert_int_equal(outcome.len, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_outcome_is_told_once_with_what_was_printed),
		CASE(the_environment_is_the_given_one_and_nothing_else),
		CASE(the_end_is_kept_of_what_is_printed_without_end),
		CASE(one_that_is_late_is_killed_and_told_so),
		CASE(what_it_leaves_in_its_session_ends_with_it),
		CASE(one_that_is_dropped_says_nothing),
		CASE(one_that_is_not_there_has_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
