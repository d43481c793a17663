/*
 * Daemons started by systemd: units that the packaging brings (a template for
 * PHP masters, whose instances find their command by `webspaces exec-php`), so
 * that limits, cgroups and the journal are the host's own.
 *
 * That one has started is told by its job; that it ended is seen by a pidfd, as
 * with daemons of our own, so that no state of systemd's must be followed. Why it
 * ended is in the journal. The units say CollectMode=inactive-or-failed, or
 * failed instances would pile up, and StartLimitIntervalSec=0: we back off.
 *
 * What is set of a unit at run time (limits) systemd keeps in a file, since the
 * unit itself may be forgotten at any time. A PHP master's unit never comes
 * again, so its file is taken away when it has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/bus.h"
#include "reconcile/manager.h"

struct systemd {
	struct loop *loop;
	struct bus *bus;
};

struct systemd_daemon {
	struct daemon daemon; /* first: a struct daemon is cast to ours */
	struct systemd *manager;
	char *unit;
	int pidfd;
	struct loop_source *source;
	struct bus_task *task;
	int wanted_signal; /* asked for before it had started */
	daemon_ended_fn *ended;
	void *data;
};

static void daemon_free(struct systemd_daemon *d)
{
	bus_forget(d->task);
	loop_drop(d->source);
	if (d->pidfd >= 0)
		close(d->pidfd);
	free(d->unit);
	free(d);
}

static struct systemd_daemon *daemon_new(struct systemd *m, const struct daemon_spec *spec,
					 daemon_ended_fn *ended, void *data)
{
	struct systemd_daemon *d = memory_new(sizeof(*d));

	d->manager = m;
	d->unit = memory_dup(spec->unit);
	d->pidfd = -1;
	d->ended = ended;
	d->data = data;
	return d;
}

/* Limits ---------------------------------------------------------------- */

#define SETTINGS "/run/systemd/system.control" /* systemd.unit(5) */
#define LIMITS   6

/* Was anything set of it at run time? An admin's own settings of other units are not ours to end. */
static bool has_settings(const char *unit)
{
	char path[400];

	snprintf(path, sizeof(path), SETTINGS "/%s.d", unit);
	return strncmp(unit, "webspaces-php@", 14) == 0 && access(path, F_OK) == 0;
}

static void end_settings(struct systemd *m, const char *unit)
{
	if (has_settings(unit))
		(void)bus_revert_unit(m->bus, unit, NULL);
}

/* Those that are asked for; where some may have been set before, all of them. */
static int set_limits(struct systemd *m, const char *unit, const struct php_limits *l,
		      struct err *e)
{
	const struct bus_limit all[LIMITS] = {
		{ "CPUQuotaPerSecUSec", l->cpu_quota * UINT64_C(10000) },
		{ "CPUWeight", l->cpu_weight },
		{ "MemoryHigh", l->memory_high },
		{ "MemoryMax", l->memory_max },
		{ "TasksMax", l->tasks_max },
		{ "IOWeight", l->io_weight },
	};
	struct bus_limit asked[LIMITS];
	bool before = has_settings(unit);
	size_t n = 0;

	for (size_t i = 0; i < LIMITS; i++) {
		if (all[i].value == 0 && !before)
			continue;
		asked[n] = all[i];
		asked[n].value = all[i].value ? all[i].value : UINT64_MAX;
		n++;
	}
	return n ? bus_limit_unit(m->bus, unit, asked, n, e) : 0;
}

static int systemd_limit(void *manager, struct daemon *daemon, const struct php_limits *limits,
			 struct err *e)
{
	return set_limits(manager, ((struct systemd_daemon *)daemon)->unit, limits, e);
}

/* Following ------------------------------------------------------------- */

static void gone(struct systemd_daemon *d, const char *how)
{
	end_settings(d->manager, d->unit);
	d->ended(&d->daemon, how, d->data);
	daemon_free(d);
}

static void process_ended(int fd, uint32_t events, void *data)
{
	struct systemd_daemon *d = data;
	char how[300];

	(void)fd;
	(void)events;
	snprintf(how, sizeof(how), "it ended (journalctl -u %s)", d->unit);
	gone(d, how);
}

