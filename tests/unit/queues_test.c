/* Whether somebody waits at another process' sockets, at a child that listens and never accepts. */
#include "reconcile/services/queues.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

#define SOCKETS 3

static char dir[] = "/tmp/queues-test.XXXXXX";
static pid_t child;
static int accept_one[2], accepted[2];

static struct sockaddr_un address(int i)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/%d", dir, i);
	return at;
}

/* Has a readable pipe and a file besides: that is nobody who waits. */
static void serve(void)
{
	int fds[SOCKETS], noise[2], i;
	char which;

	if (open("/dev/null", O_RDWR) < 0 || pipe(noise) < 0 || write(noise[1], "x", 1) != 1)
		_exit(1);
	for (i = 0; i < SOCKETS; i++) {
		const struct sockaddr_un at = address(i);

		fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		if (bind(fds[i], (const struct sockaddr *)&at, sizeof(at)) < 0 ||
		    listen(fds[i], 8) < 0)
			_exit(1);
	}
	do
		if (write(accepted[1], "r", 1) != 1)
			_exit(1);
	while (read(accept_one[0], &which, 1) == 1 && accept(fds[(int)which], NULL, NULL) >= 0);
	_exit(0);
}

static void wait_for_child(void)
{
	char c;

	assert_int_equal(read(accepted[0], &c, 1), 1);
}

static int set_up(void **state)
{
	(void)state;
	memcpy(strrchr(dir, '.'), ".XXXXXX", 7);
	if (!mkdtemp(dir) || pipe2(accept_one, O_CLOEXEC) < 0 || pipe2(accepted, O_CLOEXEC) < 0)
		return -1;
	child = fork();
	if (child == 0)
		serve();
	wait_for_child();
	return child < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	for (int i = 0; i < SOCKETS; i++)
		(void)unlink(address(i).sun_path);
	for (int i = 0; i < 2; i++) {
		close(accept_one[i]);
		close(accepted[i]);
	}
	return rmdir(dir);
}

static struct queues *borrow(void)
{
	struct queues *q = NULL;
	struct err e = { 0 };

	if (queues_borrow(child, dir, 100, &q, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(queues_count(q) >= SOCKETS);
	return q;
}

static int connect_to(int i)
{
	const struct sockaddr_un at = address(i);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void who_waits_at_any_of_them_is_seen_until_accepted(void **state)
{
	struct queues *q = borrow();

	(void)state;
	assert_false(queues_waiting(q));
	for (int i = 0; i < SOCKETS; i++) {
		autofd int a = connect_to(i), b = connect_to(i);
		char which = (char)i;

		assert_true(queues_waiting(q));
		assert_int_equal(write(accept_one[1], &which, 1), 1);
		wait_for_child();
		assert_true(queues_waiting(q));
		assert_int_equal(write(accept_one[1], &which, 1), 1);
		wait_for_child();
		assert_false(queues_waiting(q));
	}
	queues_return(q);
}

static void who_waited_before_is_seen(void **state)
{
	autofd int a = connect_to(1);
	struct queues *q = borrow();

	(void)state;
	assert_true(queues_waiting(q));
	queues_return(q);
}

static void what_is_given_back_ends_with_its_owner(void **state)
{
	struct queues *q = borrow();
	const struct sockaddr_un at = address(0);
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	queues_return(q);
	kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), -1);
	assert_int_equal(errno, ECONNREFUSED);
}

static void a_process_that_listens_elsewhere_is_not_the_one(void **state)
{
	struct queues *q = NULL;

	(void)state;
	assert_int_equal(queues_borrow(child, "/tmp/queues-test", 100, &q, NULL), -ESRCH);
	assert_int_equal(queues_borrow(getpid(), dir, 1000, &q, NULL), -ESRCH);
	assert_int_equal(queues_borrow(child, dir, SOCKETS, &q, NULL), -EMFILE);
	assert_null(q);
	assert_int_equal(queues_count(NULL), 0);
	queues_return(NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_waits_at_any_of_them_is_seen_until_accepted),
		TEST(who_waited_before_is_seen),
		TEST(what_is_given_back_ends_with_its_owner),
		TEST(a_process_that_listens_elsewhere_is_not_the_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
