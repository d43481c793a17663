/* Following a command: see session.h. */
#include "agent/session.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/spawn.h"
#include "agent/descendants.h"
#include "agent/relay.h"
#include "agent/verb.h"

struct session {
	const struct user *user;
	struct relay relay;
	int signals; /* signalfd(2) */
	pid_t leader;
	bool has_jobs; /* a shell of ours can stop us and let us go on */
	bool is_over;
	int status;
};

/* What we get and the command is to have. */
static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP };

static bool is_passed_on(int signo)
{
	for (size_t i = 0; i < ELEMENTS(passed_on); i++)
		if (passed_on[i] == signo)
			return true;
	return false;
}

static int signals_open(struct session *s, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ELEMENTS(passed_on); i++)
		sigaddset(&set, passed_on[i]);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGCONT);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTTIN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(e, "block signals");
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? err_sys(e, "signalfd") : 0;
}

/* Does what the signal does to who has not asked for it; over when we go on. */
static void take_signal(pid_t whom, int signo)
{
	sigset_t set, before;

	signal(signo, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, signo);
	(void)kill(whom, signo);
	(void)sigprocmask(SIG_UNBLOCK, &set, &before);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

/* The command has stopped: so do we, with all that our shell started beside us, until that lets us go on. */
static void stop(struct session *s)
{
	relay_restore(&s->relay);
	take_signal(0, SIGTSTP);
	relay_adjust(&s->relay);
	(void)kill(s->leader, SIGCONT);
}

/* It wants to read what is typed. */
static void let_it_read(struct session *s)
{
	if (!relay_is_in_front(&s->relay))
		take_signal(0, SIGTTIN);
	relay_attach(&s->relay);
	(void)kill(s->leader, SIGCONT);
}

/* Of the leader; whatever else has ended was left to us by its parent. */
static void reap(struct session *s)
{
	int status;
	pid_t pid;

	while (!s->is_over && (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != s->leader)
			continue;
		if (WIFSTOPPED(status)) {
			stop(s);
		} else {
			s->status = status;
			s->is_over = true;
		}
	}
}

static void take(struct session *s, const struct signalfd_siginfo *info)
{
	int signo = (int)info->ssi_signo;

	if (signo == SIGCHLD)
		reap(s);
	else if (signo == SIGTTIN && (pid_t)info->ssi_pid == s->leader)
		let_it_read(s);
	else if (signo == SIGCONT || signo == SIGWINCH)
		relay_adjust(&s->relay);
	else if (is_passed_on(signo))
		(void)kill(s->leader, signo);
	if (signo == SIGCONT)
		(void)kill(s->leader, SIGCONT);
}

static void follow(struct session *s)
{
	struct signalfd_siginfo info;

	relay_adjust(&s->relay);
	while (!s->is_over) {
		relay_carry(&s->relay, s->signals);
		while (!s->is_over && read(s->signals, &info, sizeof(info)) == sizeof(info))
			take(s, &info);
	}
}

static size_t count(char *const *argv)
{
	size_t n = 0;

	while (argv[n])
		n++;
	return n;
}

/* The words of cmd_session.c, and behind them those of cmd_become.c. */
static int start(struct session *s, enum user_place place, char *const *argv, const int files[3],
		 struct err *e)
{
	static const char *const empty[] = { NULL };
	autofree char *uid = memory_printf("%u", (unsigned)s->user->uid);
	autofree char *gid = memory_printf("%u", (unsigned)s->user->gid);
	const char *const words[] = {
		SPAWN_OURSELVES,
		"session",
		s->has_jobs ? "jobs" : "alone",
		s->relay.attached ? "front" : "back",
		place == USER_JAIL ? "jail" : "host",
		uid,
		gid,
		s->user->name,
		s->user->home,
	};
	size_t n = count(argv);
	autofree const char **all = memory_new((ELEMENTS(words) + n + 1) * sizeof(*all));
	mode_t mask = umask(0);
	struct spawned child;
	int r;

	(void)umask(mask);
	memcpy(all, words, sizeof(words));
	memcpy(all + ELEMENTS(words), argv, n * sizeof(*argv));
	r = spawn_start(&(struct spawn){ .argv = all,
					 .env = empty,
					 .in = files[0],
					 .out = files[1],
					 .err = files[2],
					 .new_session = true,
					 .umask = mask },
			&child, e);
	if (r < 0)
		return r;
	close(child.pidfd);
	s->leader = child.pid;
	return 0;
}

static int run(struct session *s, enum user_place place, char *const *argv, struct err *e)
{
	int files[3] = { -1, -1, -1 }, r;

	r = relay_open(&s->relay, files, e);
	if (r == 0)
		r = start(s, place, argv, files, e);
	for (size_t i = 0; i < ELEMENTS(files); i++)
		if (files[i] >= 0)
			close(files[i]);
	return r;
}

int session_run(const struct user *user, enum user_place place, char *const *argv, int *ret_status,
		struct err *e)
{
	struct session s = { .user = user, .signals = -1 };
	autofd int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int r = signals_open(&s, e);

	s.has_jobs = terminal >= 0;
	if (r == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		r = err_sys(e, "become the parent of what is left behind");
	if (r == 0)
		r = run(&s, place, argv, e);
	if (r == 0) {
		follow(&s);
		relay_drain(&s.relay);
		relay_close(&s.relay);
		if (descendants_end(user->uid, user->gid, e) < 0)
			(void)verb_failed(e);
		*ret_status = s.status;
	}
	relay_close(&s.relay);
	if (s.signals >= 0)
		close(s.signals);
	return r;
}

int session_end_like(int status)
{
	static const struct rlimit none = { 0, 0 };

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	(void)setrlimit(RLIMIT_CORE, &none);
	take_signal(getpid(), WTERMSIG(status));
	return 128 + WTERMSIG(status);
}