/* Of a file that root wrote, or the kernel. */
static bool read_text(const char *path, char *ret, size_t size)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	ret[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

/* Is this process one of the unit's? Its number may be somebody else's by now. */
static bool is_in_unit(pid_t pid, const char *unit)
{
	char path[40], wanted[300], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	snprintf(wanted, sizeof(wanted), "/%s\n", unit);
	return read_text(path, text, sizeof(text)) && strstr(text, wanted);
}

/* -ESRCH: that is no process of the unit's. */
static int follow(struct systemd_daemon *d, pid_t pid)
{
	autofd int fd = pidfd_open(pid, 0);

	if (fd < 0 || !is_in_unit(pid, d->unit))
		return -ESRCH;
	d->daemon.pid = pid;
	d->source = loop_fd(d->manager->loop, fd, EPOLLIN, process_ended, d);
	d->pidfd = take_fd(fd);
	return 0;
}

static int send_signal(struct systemd_daemon *d, int signo, struct err *e)
{
	struct bus *bus = d->manager->bus;

	if (signo == SIGHUP)
		return bus_unit_job(bus, "ReloadUnit", d->unit, NULL, NULL, NULL, e);
	return bus_kill_unit(bus, d->unit, signo == SIGKILL ? "all" : "main", signo, e);
}

static void pid_told(pid_t pid, const char *error, void *data)
{
	struct systemd_daemon *d = data;

	d->task = NULL;
	if (error)
		gone(d, error);
	else if (pid <= 0 || follow(d, pid) < 0)
		gone(d, "it ended as soon as it had started");
	else if (d->wanted_signal)
		(void)send_signal(d, d->wanted_signal, NULL);
}

static void started(const char *how, void *data)
{
	struct systemd_daemon *d = data;
	char text[300];

	d->task = NULL;
	if (strcmp(how, "done") != 0) {
		snprintf(text, sizeof(text), "systemd could not start %s: %s (journalctl -u %s)",
			 d->unit, how, d->unit);
		gone(d, text);
	} else if (bus_main_pid(d->manager->bus, d->unit, pid_told, d, &d->task, NULL) < 0) {
		gone(d, "the connection to systemd was lost");
	}
}

/*
 * Nobody of it is known to run, so this starts it. As a restart, since a start would wait
 * for the pause after which systemd itself would start a unit again (Restart=).
 */
static int systemd_start(void *manager, const struct daemon_spec *spec, daemon_ended_fn *ended,
			 void *data, struct daemon **ret, struct err *e)
{
	struct systemd *m = manager;
	struct systemd_daemon *d = daemon_new(m, spec, ended, data);
	int r = spec->limits ? set_limits(m, spec->unit, spec->limits, e) : 0;

	if (r == 0)
		r = bus_unit_job(m->bus, "RestartUnit", spec->unit, started, d, &d->task, e);
	if (r < 0) {
		daemon_free(d);
		return r;
	}
	*ret = &d->daemon;
	return 0;
}

static pid_t read_pid(const char *pid_file)
{
	char text[32];
	long pid = pid_file && read_text(pid_file, text, sizeof(text)) ? strtol(text, NULL, 10) : 0;

	return pid > 1 && pid < 1L << 30 ? (pid_t)pid : 0;
}

static int systemd_adopt(void *manager, const struct daemon_spec *spec, daemon_ended_fn *ended,
			 void *data, struct daemon **ret, struct err *e)
{
	struct systemd_daemon *d = daemon_new(manager, spec, ended, data);
	pid_t pid = spec->pid > 0 ? spec->pid : read_pid(spec->pid_file);

	if (pid <= 0 || follow(d, pid) < 0) {
		end_settings(manager, spec->unit);
		daemon_free(d);
		return err_set(e, ESRCH, "no process of %s", spec->unit);
	}
	*ret = &d->daemon;
	return 0;
}

static int systemd_signal(void *manager, struct daemon *daemon, int signo, struct err *e)
{
	struct systemd_daemon *d = (struct systemd_daemon *)daemon;

	(void)manager;
	if (d->pidfd >= 0)
		return send_signal(d, signo, e);
	d->wanted_signal = signo; /* it is being started: a signal would reach nobody */
	return 0;
}

static void systemd_release(void *manager, struct daemon *daemon)
{
	(void)manager;
	if (daemon)
		daemon_free((struct systemd_daemon *)daemon);
}

static int systemd_open(const struct host *host, struct loop *loop, void **ret, struct err *e)
{
	struct systemd *m = memory_new(sizeof(*m));
	int r = bus_open(loop, &m->bus, e);

	(void)host;
	if (r < 0) {
		free(m);
		return r;
	}
	m->loop = loop;
	*ret = m;
	return 0;
}

static void systemd_close(void *manager)
{
	struct systemd *m = manager;

	bus_close(m->bus);
	free(m);
}

const struct manager_type systemd_manager = {
	.name = "systemd",
	.open = systemd_open,
	.close = systemd_close,
	.start = systemd_start,
	.adopt = systemd_adopt,
	.signal = systemd_signal,
	.limit = systemd_limit,
	.release = systemd_release,
};
