/*
 * Other programs, by posix_spawn(3): glibc does it with CLONE_VFORK, so the
 * price does not grow with our memory, and a program that cannot be executed is
 * an error of the call. The child gets nothing from us but three descriptors:
 * what sd-event blocks or ignores in our process is undone for it.
 *
 * Standard input of spawn_run is a memfd, not a pipe: nobody has to feed it
 * while the output is read, so there is nothing to deadlock.
 */
#include "agent/base/spawn.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define OUTPUT_MAX 65536

/* Other programs of ours, seen from the directory of the one that runs. */
static const char *const places[] = { "../lib/webspaces/", "" };

static const char *const clean_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"LANG=C.UTF-8",
	NULL,
};

static int set_attributes(posix_spawnattr_t *attr, const struct spawn *s)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	if (s->new_session)
		flags |= POSIX_SPAWN_SETSID;
	if (s->new_group)
		flags |= POSIX_SPAWN_SETPGROUP; /* 0, as posix_spawnattr_init says: its own */
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	return posix_spawnattr_setflags(attr, flags);
}

/* Descriptors of ours that are below 3 would have to be given in the order of their numbers. */
static int set_descriptors(posix_spawn_file_actions_t *files, int in, int out, int err)
{
	int r;

	if (in > 0)
		r = posix_spawn_file_actions_adddup2(files, in, 0);
	else
		r = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
	if (r == 0 && out > 0)
		r = posix_spawn_file_actions_adddup2(files, out, 1);
	else if (r == 0)
		r = posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(files, err > 0 ? err : 1, 2);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(files, 3);
	return r;
}

/*
 * A child is in the namespaces of the thread that starts it. Returns a descriptor of ours, for the
 * way back, or -errno.
 */
static int enter_new_ipc(void)
{
	autofd int ours = open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC);

	return ours < 0 || unshare(CLONE_NEWIPC) < 0 ? -errno : take_fd(ours);
}

/* As posix_spawn. A thread that does not come back into its own IPC namespace has started nothing. */
static int spawn_in_new_ipc(pid_t *ret, const char *program,
			    const posix_spawn_file_actions_t *files, const posix_spawnattr_t *attr,
			    char *const *argv, char *const *env)
{
	autofd int ours = enter_new_ipc();
	int r, back;

	if (ours < 0)
		return -ours;
	r = posix_spawn(ret, program, files, attr, argv, env);
	back = setns(ours, CLONE_NEWIPC) < 0 ? errno : 0;
	if (r == 0 && back) {
		(void)kill(*ret, SIGKILL);
		(void)waitpid(*ret, NULL, 0);
	}
	return r ? r : back;
}

/* Returns an errno value, as posix_spawn does. */
static int spawn_child(const struct spawn *s, int in, pid_t *ret)
{
	const char *const *env = s->env ? s->env : clean_env;
	const char *program = s->argv[0];
	posix_spawn_file_actions_t files;
	char path[64];
	posix_spawnattr_t attr;
	mode_t old;
	int r;

	/* By our descriptor: the child has closed its own by then. */
	if (s->program > 0) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), s->program);
		program = path;
	}
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	r = set_attributes(&attr, s);
	if (r == 0)
		r = set_descriptors(&files, in, s->out, s->err);
	if (r == 0) {
		old = umask(s->umask ? s->umask : 022);
		if (s->own_ipc)
			r = spawn_in_new_ipc(ret, program, &files, &attr, (char *const *)s->argv,
					     (char *const *)env);
		else
			r = posix_spawn(ret, program, &files, &attr, (char *const *)s->argv,
					(char *const *)env);
		umask(old);
	}
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return r;
}

static int start(const struct spawn *s, int in, struct spawned *ret, struct err *e)
{
	pid_t pid;
	int fd, r;

	if (!s->argv[0] || (s->program <= 0 && s->argv[0][0] != '/'))
		return err_set(e, EINVAL, "start %s: not an absolute path",
			       s->argv[0] ? s->argv[0] : "nothing");
	r = spawn_child(s, in, &pid);
	if (r > 0)
		return err_set(e, r, "start %s: %s", s->argv[0], strerror(r));
	fd = pidfd_open(pid, 0);
	if (fd < 0) {
		r = err_sys(e, "start %s: pidfd_open", s->argv[0]);
		kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return r;
	}
	*ret = (struct spawned){ .pid = pid, .pidfd = fd };
	return 0;
}

int spawn_open(const char *name, struct err *e)
{
	char us[PATH_MAX], *slash;
	struct stat ours, its;

	if (!path_read_link(AT_FDCWD, SPAWN_OURSELVES, us, sizeof(us)) ||
	    stat(SPAWN_OURSELVES, &ours) < 0)
		return err_sys(e, SPAWN_OURSELVES);
	slash = strrchr(us, '/');
	for (size_t i = 0; slash && i < ELEMENTS(places); i++) {
		autofree char *path =
			memory_printf("%.*s/%s%s", (int)(slash - us), us, places[i], name);
		autofd int fd = open(path, O_PATH | O_CLOEXEC);

		if (fd < 0)
			continue;
		if (fstat(fd, &its) < 0 || !S_ISREG(its.st_mode) || its.st_uid != ours.st_uid)
			return err_set(e, EPERM, "%s is not a program of the owner of %s", path,
				       us);
		return take_fd(fd);
	}
	return err_set(e, ENOENT, "no program %s beside %s, nor in %s", name, us, places[0]);
}

