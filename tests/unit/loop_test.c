/* One loop a test; a case that hangs is ended by alarm(2). */
#include "agent/base/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"

static struct loop *loop;
static struct loop_source *own;
static char order[32];
static uint64_t called_at;

static int begin(void **state)
{
	(void)state;
	memset(order, 0, sizeof(order));
	alarm(20);
	return loop_open(&loop, NULL);
}

static int end(void **state)
{
	(void)state;
	loop_close(loop);
	return 0;
}

static void say(char c)
{
	size_t len = strlen(order);

	if (len < sizeof(order) - 1)
		order[len] = c;
}

static void stop(void *data)
{
	(void)data;
	called_at = clock_usec();
	loop_stop(loop, 42);
}

static void say_t(void *data)
{
	(void)data;
	say('t');
}

static void say_i(void *data)
{
	(void)data;
	say('i');
}

static void say_s(void *data)
{
	(void)data;
	say('s');
}

static void read_one(int fd, uint32_t events, void *data)
{
	char c = '?';

	(void)data;
	assert_true(events & EPOLLIN);
	assert_int_equal(read(fd, &c, 1), 1);
	say(c);
	if (c == '.')
		loop_stop(loop, 0);
}

static void a_timer_fires_once_and_soon(void **state)
{
	autoloop_source struct loop_source *late = NULL, *never = NULL, *early = NULL;
	uint64_t now = clock_usec();

	(void)state;
	never = loop_timer(loop, UINT64_MAX, say_t, NULL);
	early = loop_timer(loop, now + 10000, say_t, NULL);
	late = loop_timer(loop, now + 50000, stop, NULL);
	assert_int_equal(loop_run(loop), 42);
	assert_string_equal(order, "t");
	assert_in_range(called_at - now, 50000, 90000);
}

static void a_timer_can_be_set_again(void **state)
{
	autoloop_source struct loop_source *again = NULL;
	uint64_t now = clock_usec();

	(void)state;
	again = loop_timer(loop, UINT64_MAX, stop, NULL);
	loop_timer_set(again, now + USEC_PER_SEC * 9);
	loop_timer_set(again, now + 20000);
	assert_int_equal(loop_run(loop), 42);
	assert_in_range(called_at - now, 20000, 60000);
}

static void rearm(void *data)
{
	say('r');
	if (strlen(order) < 3)
		loop_timer_set(*(struct loop_source **)data, clock_usec());
	else
		loop_stop(loop, 0);
}

static void a_timer_can_be_set_from_its_own_callback(void **state)
{
	(void)state;
	own = loop_timer(loop, 0, rearm, &own);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(order, "rrr");
	loop_drop(own);
}

static void a_descriptor_is_called_while_it_is_readable(void **state)
{
	autoloop_source struct loop_source *source = NULL;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "abc.", 4), 4);
	source = loop_fd(loop, fds[0], EPOLLIN, read_one, NULL);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(order, "abc.");
	close(fds[0]);
	close(fds[1]);
}

static void idle_work_comes_after_everything_that_is_pending(void **state)
{
	autoloop_source struct loop_source *source = NULL, *idle = NULL;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	idle = loop_idle(loop, say_i, NULL);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	source = loop_fd(loop, fds[0], EPOLLIN, read_one, NULL);
	autoloop_source struct loop_source *later = loop_timer(loop, clock_usec() + 30000, stop, 0);
	assert_int_equal(loop_run(loop), 42);
	assert_string_equal(order, "abci");
	close(fds[0]);
	close(fds[1]);
}

static void work_in_slices(void *data)
{
	say('w');
	if (strlen(order) < 4)
		loop_idle_set(*(struct loop_source **)data);
	else
		loop_stop(loop, 0);
}

static void idle_work_goes_on_only_when_set_again(void **state)
{
	(void)state;
	own = loop_idle(loop, work_in_slices, &own);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(order, "wwww");
	loop_drop(own);
}

static void drop_own(void *data)
{
	loop_drop_at(data);
	say('d');
}

static void drop_own_fd(int fd, uint32_t events, void *data)
{
	(void)fd;
	(void)events;
	drop_own(data);
}

