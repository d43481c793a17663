/*
 * sd-bus, driven by our loop: it says which descriptor, which events and until
 * when it wants to wait, and is asked again after everything that may have
 * changed that.
 *
 * A job's end is a signal, JobRemoved, and is listened for before anything is
 * started. When the connection is lost (systemd executes itself anew at an
 * update), whoever waits is told so, and the next question opens another.
 */
#include "reconcile/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-bus.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"

#define SERVICE  "org.freedesktop.systemd1"
#define OBJECT   "/org/freedesktop/systemd1"
#define MANAGER  SERVICE ".Manager"
#define PRIVATE  "unix:path=/run/systemd/private"
#define TURN_MAX 64 /* messages handled before others get their turn */

struct bus {
	sd_bus *connection; /* NULL: lost */
	struct loop *loop;
	struct loop_source *readiness, *timer;
	int fd;
	uint32_t events;
	struct bus_task *tasks;
};

struct bus_task {
	struct bus *bus;
	struct bus_task *next;
	sd_bus_slot *slot; /* of the call; the job is waited for after its answer */
	char *job;         /* NULL: not known yet */
	bus_job_fn *job_fn;
	bus_pid_fn *pid_fn;
	void *data;
};

static void wait_again(struct bus *b);

void bus_forget(struct bus_task *t)
{
	struct bus_task **at;

	if (!t)
		return;
	for (at = &t->bus->tasks; *at && *at != t; at = &(*at)->next)
		;
	if (*at)
		*at = t->next;
	sd_bus_slot_unref(t->slot);
	free(t->job);
	free(t);
}

static void task_end(struct bus_task *t, const char *how, pid_t pid)
{
	struct bus_task copy = *t;

	bus_forget(t);
	if (copy.job_fn)
		copy.job_fn(how, copy.data);
	if (copy.pid_fn)
		copy.pid_fn(pid, how, copy.data);
}

static int job_removed(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct bus *b = data;
	struct bus_task *t;
	const char *job, *unit, *result;
	uint32_t id;

	(void)error;
	if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0)
		return 0;
	for (t = b->tasks; t && !(t->job && strcmp(t->job, job) == 0); t = t->next)
		;
	if (t)
		task_end(t, result, 0);
	return 0;
}

/* Connection ---------------------------------------------------------- */

static int connect_private(sd_bus **ret)
{
	sd_bus *c = NULL;
	int r = sd_bus_new(&c);

	if (r >= 0)
		r = sd_bus_set_address(c, PRIVATE);
	if (r >= 0)
		r = sd_bus_start(c);
	if (r < 0) {
		sd_bus_unref(c);
		return r;
	}
	*ret = c;
	return 0;
}

static int listen_for_jobs(struct bus *b, const char *sender)
{
	int r = sd_bus_match_signal_async(b->connection, NULL, sender, OBJECT, MANAGER,
					  "JobRemoved", job_removed, NULL, b);

	if (r >= 0 && sender) /* on its own socket systemd tells without being asked */
		r = sd_bus_call_method_async(b->connection, NULL, SERVICE, OBJECT, MANAGER,
					     "Subscribe", NULL, NULL, "");
	return r;
}

static int connect_to(struct bus *b, struct err *e)
{
	const char *sender = NULL;
	int r;

	if (b->connection)
		return 0;
	r = connect_private(&b->connection);
	if (r < 0) {
		sender = SERVICE;
		r = sd_bus_open_system(&b->connection);
	}
	if (r >= 0)
		r = listen_for_jobs(b, sender);
	if (r < 0) {
		b->connection = sd_bus_close_unref(b->connection);
		errno = -r;
		return err_sys(e, "connect to systemd");
	}
	b->fd = sd_bus_get_fd(b->connection);
	wait_again(b);
	return 0;
}

static void disconnect(struct bus *b)
{
	loop_drop(b->readiness);
	b->readiness = NULL;
	b->connection = sd_bus_close_unref(b->connection);
}

static void lost(struct bus *b)
{
	disconnect(b);
	loop_timer_set(b->timer, UINT64_MAX);
	while (b->tasks)
		task_end(b->tasks, "the connection to systemd was lost", 0);
}

static void process(struct bus *b)
{
	int r = 1;

	for (int n = 0; n < TURN_MAX && r > 0; n++)
		r = b->connection ? sd_bus_process(b->connection, NULL) : 0;
	if (r < 0)
		lost(b);
	else if (b->connection)
		wait_again(b);
}

static void ready(int fd, uint32_t events, void *data)
{
	(void)fd;
	(void)events;
	process(data);
}

static void due(void *data)
{
	process(data);
}

/* Asks sd-bus anew what it waits for: after each call and each turn. */
static void wait_again(struct bus *b)
{
	int wanted = sd_bus_get_events(b->connection);
	uint32_t events =
		wanted < 0 ? EPOLLIN : (uint32_t)wanted; /* poll's and epoll's bits are the same */
	uint64_t until = UINT64_MAX;

	if (!b->readiness || events != b->events) {
		loop_drop(b->readiness);
		b->readiness = loop_fd(b->loop, b->fd, events, ready, b);
		b->events = events;
	}
	if (sd_bus_get_timeout(b->connection, &until) < 0)
		until = UINT64_MAX;
	loop_timer_set(b->timer, until);
}

