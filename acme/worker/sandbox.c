/*
 * The worker's cage, from the outside in: another user without groups and
 * capabilities, no open files, limits, Landlock (reads a few files of the
 * resolver and of TLS, binds no port), and a list of system calls.
 *
 * A call that is not on the list fails with ENOSYS: libraries know that from
 * old kernels and do without (clone3, netlink, nscd, modules of NSS). So what is
 * on the list is what was seen to be needed, not what might be.
 *
 * Landlock's rules are about files, not names: a resolv.conf that is replaced by
 * rename is not readable any more. Whoever starts the worker starts another
 * then.
 */
#include "acme/worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/own.h"

/* What name resolution and TLS read. Those that are not there are passed over. */
static const char *const readable[] = {
	"/etc/resolv.conf",
	"/etc/hosts",
	"/etc/nsswitch.conf",
	"/etc/host.conf",
	"/etc/gai.conf",
	"/etc/services",
	"/etc/ssl",
	"/etc/pki",
	"/usr/lib/ssl",
	"/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates",
	"/run/systemd/resolve",
	NULL,
};

/* The user */

static int drop_bounding_set(struct err *e)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) < 0)
			return err_sys(e, "give up capability %d", cap);
	return 0;
}

static int become(const char *user, struct err *e)
{
	const struct passwd *pw;
	int r;

	if (geteuid() != 0)
		return 0;
	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return err_set(e, errno ? errno : ENOENT, "no user %s", user);
	if (pw->pw_uid == 0 || pw->pw_gid == 0)
		return err_set(e, EINVAL, "user %s has the rights of root", user);
	r = drop_bounding_set(e);
	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return err_sys(e, "become %s", user);
	if (setuid(0) == 0 || setgid(0) == 0)
		return err_set(e, EPERM, "root can be had back");
	return 0;
}

/* Limits */

static int set_limits(struct err *e)
{
	static const struct {
		int resource;
		rlim_t limit;
	} limits[] = {
		{ RLIMIT_NOFILE, 256 },     { RLIMIT_FSIZE, 0 },
		{ RLIMIT_CORE, 0 },         { RLIMIT_MEMLOCK, 0 },
#ifndef __SANITIZE_ADDRESS__                /* whose shadow is larger than any limit */
		{ RLIMIT_DATA, 512 << 20 }, /* stacks of threads that resolve names are most of it */
#endif
	};

	for (size_t i = 0; i < ELEMENTS(limits); i++) {
		struct rlimit l = { limits[i].limit, limits[i].limit };

		if (setrlimit((unsigned)limits[i].resource, &l) < 0)
			return err_sys(e, "limit %d", limits[i].resource);
	}
	return 0;
}

/* Landlock (landlock(7)); what newer kernels can is asked of them, whatever the headers know. */

struct ruleset_attr {
	uint64_t files, net, scoped;
};

#define BITS(n)        ((UINT64_C(1) << (n)) - 1)
#define NET_BIND_TCP   UINT64_C(1)
#define SCOPE_ABSTRACT UINT64_C(1)
#define SCOPE_SIGNAL   UINT64_C(2)
#define READ_OF_FILE   LANDLOCK_ACCESS_FS_READ_FILE
#define READ_OF_DIR    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

static int allow_read(int ruleset, const char *path, struct err *e)
{
	struct landlock_path_beneath_attr rule = { 0 };
	autofd int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "fstat %s", path);
	rule.parent_fd = fd;
	rule.allowed_access = S_ISDIR(st.st_mode) ? READ_OF_DIR : READ_OF_FILE;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_sys(e, "landlock_add_rule %s", path);
	return 0;
}

static int allow_reads(int ruleset, const char *const *paths, struct err *e)
{
	int r = 0;

	for (; paths && *paths && r == 0; paths++)
		if (**paths)
			r = allow_read(ruleset, *paths, e);
	return r;
}

/* How many rights on files each version has brought, summed up. */
static struct ruleset_attr all_of(long version)
{
	static const unsigned char files[] = { 0, 13, 14, 15, 15, 16 };
	size_t known = (size_t)version < ELEMENTS(files) ? (size_t)version : ELEMENTS(files) - 1;

