/* The direct manager with harmless programs for daemons: sleep, and grep for one that complains. */
#include "reconcile/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"
#include "reconcile/managers/orphans.h"
#include "tests/unit/cmocka_all.h"

static struct {
	char dir[64], pid_file[100], log_file[100];
	struct host host;
	struct loop *loop;
	struct manager manager;
	char how[600];
	int n_ended;
} t;

static int setup(void **state)
{
	struct err e;

	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/direct_test.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.pid_file, sizeof(t.pid_file), "%s/pid", t.dir);
	snprintf(t.log_file, sizeof(t.log_file), "%s/log", t.dir);
	t.host.log_root = t.dir;
	t.host.manager = MANAGER_DIRECT;
	assert_int_equal(loop_open(&t.loop, &e), 0);
	assert_int_equal(manager_open(&t.host, t.loop, &t.manager, &e), 0);
	return 0;
}

static int teardown(void **state)
{
	autofd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	manager_close(&t.manager);
	loop_close(t.loop);
	assert_int_equal(path_remove_tree(tmp, t.dir + strlen("/tmp/"), NULL), 1);
	return 0;
}

static void ended(struct daemon *d, const char *how, void *data)
{
	(void)d;
	(void)data;
	t.n_ended++;
	snprintf(t.how, sizeof(t.how), "%s", how);
}

static void wait_for_end(int n)
{
	for (int i = 0; i < 500 && t.n_ended < n; i++)
		(void)loop_step(t.loop, 10000);
	assert_int_equal(t.n_ended, n);
}

static struct daemon *start(const char *const *argv)
{
	struct daemon_spec spec = { .argv = argv, .pid_file = t.pid_file, .log_file = t.log_file };
	struct daemon *d = NULL;
	struct err e = { 0 };
	int r = t.manager.type->start(t.manager.self, &spec, ended, NULL, &d, &e);

	if (r < 0)
		print_message("%s\n", e.text);
	assert_int_equal(r, 0);
	return d;
}

static int adopt(const char *const *argv, struct daemon **ret)
{
	struct daemon_spec spec = { .argv = argv, .pid_file = t.pid_file };

	return t.manager.type->adopt(t.manager.self, &spec, ended, NULL, ret, NULL);
}

static void write_pid(pid_t pid)
{
	FILE *f = fopen(t.pid_file, "w");

	fprintf(f, "%d\n", (int)pid);
	fclose(f);
}

static const char *const sleeper[] = { "/usr/bin/sleep", "--", "1000", NULL };

static void a_daemon_is_started_and_its_end_is_heard(void **state)
{
	struct daemon *d = start(sleeper);

	(void)state;
	assert_true(d->pid > 0);
	assert_int_equal(getpgid(d->pid), d->pid);
	assert_int_equal(t.manager.type->signal(t.manager.self, d, SIGTERM, NULL), 0);
	wait_for_end(1);
	assert_string_equal(t.how, "killed by signal 15 (Terminated)");
}

static void its_last_complaint_is_told(void **state)
{
	static const char *const argv[] = { "/usr/bin/grep", "x", "/nonexistent", NULL };

	(void)state;
	start(argv);
	wait_for_end(1);
	assert_string_equal(
		t.how, "exit status 2: /usr/bin/grep: /nonexistent: No such file or directory");
}

static void a_log_elsewhere_is_refused(void **state)
{
	struct daemon_spec spec = { .argv = sleeper, .log_file = "/tmp/elsewhere" };
	struct daemon *d;

	(void)state;
	assert_true(t.manager.type->start(t.manager.self, &spec, ended, NULL, &d, NULL) < 0);
}

static void a_daemon_that_outlived_the_agent_is_adopted(void **state)
{
	struct daemon *d = start(sleeper), *again;
	pid_t pid = d->pid;
	static const char *const other[] = { "/usr/bin/sleep", "-c", "/a/path", NULL };

	(void)state;
	(void)poll(NULL, 0, 20); /* the kernel shows a command line a moment after execve(2) */
	write_pid(pid);
	t.manager.type->release(t.manager.self, d);
	assert_int_equal(adopt(other, &again), -ESRCH);
	assert_int_equal(adopt(sleeper, &again), 0);
	assert_int_equal(again->pid, pid);
	(void)t.manager.type->signal(t.manager.self, again, SIGKILL, NULL);
	wait_for_end(1);
	assert_int_equal(adopt(sleeper, &again), -ESRCH);
}

static void a_number_of_another_program_is_not_believed(void **state)
{
	struct daemon *d;

	(void)state;
	write_pid(getpid());
	assert_int_equal(adopt(sleeper, &d), -ESRCH);
	write_pid(1);
	assert_int_equal(adopt(sleeper, &d), -ESRCH);
}

/* xargs is a master here: its worker, a sleep, stays in its group when it is killed. */
static void what_a_killed_master_left_is_ended(void **state)
{
	static const char *const master[] = { "/usr/bin/env", "-S",
					      "/usr/bin/timeout --foreground 1000 /usr/bin/timeout "
					      "--foreground 999 /usr/bin/sleep 998",
					      NULL };
	static const char *const program[] = { "/usr/bin/timeout", NULL };
	struct spawned process;
	struct err e;
	bool left;

	(void)state;
	assert_int_equal(
		spawn_start(&(struct spawn){ .argv = master, .new_session = true }, &process, &e),
		0);
	(void)poll(NULL, 0, 100);
	(void)kill(process.pid, SIGKILL);
	assert_int_equal(waitpid(process.pid, NULL, 0), process.pid);
	close(process.pidfd);
	assert_int_equal(kill(-process.pid, 0), 0); /* its worker is still there */
	write_pid(process.pid);
	assert_false(orphans_end(process.pid, "/usr/bin/grep")); /* not that program: not touched */
	left = orphans_end(process.pid, program[0]);
	assert_true(left);
	(void)kill(-process.pid, SIGKILL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_daemon_is_started_and_its_end_is_heard),
		CASE(its_last_complaint_is_told),
		CASE(a_log_elsewhere_is_refused),
		CASE(a_daemon_that_outlived_the_agent_is_adopted),
		CASE(a_number_of_another_program_is_not_believed),
		CASE(what_a_killed_master_left_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
