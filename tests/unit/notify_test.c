/* What systemd hears of the agent: by a socket of the test's own, in place of systemd's. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/notify.h"
#include "reconcile/pass/pass.h"
#include "tests/unit/cmocka_all.h"

#define BEAT_USEC (10 * USEC_PER_MSEC)

static struct host host = { .reconcile = { .full_pass_s = 60 } };
static struct reconcile reconcile;
static struct notify *notify;
static struct loop *loop;
static int systemd = -1;

static int set_up(void **state)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(name);
	char text[40];

	(void)state;
	systemd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The kernel gives it an abstract name. */
	assert_int_equal(bind(systemd, (struct sockaddr *)&name, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(systemd, (struct sockaddr *)&name, &len), 0);
	snprintf(text, sizeof(text), "@%.30s", name.sun_path + 1);
	setenv("NOTIFY_SOCKET", text, 1);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(3 * BEAT_USEC));
	setenv("WATCHDOG_USEC", text, 1);
	unsetenv("WATCHDOG_PID");
	reconcile = (struct reconcile){ .config.host = &host, .seen_usec = clock_usec() };
	assert_int_equal(loop_open(&loop, NULL), 0);
	notify = notify_open(loop, &reconcile);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	notify_close(notify);
	loop_close(loop);
	close(systemd);
	return 0;
}

/* "": nothing is said. */
static const char *heard(void)
{
	static char text[500];
	ssize_t n = recv(systemd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void wait_for_a_beat(void)
{
	assert_int_equal(loop_step(loop, 10 * USEC_PER_SEC), 1);
}

static void it_is_ready_when_it_is_idle_for_the_first_time(void **state)
{
	(void)state;
	wait_for_a_beat();
	assert_string_equal(heard(), "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000");
	notify_idle(notify);
	assert_string_equal(heard(), "READY=1\nSTATUS=0 webspaces; generation 0");
	notify_idle(notify);
	assert_string_equal(heard(), "STATUS=0 webspaces; generation 0");
	wait_for_a_beat();
	assert_string_equal(heard(), "WATCHDOG=1");
}

static void a_reload_is_over_when_it_is_idle_again(void **state)
{
	(void)state;
	notify_idle(notify);
	(void)heard();
	notify_reloading(notify);
	assert_int_equal(strncmp(heard(), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	wait_for_a_beat();
	assert_non_null(strstr(heard(), "EXTEND_TIMEOUT_USEC="));
	notify_idle(notify);
	assert_int_equal(strncmp(heard(), "READY=1\n", 8), 0);
}

static void nothing_is_said_while_passes_do_not_get_through(void **state)
{
	(void)state;
	reconcile.due_usec = 1; /* a slice is due since the machine was switched on */
	for (unsigned i = 0; i < 3; i++) {
		wait_for_a_beat();
		assert_string_equal(heard(), "");
	}
	reconcile.due_usec = 0;
	wait_for_a_beat();
	assert_int_equal(strncmp(heard(), "WATCHDOG=1", 10), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		ROW(it_is_ready_when_it_is_idle_for_the_first_time),
		ROW(a_reload_is_over_when_it_is_idle_again),
		ROW(nothing_is_said_while_passes_do_not_get_through),
#undef ROW
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
