/* The kernel tells who waits to be accepted, at real sockets of this process. */
#include "reconcile/services/php/backlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static struct loop *loop;
static char told[200];
static unsigned n_waiting;
static int n_done;

static struct sockaddr_un address(int i)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/backlog-test.%d.%d", (int)getpid(), i);
	return at;
}

static int listen_at(int i)
{
	const struct sockaddr_un at = address(i);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unlink(at.sun_path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static int connect_to(int i)
{
	const struct sockaddr_un at = address(i);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void waiting(const char *path, unsigned n, void *data)
{
	(void)data;
	if (strstr(path, "backlog-test") && strstr(path, strrchr(address(0).sun_path, '/'))) {
		snprintf(told, sizeof(told), "%s", path);
		n_waiting += n;
	}
}

static void done(bool complete, void *data)
{
	(void)data;
	assert_true(complete);
	n_done++;
}

static const struct backlog_fns fns = { .waiting = waiting, .done = done };

static void ask(void)
{
	struct backlog *b;

	told[0] = '\0';
	n_waiting = 0;
	n_done = 0;
	assert_int_equal(backlog_ask(loop, &fns, NULL, &b, NULL), 0);
	assert_int_equal(n_done, 0);
	for (int i = 0; i < 100 && !n_done; i++)
		loop_step(loop, 100000);
	assert_int_equal(n_done, 1);
}

static int set_up(void **state)
{
	(void)state;
	return loop_open(&loop, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	loop_close(loop);
	return 0;
}

static void who_waits_is_told_until_accepted(void **state)
{
	autofd int server = listen_at(0);
	autofd int a = -1, b = -1, first = -1, second = -1;

	(void)state;
	ask();
	assert_int_equal(n_waiting, 0);
	a = connect_to(0);
	b = connect_to(0);
	ask();
	assert_int_equal(n_waiting, 2);
	assert_string_equal(told, address(0).sun_path);
	first = accept(server, NULL, NULL);
	ask();
	assert_int_equal(n_waiting, 1);
	second = accept(server, NULL, NULL);
	ask();
	assert_int_equal(n_waiting, 0);
	(void)unlink(address(0).sun_path);
}

static void a_question_can_be_forgotten(void **state)
{
	struct backlog *b;

	(void)state;
	n_done = 0;
	assert_int_equal(backlog_ask(loop, &fns, NULL, &b, NULL), 0);
	backlog_forget(b);
	loop_step(loop, 20000);
	assert_int_equal(n_done, 0);
}

static void many_sockets_are_told_in_slices(void **state)
{
	int servers[600];

	(void)state;
	for (int i = 0; i < 600; i++)
		servers[i] = listen_at(i);
	ask();
	assert_int_equal(n_waiting, 0);
	for (int i = 0; i < 600; i++) {
		close(servers[i]);
		(void)unlink(address(i).sun_path);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_waits_is_told_until_accepted),
		TEST(a_question_can_be_forgotten),
		TEST(many_sockets_are_told_in_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
