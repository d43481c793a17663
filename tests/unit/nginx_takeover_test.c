/*
 * An agent that follows one which was killed at a bad moment: while its nginx was
 * still starting, or with an nginx that ends before it has said what it serves.
 * Whoever runs by then is found, nothing is believed that another says, nobody
 * waits for ever. Skipped where one may not make namespaces, or has no nginx.
 */
#include "tests/unit/nginx_fixture.h"

#define SOME 1500 /* with so many nginx takes its time to start */

static bool is_our_nginx(pid_t pid)
{
	autofree char *path = memory_printf("/proc/%d/cmdline", (int)pid);
	char line[512] = "";
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(line, 1, sizeof(line) - 1, f) : 0;

	if (f)
		fclose(f);
	for (size_t i = 0; i < n; i++)
		line[i] = line[i] == '\0' ? ' ' : line[i];
	return strstr(line, t.dir) && strstr(line, "daemon off");
}

/* The child that is nginx of this test, other than one. */
static pid_t nginx_child(pid_t but)
{
	FILE *f = fopen("/proc/thread-self/children", "r");
	int pid, found = 0;

	assert_non_null(f);
	while (fscanf(f, "%d", &pid) == 1)
		if (pid != but && is_our_nginx(pid))
			found = pid;
	fclose(f);
	return found;
}

static pid_t await_nginx_child(pid_t but)
{
	uint64_t until = clock_usec() + 30 * USEC_PER_SEC;
	pid_t pid;

	while ((pid = nginx_child(but)) == 0 && clock_usec() < until)
		(void)loop_step(t.loop, 1000);
	assert_int_not_equal(pid, 0);
	return pid;
}

static void serve_some(const char *extra)
{
	serve(0, extra);
	for (int i = 1; i < SOME; i++)
		serve(i, "");
}

/* An agent has started nginx and is gone, nginx not yet to be seen: returned stopped. */
static pid_t leave_nginx_starting(void)
{
	pid_t first;

	make_page(0);
	serve_some("");
	type->publish(t.service);
	first = await_nginx_child(0);
	t.left = first;
	assert_int_equal(kill(first, SIGSTOP), 0);
	assert_int_equal(nginx_pid(), 0);
	close_agent();
	memset(t.counts, 0, sizeof(t.counts));
	open_agent();
	serve_some(", \"more.test\"");
	return first;
}

static void assert_first_serves(pid_t first)
{
	uint64_t until = clock_usec() + 30 * USEC_PER_SEC;

	while (strcmp(t.reason, "Served") != 0 && clock_usec() < until)
		(void)loop_step(t.loop, 10000);
	settle();
	assert_string_equal(t.reason, "Served");
	assert_int_equal(t.counts[REPORT_HOST_FAULT], 0);
	if (first == 0) /* whichever of two won the port */
		first = nginx_pid();
	assert_int_equal(nginx_pid(), first);
	assert_page("more.test", "page of user0");
	serve(0, ", \"later.test\"");
	publish();
	assert_page("later.test", "page of user0");
	assert_int_equal(nginx_pid(), first);
}

static void one_that_has_started_meanwhile_is_taken_over(void **state)
{
	pid_t first = leave_nginx_starting();

	(void)state;
	assert_int_equal(kill(first, SIGCONT), 0);
	for (int i = 0; i < 1000 && nginx_pid() == 0; i++)
		(void)poll(NULL, 0, 10);
	publish();
	assert_int_equal(nginx_child(first), 0);
	assert_first_serves(first);
}

static void one_that_comes_up_after_the_next_was_started_is_taken_over(void **state)
{
	pid_t first = leave_nginx_starting(), second;

	(void)state;
	type->publish(t.service);
	second = await_nginx_child(first);
	assert_int_equal(kill(second, SIGSTOP), 0);
	assert_int_equal(kill(first, SIGCONT), 0);
	/* It answers, with what is wanted even; but it is not the one that was started. */
	for (int i = 0; i < 1000 && nginx_pid() == 0; i++)
		(void)poll(NULL, 0, 10);
	for (int i = 0; i < 50; i++)
		(void)loop_step(t.loop, 10000);
	assert_string_not_equal(t.reason, "Served");
	assert_int_equal(kill(second, SIGCONT), 0);
	assert_first_serves(0);
}

static void one_without_a_pid_file_is_found_by_its_socket(void **state)
{
	pid_t first;

	(void)state;
	make_page(0);
	serve(0, "");
	publish();
	first = nginx_pid();
	assert_true(first > 1);
	t.left = first;
	close_agent();
	put("run/nginx/nginx.pid", "");
	open_agent();
	serve(0, ", \"more.test\"");
	publish();
	assert_string_equal(t.reason, "Served");
	assert_page("more.test", "page of user0");
	assert_int_equal(nginx_child(first), 0);
}

static void one_that_ends_before_its_first_answer_is_waited_for_no_more(void **state)
{
	pid_t first;

	(void)state;
	make_page(0);
	serve(0, "");
	publish();
	first = nginx_pid();
	assert_true(first > 1);
	t.left = first;
	close_agent();
	assert_int_equal(kill(-first, SIGSTOP), 0);
	open_agent();
	serve(0, ", \"more.test\"");
	type->publish(t.service);
	assert_false(type->idle(t.service));
	assert_int_equal(kill(-first, SIGKILL), 0);
	settle();
	assert_string_equal(t.reason, "Served");
	assert_int_not_equal(nginx_pid(), first);
	assert_page("more.test", "page of user0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(one_that_has_started_meanwhile_is_taken_over),
		CASE(one_that_comes_up_after_the_next_was_started_is_taken_over),
		CASE(one_without_a_pid_file_is_found_by_its_socket),
		CASE(one_that_ends_before_its_first_answer_is_waited_for_no_more),
	};

	if (!is_possible()) {
		print_message("skipped: needs root, namespaces and nginx\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
