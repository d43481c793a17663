/* The admin's program for TXT records: how it is called, and that one call follows the other. */
#include "acme/client/hook.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

static struct loop *loop;
static struct hooks *hooks;
static char path[200], told[1000], who[][2] = { "a", "b", "c" };

/* Each call is a line of the file `calls`: begin and end, so that two at a time would show. */
static void write_hook(const char *body)
{
	FILE *f;

	snprintf(path, sizeof path, "%s/hook", root);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f,
		"#!/bin/sh\necho \"begin $* $WEBSPACES_NAME $WEBSPACES_RECORD $WEBSPACES_VALUE\" "
		">> %s/calls\n"
		"%s\necho end >> %s/calls\n",
		root, body, root);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0700), 0);
}

static const char *calls(void)
{
	static char text[2000];
	autofree char *content = NULL;
	size_t len;

	text[0] = '\0';
	if (path_read(dir, "calls", sizeof text - 1, &content, &len, NULL) == 0)
		snprintf(text, sizeof text, "%s", content);
	return text;
}

static int set_up(void **state)
{
	(void)state;
	alarm(20);
	told[0] = '\0';
	(void)unlinkat(dir, "calls", 0);
	return loop_open(&loop, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	hooks_close(hooks);
	hooks = NULL;
	loop_close(loop);
	return 0;
}

static void open_hooks(const char *body)
{
	write_hook(body);
	hooks = hooks_open(loop, path, 10);
}

static void on_end(const char *problem, void *data)
{
	size_t len = strlen(told);

	snprintf(told + len, sizeof told - len, "%s%s%s%s", len ? " " : "", (const char *)data,
		 problem ? "-" : "+", problem ? problem : "");
}

static void step_until(const char *what)
{
	uint64_t late = clock_usec() + 5 * USEC_PER_SEC;

	while (!strstr(calls(), what) && clock_usec() < late)
		(void)loop_step(loop, 20 * USEC_PER_MSEC);
	(void)loop_step(loop, 50 * USEC_PER_MSEC);
	(void)loop_step(loop, 50 * USEC_PER_MSEC);
}

static void a_call_says_what_is_to_be_done_with_which_record(void **state)
{
	(void)state;
	open_hooks(":");
	(void)hook_run(hooks, true, "a.org", "value-1", on_end, who[0]);
	(void)hook_run(hooks, false, "a.org", "value-1", on_end, who[1]);
	step_until("cleanup a.org _acme-challenge.a.org. value-1\nend");
	assert_string_equal(calls(), "begin present a.org _acme-challenge.a.org. value-1\nend\n"
				     "begin cleanup a.org _acme-challenge.a.org. value-1\nend\n");
	assert_string_equal(told, "a+ b+");
}

static void one_runs_at_a_time_in_the_order_of_asking(void **state)
{
	(void)state;
	open_hooks("sleep 0.1");
	(void)hook_run(hooks, true, "a.org", "1", on_end, who[0]);
	(void)hook_run(hooks, true, "b.org", "2", on_end, who[1]);
	(void)hook_run(hooks, true, "c.org", "3", on_end, who[2]);
	step_until("c.org. 3\nend");
	assert_string_equal(calls(), "begin present a.org _acme-challenge.a.org. 1\nend\n"
				     "begin present b.org _acme-challenge.b.org. 2\nend\n"
				     "begin present c.org _acme-challenge.c.org. 3\nend\n");
	assert_string_equal(told, "a+ b+ c+");
}

static void what_a_failing_one_says_is_handed_on_and_the_next_one_runs(void **state)
{
	char expected[1000];

	(void)state;
	open_hooks("[ $WEBSPACES_VALUE != bad ] || { echo hello; echo the zone is locked >&2; exit "
		   "1; }");
	(void)hook_run(hooks, true, "a.org", "bad", on_end, who[0]);
	(void)hook_run(hooks, false, "b.org", "bad", on_end, who[1]);
	(void)hook_run(hooks, true, "c.org", "good", on_end, who[2]);
	step_until("good\nend");
	snprintf(expected, sizeof expected,
		 "a-present for a.org failed: %s: the zone is locked "
		 "b-cleanup for b.org failed: %s: the zone is locked c+",
		 path, path);
	assert_string_equal(told, expected);
}

static void a_dropped_call_is_not_begun_and_one_that_runs_goes_on_unheard(void **state)
{
	struct hook_call *a, *b;

	(void)state;
	open_hooks("sleep 0.2");
	a = hook_run(hooks, true, "a.org", "1", on_end, who[0]);
	b = hook_run(hooks, true, "b.org", "2", on_end, who[1]);
	step_until("a.org. 1\n");
	assert_true(hook_drop(a));
	assert_false(hook_drop(b));
	(void)hook_run(hooks, true, "c.org", "3", on_end, who[2]);
	step_until("c.org. 3\nend");
	assert_string_equal(calls(), "begin present a.org _acme-challenge.a.org. 1\nend\n"
				     "begin present c.org _acme-challenge.c.org. 3\nend\n");
	assert_string_equal(told, "c+");
}

static void nothing_is_told_after_the_end(void **state)
{
	(void)state;
	open_hooks("sleep 5");
	(void)hook_run(hooks, true, "a.org", "1", on_end, who[0]);
	(void)hook_run(hooks, true, "b.org", "2", on_end, who[1]);
	step_until("a.org. 1\n");
	hooks_close(hooks);
	hooks = NULL;
	(void)loop_step(loop, 50 * USEC_PER_MSEC);
	assert_string_equal(told, "");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_call_says_what_is_to_be_done_with_which_record),
		CASE(one_runs_at_a_time_in_the_order_of_asking),
		CASE(what_a_failing_one_says_is_handed_on_and_the_next_one_runs),
		CASE(a_dropped_call_is_not_begun_and_one_that_runs_goes_on_unheard),
		CASE(nothing_is_told_after_the_end),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