	return (struct ruleset_attr){
		.files = BITS(files[known]),
		.net = version >= 4 ? NET_BIND_TCP : 0,
		.scoped = version >= 6 ? SCOPE_ABSTRACT | SCOPE_SIGNAL : 0,
	};
}

static int lock_files(const char *const *files, struct err *e)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset_attr attr;
	autofd int ruleset = -1;
	int r;

	if (version < 1)
		return 0; /* not in this kernel, or not on */
	attr = all_of(version);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr,
			       version >= 6   ? sizeof(attr)
			       : version >= 4 ? offsetof(struct ruleset_attr, scoped)
					      : offsetof(struct ruleset_attr, net),
			       0);
	if (ruleset < 0)
		return err_sys(e, "landlock_create_ruleset");
	r = allow_reads(ruleset, readable, e);
	if (r == 0)
		r = allow_reads(ruleset, files, e);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = err_sys(e, "landlock_restrict_self");
	return r;
}

/* System calls */

static const int allowed[] = {
	/* the line, sockets, files that are open */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(recv),
	SCMP_SYS(send),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(connect),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(close),
	SCMP_SYS(lseek),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(_newselect),
	SCMP_SYS(pselect6),
	SCMP_SYS(pipe2),
	SCMP_SYS(eventfd2),
	/* what is there */
	SCMP_SYS(stat),
	SCMP_SYS(fstat),
	SCMP_SYS(stat64),
	SCMP_SYS(fstat64),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstatat64),
	SCMP_SYS(statx),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(getdents64),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	/* memory, threads */
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(restart_syscall),
	/* signals, time, itself */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(uname),
};

/* Those that depend on one argument: its bits under mask are value. */
static const struct {
	int call;
	unsigned argument;
	uint64_t mask, value;
} depending[] = {
	{ SCMP_SYS(socket), 0, UINT64_MAX, AF_INET },
	{ SCMP_SYS(socket), 0, UINT64_MAX, AF_INET6 },
	{ SCMP_SYS(socketpair), 0, UINT64_MAX, AF_UNIX },
	{ SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC | O_PATH | __O_TMPFILE, O_RDONLY },
	{ SCMP_SYS(open), 1, O_ACCMODE | O_CREAT | O_TRUNC | O_PATH | __O_TMPFILE, O_RDONLY },
	{ SCMP_SYS(clone), 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM },
	{ SCMP_SYS(mmap), 2, PROT_EXEC, 0 },
	{ SCMP_SYS(mmap2), 2, PROT_EXEC, 0 },
	{ SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_GETFL },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_SETFL },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_GETFD },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_SETFD },
	{ SCMP_SYS(ioctl), 1, UINT64_MAX, FIONBIO },
	{ SCMP_SYS(ioctl), 1, UINT64_MAX, FIONREAD },
	{ SCMP_SYS(prlimit64), 2, UINT64_MAX, 0 }, /* to look only */
};

static int add_rules(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; i < ELEMENTS(allowed) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < ELEMENTS(depending) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, depending[i].call, 1,
				     SCMP_CMP(depending[i].argument, SCMP_CMP_MASKED_EQ,
					      depending[i].mask, depending[i].value));
	/* abort(3) */
	if (r == 0)
		r = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
			SCMP_CMP(0, SCMP_CMP_MASKED_EQ, UINT64_MAX, (scmp_datum_t)getpid()));
	return r;
}

static int lock_calls(struct err *e)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r = filter ? 0 : -ENOMEM;

	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
	if (r == 0)
		r = add_rules(filter);
	if (r == 0)
		r = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return r < 0 ? err_set(e, -r, "seccomp: %s", strerror(-r)) : 0;
}

int sandbox_enter(const struct sandbox *s, struct err *e)
{
	int r = become(s->user, e);

	if (r < 0)
		return r;
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || chdir("/") < 0)
		return err_sys(e, "sandbox");
	if (close_range(3, ~0U, 0) < 0)
		return err_sys(e, "close_range");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, "prctl");
	r = set_limits(e);
	if (r == 0)
		r = lock_files(s->files, e);
	if (r == 0)
		r = lock_calls(e);
	return r;
}