int bus_open(struct loop *loop, struct bus **ret, struct err *e)
{
	struct bus *b = memory_new(sizeof(*b));
	int r;

	b->loop = loop;
	b->timer = loop_timer(loop, UINT64_MAX, due, b);
	r = connect_to(b, e);
	if (r < 0) {
		bus_close(b);
		return r;
	}
	*ret = b;
	return 0;
}

void bus_close(struct bus *b)
{
	if (!b)
		return;
	while (b->tasks)
		bus_forget(b->tasks);
	if (b->connection) {
		(void)sd_bus_flush(b->connection);
		disconnect(b);
	}
	loop_drop(b->timer);
	free(b);
}

/* Questions ----------------------------------------------------------- */

static const char *complaint(sd_bus_message *m)
{
	const sd_bus_error *error = sd_bus_message_get_error(m);

	return error ? (error->message ? error->message : error->name) : NULL;
}

static int job_accepted(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct bus_task *t = data;
	const char *job, *wrong = complaint(m);

	(void)error;
	if (!wrong && sd_bus_message_read(m, "o", &job) < 0)
		wrong = "systemd gave an answer that is not understood";
	if (wrong)
		task_end(t, wrong, 0);
	else
		t->job = memory_dup(job);
	return 0;
}

static int pid_told(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct bus_task *t = data;
	const char *wrong = complaint(m);
	uint32_t pid = 0;

	(void)error;
	if (!wrong && sd_bus_message_read(m, "v", "u", &pid) < 0)
		wrong = "systemd gave an answer that is not understood";
	task_end(t, wrong, (pid_t)pid);
	return 0;
}

static struct bus_task *task_new(struct bus *b, void *data)
{
	struct bus_task *t = memory_new(sizeof(*t));

	t->bus = b;
	t->data = data;
	t->next = b->tasks;
	b->tasks = t;
	return t;
}

/* r: of the call that was queued. */
static int asked(struct bus *b, int r, const char *what, const char *unit, struct err *e)
{
	if (r < 0) {
		errno = -r;
		return err_sys(e, "%s %s", what, unit);
	}
	wait_again(b);
	return 0;
}

int bus_unit_job(struct bus *b, const char *method, const char *unit, bus_job_fn *fn, void *data,
		 struct bus_task **ret, struct err *e)
{
	struct bus_task *t = NULL;
	int r = connect_to(b, e);

	if (r < 0)
		return r;
	if (fn) {
		t = task_new(b, data);
		t->job_fn = fn;
	}
	r = sd_bus_call_method_async(b->connection, t ? &t->slot : NULL, SERVICE, OBJECT, MANAGER,
				     method, t ? job_accepted : NULL, t, "ss", unit, "fail");
	r = asked(b, r, method, unit, e);
	if (r < 0)
		bus_forget(t);
	else if (fn)
		*ret = t;
	return r;
}

int bus_main_pid(struct bus *b, const char *unit, bus_pid_fn *fn, void *data, struct bus_task **ret,
		 struct err *e)
{
	autofree char *object = NULL;
	struct bus_task *t;
	int r = connect_to(b, e);

	if (r < 0)
		return r;
	if (sd_bus_path_encode(OBJECT "/unit", unit, &object) < 0)
		return err_set(e, EINVAL, "%s is not the name of a unit", unit);
	t = task_new(b, data);
	t->pid_fn = fn;
	r = sd_bus_call_method_async(b->connection, &t->slot, SERVICE, object,
				     "org.freedesktop.DBus.Properties", "Get", pid_told, t, "ss",
				     SERVICE ".Service", "MainPID");
	r = asked(b, r, "ask for the process of", unit, e);
	if (r < 0)
		bus_forget(t);
	else
		*ret = t;
	return r;
}

int bus_kill_unit(struct bus *b, const char *unit, const char *whom, int signo, struct err *e)
{
	int r = connect_to(b, e);

	if (r == 0)
		r = asked(b,
			  sd_bus_call_method_async(b->connection, NULL, SERVICE, OBJECT, MANAGER,
						   "KillUnit", NULL, NULL, "ssi", unit, whom,
						   signo),
			  "signal", unit, e);
	return r;
}

static int add_limits(sd_bus_message *m, const struct bus_limit *limits, size_t n)
{
	int r = sd_bus_message_open_container(m, 'a', "(sv)");

	for (size_t i = 0; i < n && r >= 0; i++)
		r = sd_bus_message_append(m, "(sv)", limits[i].property, "t", limits[i].value);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_limit_unit(struct bus *b, const char *unit, const struct bus_limit *limits, size_t n,
		   struct err *e)
{
	sd_bus_message *m = NULL;
	int r = connect_to(b, e);

	if (r < 0)
		return r;
	r = sd_bus_message_new_method_call(b->connection, &m, SERVICE, OBJECT, MANAGER,
					   "SetUnitProperties");
	if (r >= 0)
		r = sd_bus_message_append(m, "sb", unit, 1 /* runtime */);
	if (r >= 0)
		r = add_limits(m, limits, n);
	if (r >= 0)
		r = sd_bus_send(b->connection, m, NULL);
	sd_bus_message_unref(m);
	return asked(b, r, "limit", unit, e);
}

int bus_revert_unit(struct bus *b, const char *unit, struct err *e)
{
	int r = connect_to(b, e);

	if (r == 0)
		r = asked(b,
			  sd_bus_call_method_async(b->connection, NULL, SERVICE, OBJECT, MANAGER,
						   "RevertUnitFiles", NULL, NULL, "as", 1, unit),
			  "revert", unit, e);
	return r;
}
