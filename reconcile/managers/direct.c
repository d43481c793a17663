/*
 * Daemons started by ourselves: each in a session of its own, so that its pid
 * names its process group, followed by a pidfd in the loop. They outlive the
 * agent; a later agent finds them by their pid files, and believes those only
 * as far as the process behind the number shows our configuration in its
 * command line. Then it is no child any more: we see that it ends, not how.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"
#include "reconcile/manager.h"
#include "reconcile/managers/orphans.h"
#include "reconcile/units/command.h"

#define TITLE_MAX 4096
#define TAIL_MAX  4096

struct direct {
	const struct host *host;
	struct loop *loop;
	struct orphans *orphans;
};

struct direct_daemon {
	struct daemon daemon; /* first: a manager's daemon is cast to ours */
	struct spawned process;
	daemon_ended_fn *ended;
	void *data;
	struct loop_source *source;
	char *program;
	bool foreign;
	int log; /* -1: adopted */
	off_t log_begin;
};

static int direct_open(const struct host *host, struct loop *loop, void **ret, struct err *e)
{
	struct direct *m = memory_new(sizeof(*m));

	(void)e;
	m->host = host;
	m->loop = loop;
	m->orphans = orphans_open(loop);
	*ret = m;
	return 0;
}

static void direct_close(void *manager)
{
	struct direct *m = manager;

	orphans_close(m->orphans);
	free(m);
}

static void daemon_free(struct direct_daemon *d)
{
	loop_drop(d->source);
	if (d->process.pidfd >= 0)
		close(d->process.pidfd);
	if (d->log >= 0)
		close(d->log);
	free(d->program);
	free(d);
}

/* Ending ------------------------------------------------------------- */