int spawn_start(const struct spawn *s, struct spawned *ret, struct err *e)
{
	return start(s, s->in, ret, e);
}

/* By pidfd: should somebody else have reaped it, its number may be another's by now. */
static int reap(const struct spawned *s, int flags)
{
	siginfo_t info = { 0 };
	int r;

	do
		r = waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED | flags);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (info.si_pid == 0)
		return -EAGAIN;
	if (info.si_code == CLD_EXITED)
		return W_EXITCODE(info.si_status, 0);
	return info.si_status | (info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

int spawn_reap(const struct spawned *s)
{
	return reap(s, WNOHANG);
}

int spawn_reap_killed(const struct spawned *s)
{
	return reap(s, 0);
}

bool spawn_succeeded(int status)
{
	return status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int open_input(const char *input, struct err *e)
{
	autofd int fd = -1;
	int r;

	if (!input)
		return -1;
	fd = memfd_create("input", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "memfd_create");
	r = put_all(fd, input, strlen(input), e);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, "lseek");
	return take_fd(fd);
}

/* Takes what is there now; what is over the cap is read and dropped, so that the writer never waits for us. */
static bool drain(int fd, struct buf *output, size_t cap)
{
	char chunk[8192];
	ssize_t n;

	for (;;) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0;
		if (output->len < cap)
			buf_add(output, chunk,
				(size_t)n < cap - output->len ? (size_t)n : cap - output->len);
	}
}

/*
 * Until the child itself has ended: others that it left behind may hold the
 * pipe for ever. One drain after the end gets what was written before it.
 */
static int follow(int pidfd, int out, uint64_t deadline_usec, struct buf *output)
{
	size_t cap = output->len + OUTPUT_MAX;
	struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN },
				{ .fd = out, .events = POLLIN } };
	struct timespec left;
	uint64_t now;

	while (!(fds[0].revents & POLLIN)) {
		now = clock_usec();
		if (now >= deadline_usec)
			return -ETIMEDOUT;
		left.tv_sec = (time_t)((deadline_usec - now) / USEC_PER_SEC);
		left.tv_nsec = (long)((deadline_usec - now) % USEC_PER_SEC * 1000);
		if (ppoll(fds, ELEMENTS(fds), &left, NULL) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents && !drain(out, output, cap))
			fds[1].fd = -1; /* its end; ppoll(2) passes over -1 */
	}
	if (fds[1].fd >= 0)
		(void)drain(out, output, cap);
	return 0;
}

/* The last line that says something, without control characters; at most 300 bytes. */
static void last_line(const char *text, size_t len, char ret[static 301])
{
	size_t start_at, i;

	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	start_at = len;
	while (start_at > 0 && text[start_at - 1] != '\n')
		start_at--;
	for (i = 0; i < 300 && start_at + i < len; i++)
		ret[i] = iscntrl((unsigned char)text[start_at + i]) ? '?' : text[start_at + i];
	ret[i] = '\0';
}

int spawn_judge(const char *program, int status, const char *output, size_t len, struct err *e)
{
	char line[301];

	if (spawn_succeeded(status))
		return 0;
	if (status < 0)
		return err_set(e, -status, "%s: wait: %s", program, strerror(-status));
	last_line(output, len, line);
	if (WIFSIGNALED(status))
		return err_set(e, EIO, "%s: killed by signal %d%s%s", program, WTERMSIG(status),
			       *line ? ": " : "", line);
	if (*line)
		return err_set(e, EIO, "%s: %s", program, line);
	return err_set(e, EIO, "%s: exit status %d", program, WEXITSTATUS(status));
}

int spawn_run(const struct spawn *s, const char *input, uint64_t deadline_usec, struct buf *output,
	      struct err *e)
{
	autobuf struct buf own = { 0 };
	autofd int in = -1, read_end = -1, write_end = -1;
	struct buf *to = output ? output : &own;
	struct spawn settings = *s;
	size_t before = to->len;
	struct spawned child;
	int pipe_fds[2], status, r;

	in = open_input(input, e);
	if (input && in < 0) {
		(void)err_in(e, "start %s", s->argv[0]);
		return in;
	}
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(e, "start %s: pipe", s->argv[0]);
	read_end = pipe_fds[0];
	write_end = pipe_fds[1];
	(void)fcntl(read_end, F_SETFL, O_NONBLOCK);

	settings.out = write_end;
	settings.new_session = true;
	r = start(&settings, in, &child, e);
	if (r < 0)
		return r;
	close(take_fd(write_end));

	r = follow(child.pidfd, read_end, deadline_usec, to);
	if (r < 0)
		kill(-child.pid, SIGKILL);
	status = reap(&child, 0);
	close(child.pidfd);
	if (r == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "%s: not done in time, killed", s->argv[0]);
	if (r < 0)
		return err_set(e, -r, "%s: poll: %s", s->argv[0], strerror(-r));
	return spawn_judge(s->argv[0], status, buf_text(to) + before, to->len - before, e);
}

bool spawn_catches(pid_t pid, int signo)
{
	char path[40], line[200];
	unsigned long long caught = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SigCgt: %llx", &caught) == 1)
			break;
	if (f)
		fclose(f);
	return caught >> (signo - 1) & 1;
}