static void a_source_can_drop_itself_and_others_in_its_callback(void **state)
{
	struct loop_source *timer, *idle, *source, *sig, *victim;
	autoloop_source struct loop_source *later = loop_timer(loop, clock_usec() + 30000, stop, 0);
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	timer = loop_timer(loop, 0, drop_own, &timer);
	idle = loop_idle(loop, drop_own, &idle);
	source = loop_fd(loop, fds[0], EPOLLIN, drop_own_fd, &source);
	sig = loop_signal(loop, SIGUSR1, drop_own, &sig);
	victim = loop_idle(loop, say_i, NULL);
	autoloop_source struct loop_source *killer = loop_timer(loop, 0, drop_own, &victim);
	raise(SIGUSR1);
	assert_int_equal(loop_run(loop), 42);
	assert_string_equal(order, "ddddd");
	assert_true(!timer && !idle && !source && !sig && !victim);
	close(fds[0]);
	close(fds[1]);
}

static void a_signal_is_caught_and_no_longer_deadly(void **state)
{
	autoloop_source struct loop_source *sig = NULL, *later = NULL;

	(void)state;
	sig = loop_signal(loop, SIGHUP, say_s, NULL);
	later = loop_timer(loop, clock_usec() + 30000, stop, NULL);
	raise(SIGHUP);
	assert_int_equal(loop_run(loop), 42);
	assert_string_equal(order, "s");
}

static void child_ended(int fd, uint32_t events, void *data)
{
	(void)fd;
	(void)events;
	(void)data;
	loop_stop(loop, 7);
}

static void the_end_of_a_child_is_a_readable_descriptor(void **state)
{
	autoloop_source struct loop_source *source = NULL;
	autofd int fd = -1;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	fd = pidfd_open(pid, 0);
	source = loop_fd(loop, fd, EPOLLIN, child_ended, NULL);
	assert_int_equal(loop_run(loop), 7);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_source_may_outlive_its_loop(void **state)
{
	struct loop *other = NULL;
	struct loop_source *timer;

	(void)state;
	assert_int_equal(loop_open(&other, NULL), 0);
	timer = loop_timer(other, UINT64_MAX, stop, NULL);
	loop_close(other);
	loop_drop(timer);
	loop_drop(NULL);
	loop_close(NULL);
}

static void the_manager_is_told_where_there_is_one(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(sa_family_t);
	char text[64] = "", path[128] = "@";

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	loop_notify("READY=1");
	assert_int_equal(loop_watchdog_usec(), 0);

	/* An abstract name that the kernel chooses. */
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	len = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	memcpy(path + 1, address.sun_path + 1, len - sizeof(sa_family_t) - 1);
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("WATCHDOG_USEC", "3000000", 1);
	loop_notify("READY=1");
	assert_true(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
	assert_string_equal(text, "READY=1");
	assert_int_equal(loop_watchdog_usec(), 3000000);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
}

static void a_reader_that_does_not_read_holds_nobody_up(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 1;

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/loop-test.%d", (int)getpid());
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	for (int i = 0; i < 100000 && r == 1; i++)
		r = loop_notify("STATUS=again");
	unlink(address.sun_path);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(r, -EAGAIN);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(a_timer_fires_once_and_soon),
		LOOP_TEST(a_timer_can_be_set_again),
		LOOP_TEST(a_timer_can_be_set_from_its_own_callback),
		LOOP_TEST(a_descriptor_is_called_while_it_is_readable),
		LOOP_TEST(idle_work_comes_after_everything_that_is_pending),
		LOOP_TEST(idle_work_goes_on_only_when_set_again),
		LOOP_TEST(a_source_can_drop_itself_and_others_in_its_callback),
		LOOP_TEST(a_signal_is_caught_and_no_longer_deadly),
		LOOP_TEST(the_end_of_a_child_is_a_readable_descriptor),
		LOOP_TEST(a_source_may_outlive_its_loop),
		LOOP_TEST(the_manager_is_told_where_there_is_one),
		LOOP_TEST(a_reader_that_does_not_read_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