static void say_status(int status, char *ret, size_t size)
{
	if (status < 0)
		snprintf(ret, size, "how is not known: it was not started by this agent");
	else if (WIFSIGNALED(status))
		snprintf(ret, size, "killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(ret, size, "exit status %d", WEXITSTATUS(status));
}

/* Its last complaint of those written since it was started. */
static void say_complaint(const struct direct_daemon *d, char *ret, size_t size)
{
	char tail[TAIL_MAX + 1];
	off_t end = d->log < 0 ? 0 : lseek(d->log, 0, SEEK_END);
	off_t begin = end - TAIL_MAX > d->log_begin ? end - TAIL_MAX : d->log_begin;
	ssize_t n = end > begin ? pread(d->log, tail, (size_t)(end - begin), begin) : 0;

	ret[0] = '\0';
	if (n <= 0)
		return;
	tail[n] = '\0';
	command_complaint(tail, ret, size);
}

/*
 * Workers outlive a killed master and hold its sockets. As long as it is not reaped its
 * number, and so its group's, is its own; of an adopted one nothing is certain afterwards,
 * and all processes of the host have to be looked at.
 */
static void end_group(const struct direct_daemon *d)
{
	if (pidfd_send_signal(d->process.pidfd, 0, NULL, 0) == 0)
		(void)kill(-d->process.pid, SIGKILL);
	else
		(void)orphans_end(d->process.pid, d->program);
}

static void on_end(int fd, uint32_t events, void *data)
{
	struct direct_daemon *d = data;
	char how[512], complaint[400];
	size_t len;
	int status;

	(void)fd;
	(void)events;
	if (!d->foreign)
		end_group(d);
	status = spawn_reap(&d->process);
	say_status(status, how, sizeof(how));
	say_complaint(d, complaint, sizeof(complaint));
	len = strlen(how);
	if (status != 0 && complaint[0])
		snprintf(how + len, sizeof(how) - len, ": %s", complaint);
	d->ended(&d->daemon, how, d->data);
	daemon_free(d);
}

static struct direct_daemon *follow(struct direct *m, const struct daemon_spec *spec,
				    const struct spawned *process, daemon_ended_fn *ended,
				    void *data)
{
	struct direct_daemon *d = memory_new(sizeof(*d));

	d->daemon.pid = process->pid;
	d->ended = ended;
	d->data = data;
	d->process = *process;
	d->program = memory_dup(spec->argv[0]);
	d->foreign = spec->foreign;
	d->log = -1;
	d->source = loop_fd(m->loop, process->pidfd, EPOLLIN, on_end, d);
	return d;
}

/* Starting ----------------------------------------------------------- */

/* Beneath log_root, which is root's: opened by us, appended to by the daemon. */
static int open_log(const struct direct *m, const char *path, struct err *e)
{
	size_t len = strlen(m->host->log_root);
	autofd int dir = -1;
	int fd;

	if (!path)
		return -1;
	if (strncmp(path, m->host->log_root, len) != 0 || path[len] != '/')
		return err_set(e, EINVAL, "log %s is not below %s", path, m->host->log_root);
	dir = path_open_dir(m->host->log_root, e);
	if (dir < 0)
		return dir;
	fd = path_open(dir, path + len + 1, O_RDWR | O_APPEND | O_CREAT | O_NOCTTY, e);
	return fd < 0 ? err_in(e, "%s", m->host->log_root) : fd;
}

static pid_t read_pid(const char *pid_file)
{
	char text[32];
	autofd int fd = open(pid_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	long pid;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	pid = strtol(text, NULL, 10);
	return pid > 1 && pid < 1L << 30 ? (pid_t)pid : 0;
}

static int direct_start(void *manager, const struct daemon_spec *spec, daemon_ended_fn *ended,
			void *data, struct daemon **ret, struct err *e)
{
	struct direct *m = manager;
	autofd int log = open_log(m, spec->log_file, e);
	off_t log_begin = log < 0 ? 0 : lseek(log, 0, SEEK_END);
	struct direct_daemon *d;
	struct spawned process;
	int r;

	if (log < 0 && spec->log_file)
		return log;
	r = spawn_start(&(struct spawn){ .argv = spec->argv,
					 .env = spec->env,
					 .out = log,
					 .new_session = true,
					 .own_ipc = spec->own_ipc },
			&process, e);
	if (r < 0)
		return r;
	d = follow(m, spec, &process, ended, data);
	d->log_begin = log_begin;
	d->log = take_fd(log);
	*ret = &d->daemon;
	return 0;
}

/* Adopting ----------------------------------------------------------- */

static const char *const configuration_flags[] = { "-c", "-y", "--fpm-config" };

/* What tells this daemon from others of its program: the path of its configuration. */
static const char *mark_of(const char *const *argv)
{
	for (size_t i = 1; argv[i] && argv[i + 1]; i++)
		for (size_t k = 0; k < ELEMENTS(configuration_flags); k++)
			if (strcmp(argv[i], configuration_flags[k]) == 0)
				return argv[i + 1];
	return argv[0];
}

static bool is_end_of_word(char c)
{
	return c == '\0' || c == ' ' || c == ')';
}

/* The command line, or the title that the daemon put in its place. */
static bool title_has(pid_t pid, const char *mark)
{
	char path[32], title[TITLE_MAX + 1];
	autofd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, title, TITLE_MAX);
	if (n <= 0)
		return false;
	title[n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		title[i] = title[i] == '\0' ? ' ' : title[i];
	for (const char *at = title; (at = strstr(at, mark)) != NULL; at++)
		if (is_end_of_word(at[strlen(mark)]))
			return true;
	return false;
}

static bool has_ended(int pidfd)
{
	return poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0) != 0;
}

static int direct_adopt(void *manager, const struct daemon_spec *spec, daemon_ended_fn *ended,
			void *data, struct daemon **ret, struct err *e)
{
	pid_t pid = spec->pid > 0 ? spec->pid : spec->pid_file ? read_pid(spec->pid_file) : 0;
	autofd int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
	struct direct_daemon *d;

	/* A master and its agent were both killed: what the master left holds the sockets. */
	if (pid > 0 && !spec->foreign && !process_runs(pid, spec->argv[0]))
		(void)orphans_end(pid, spec->argv[0]);
	/* Looked at after the descriptor was taken, and alive after that: it is this process. */
	if (fd < 0 || !process_runs(pid, spec->argv[0]) ||
	    !(spec->foreign || title_has(pid, mark_of(spec->argv))) || has_ended(fd))
		return err_set(e, ESRCH, "no process by %s", spec->pid_file ? spec->pid_file : "");
	d = follow(manager, spec, &(struct spawned){ .pid = pid, .pidfd = take_fd(fd) }, ended,
		   data);
	*ret = &d->daemon;
	return 0;
}

static int direct_signal(void *manager, struct daemon *daemon, int signo, struct err *e)
{
	struct direct_daemon *d = (struct direct_daemon *)daemon;

	(void)manager;
	/* While its descriptor is not readable the number is its own, and so is the group's. */
	if (signo == SIGKILL && !has_ended(d->process.pidfd))
		(void)kill(-d->process.pid, SIGKILL);
	if (pidfd_send_signal(d->process.pidfd, signo, NULL, 0) < 0 && errno != ESRCH)
		return err_sys(e, "signal %d to process %d", signo, (int)d->process.pid);
	return 0;
}

static void direct_release(void *manager, struct daemon *daemon)
{
	(void)manager;
	if (daemon)
		daemon_free((struct direct_daemon *)daemon);
}

const struct manager_type direct_manager = {
	.name = "direct",
	.open = direct_open,
	.close = direct_close,
	.start = direct_start,
	.adopt = direct_adopt,
	.signal = direct_signal,
	.release = direct_release,
};
