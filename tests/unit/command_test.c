/* Commands that judge: their word, their silence, their lateness. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "reconcile/units/command.h"
#include "tests/unit/cmocka_all.h"

static int outcome;
static char said[400];

static void ended(int status, const char *message, void *data)
{
	*(int *)data = 1;
	outcome = status;
	snprintf(said, sizeof(said), "%s", message);
}

static void run(uint64_t deadline_usec, const char *const *argv)
{
	struct loop *l;
	struct command *c;
	struct err e;
	int is_over = 0;

	assert_int_equal(loop_open(&l, &e), 0);
	assert_int_equal(command_start(l, argv, NULL, deadline_usec, ended, &is_over, &c, &e), 0);
	for (int i = 0; i < 1000 && !is_over; i++)
		assert_true(loop_step(l, USEC_PER_SEC) >= 0);
	assert_true(is_over);
	loop_close(l);
}
#define RUN(deadline, ...) run(deadline, (const char *const[]){ __VA_ARGS__, NULL })

static void success_failure_and_lateness_are_told_apart(void **state)
{
	(void)state;
	RUN(10 * USEC_PER_SEC, "/bin/true");
	assert_int_equal(outcome, 0);
	RUN(10 * USEC_PER_SEC, "/bin/false");
	assert_int_equal(outcome, 1);
	assert_non_null(strstr(said, "without a word"));
	RUN(10 * USEC_PER_SEC, "/bin/ls", "/nonexistent");
	assert_int_equal(outcome, 1);
	assert_non_null(strstr(said, "cannot access '/nonexistent'"));
	RUN(20 * USEC_PER_MSEC, "/bin/sleep", "100");
	assert_int_equal(outcome, -ETIMEDOUT);
}

static void a_program_that_is_not_there_is_an_error_at_once(void **state)
{
	static const char *const argv[] = { "/nonexistent", NULL };
	struct loop *l;
	struct command *c;
	struct err e;

	(void)state;
	assert_int_equal(loop_open(&l, &e), 0);
	assert_int_equal(command_start(l, argv, NULL, 1, ended, NULL, &c, &e), -ENOENT);
	loop_close(l);
}

static const struct {
	const char *output, *complaint;
} complaints[] = {
	{ "", "" },
	{ "one line", "one line" },
	{ "first\nlast\n\n", "last" },
	{ "a\nnginx: [emerg] unknown directive in x:1\nnginx: test failed\n",
	  "unknown directive in x:1" },
	{ "nginx: [warn] old\nnginx: [emerg] new\n", "new" },
	{ "2026/11/21 12:24:09 [emerg] 570#570: unknown directive in x:1\n",
	  "unknown directive in x:1" },
	{ "[date] ERROR: 5 pools are wrong\n", "5 pools are wrong" },
	{ "[date] ERROR: [pool alice] no user\n[date] ERROR: FPM initialization failed\n",
	  "[pool alice] no user" },
};

static void the_line_that_matters_is_found(void **state)
{
	char got[400];

	(void)state;
	for (size_t i = 0; i < ELEMENTS(complaints); i++) {
		command_complaint(complaints[i].output, got, sizeof(got));
		assert_string_equal(got, complaints[i].complaint);
	}
	command_complaint("0123456789", got, 5);
	assert_string_equal(got, "0123");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(success_failure_and_lateness_are_told_apart),
		cmocka_unit_test(a_program_that_is_not_there_is_an_error_at_once),
		cmocka_unit_test(the_line_that_matters_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
