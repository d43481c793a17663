/*
 * Each case is tried by a child that has gone into the sandbox; what it tried
 * tells by its exit status how it went.
 */
#include "acme/worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

#define CAS    "/etc/ssl/certs/ca-certificates.crt"
#define OTHERS "/etc/passwd" /* readable by everybody else */

enum { WENT_WELL, WAS_REFUSED, NO_SANDBOX = 77 };

static int outcome(bool well)
{
	return well ? WENT_WELL : WAS_REFUSED;
}

static int in_sandbox(int (*attempt)(void), const char *const *files)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct err e = { 0 };

		if (sandbox_enter(&(struct sandbox){ .user = "nobody", .files = files }, &e) < 0) {
			dprintf(2, "%s\n", e.text);
			_exit(NO_SANDBOX);
		}
		_exit(attempt());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("killed by signal %d", WTERMSIG(status));
	assert_int_not_equal(WEXITSTATUS(status), NO_SANDBOX);
	return WEXITSTATUS(status);
}

/* Needed */

static void *touch(void *flag)
{
	*(int *)flag = 1;
	return flag;
}

static int start_a_thread(void)
{
	pthread_t thread;
	int flag = 0;

	return outcome(pthread_create(&thread, NULL, touch, &flag) == 0 &&
		       pthread_join(thread, NULL) == 0 && flag == 1);
}

static int resolve_localhost(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;

	return outcome(getaddrinfo("localhost", "80", &hints, &found) == 0 && found);
}

static int talk_over_ip(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(9),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int tcp = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), pair[2];

	return outcome(udp >= 0 && connect(udp, (struct sockaddr *)&to, sizeof(to)) == 0 &&
		       (tcp >= 0 || errno == EAFNOSUPPORT) &&
		       socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
}

static int read_file(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return outcome(fd >= 0 && read(fd, &byte, 1) >= 0);
}

static int read_what_resolvers_read(void)
{
	return outcome(read_file("/etc/resolv.conf") == WENT_WELL &&
		       read_file("/etc/hosts") == WENT_WELL && read_file(CAS) == WENT_WELL);
}

static int use_memory(void)
{
	char *some = malloc(32 << 20);

	memset(some, 1, 32 << 20);
	some = realloc(some, 64 << 20);
	free(some);
	return outcome(some != NULL);
}

/* Refused */

static int run_a_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return WAS_REFUSED;
}

static int fork_itself(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return outcome(pid > 0);
}

static int read_other_files(void)
{
	return read_file(OTHERS);
}

static int read_other_directories(void)
{
	return outcome(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0 ||
		       open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0);
}

static int read_processes(void)
{
	return outcome(read_file("/proc/self/environ") == WENT_WELL ||
		       read_file("/proc/1/cmdline") == WENT_WELL);
}

static int hold_a_path(void)
{
	return outcome(open("/etc/shadow", O_PATH | O_CLOEXEC) >= 0);
}

static int write_a_file(void)
{
	return outcome(open("/tmp", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600) >= 0 ||
		       open("/tmp/webspaces-sandbox", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ||
		       open("/etc/hosts", O_RDWR | O_CLOEXEC) >= 0 ||
		       mkdir("/tmp/webspaces-sandbox", 0700) == 0 ||
		       symlink("x", "/tmp/webspaces-sandbox") == 0 || unlink("/etc/hosts") == 0 ||
		       syscall(SYS_memfd_create, "x", 0) >= 0);
}

static int open_other_sockets(void)
{
	return outcome(
		socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || socket(AF_NETLINK, SOCK_RAW, 0) >= 0 ||
		socket(AF_PACKET, SOCK_RAW, 0) >= 0 || socket(AF_VSOCK, SOCK_STREAM, 0) >= 0);
}

static int serve_others(void)
{
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = { .sin_family = AF_INET };

	return outcome(bind(tcp, (struct sockaddr *)&any, sizeof(any)) == 0 || listen(tcp, 1) == 0);
}

static int touch_other_processes(void)
{
	return outcome(kill(getppid(), 0) == 0 || ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ||
		       syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) >= 0 ||
		       syscall(SYS_pidfd_open, getppid(), 0) >= 0 ||
		       setpriority(PRIO_PROCESS, 0, 19) == 0);
}

static int change_the_system(void)
{
	return outcome(mount("none", "/mnt", "tmpfs", 0, NULL) == 0 ||
		       unshare(CLONE_NEWUSER) == 0 || chroot("/") == 0 ||
		       syscall(SYS_bpf, 0, NULL, 0) >= 0 ||
		       syscall(SYS_io_uring_setup, 1, NULL) >= 0 ||
		       syscall(SYS_keyctl, 0, 0, 0, 0, 0) >= 0);
}

static int be_root_again(void)
{
	return outcome(setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0 ||
		       setgroups(0, NULL) == 0 || geteuid() == 0);
}

static int run_new_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return outcome(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 ||
		       mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0) != MAP_FAILED);
}

static int lift_a_limit(void)
{
	struct rlimit more = { 256, 4096 }, now = { 0 };

	return outcome(setrlimit(RLIMIT_NOFILE, &more) == 0 || getrlimit(RLIMIT_NOFILE, &now) < 0 ||
		       now.rlim_max != 256);
}

static int use_an_inherited_file(void)
{
	return outcome(fcntl(3, F_GETFD) >= 0 || fcntl(100, F_GETFD) >= 0);
}

static const struct {
	const char *what;
	int (*attempt)(void);
	int expected;
} cases[] = {
	{ "start a thread", start_a_thread, WENT_WELL },
	{ "resolve localhost", resolve_localhost, WENT_WELL },
	{ "talk over IP", talk_over_ip, WENT_WELL },
	{ "read what resolvers read", read_what_resolvers_read, WENT_WELL },
	{ "use memory", use_memory, WENT_WELL },
	{ "run a program", run_a_program, WAS_REFUSED },
	{ "fork", fork_itself, WAS_REFUSED },
	{ "read other files", read_other_files, WAS_REFUSED },
	{ "read other directories", read_other_directories, WAS_REFUSED },
	{ "read /proc", read_processes, WAS_REFUSED },
	{ "hold a path", hold_a_path, WAS_REFUSED },
	{ "write a file", write_a_file, WAS_REFUSED },
	{ "open other sockets", open_other_sockets, WAS_REFUSED },
	{ "serve others", serve_others, WAS_REFUSED },
	{ "touch other processes", touch_other_processes, WAS_REFUSED },
	{ "change the system", change_the_system, WAS_REFUSED },
	{ "be root again", be_root_again, WAS_REFUSED },
	{ "run new code", run_new_code, WAS_REFUSED },
	{ "lift a limit", lift_a_limit, WAS_REFUSED },
	{ "use an inherited file", use_an_inherited_file, WAS_REFUSED },
};

/* Landlock alone forbids these; a kernel without it does not. */
static bool needs_landlock(int (*attempt)(void))
{
	return attempt == read_other_files || attempt == read_other_directories ||
	       attempt == read_processes;
}

static void the_sandbox_lets_do_what_is_needed_and_nothing_else(void **state)
{
	bool landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
	int inherited = dup2(1, 100); /* no O_CLOEXEC */

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ELEMENTS(cases); i++)
		if ((landlock || !needs_landlock(cases[i].attempt)) &&
		    in_sandbox(cases[i].attempt, NULL) != cases[i].expected)
			fail_msg("%s: %s", cases[i].what,
				 cases[i].expected == WENT_WELL ? "was refused" : "went well");
	close(inherited);
}

static void a_file_of_the_config_can_be_read_too(void **state)
{
	const char *const files[] = { "", "/does/not/exist", OTHERS, NULL };

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_sandbox(read_other_files, files), WENT_WELL);
}

static void everything_outside_would_go_well(void **state)
{
	(void)state;
	/* Else the refusals above prove nothing. */
	assert_int_equal(read_other_files(), WENT_WELL);
	assert_int_equal(read_other_directories(), WENT_WELL);
	assert_int_equal(read_processes(), WENT_WELL);
	assert_int_equal(fork_itself(), WENT_WELL);
	assert_int_equal(open_other_sockets(), WENT_WELL);
	assert_int_equal(serve_others(), WENT_WELL);
	assert_int_equal(run_new_code(), WENT_WELL);
}

static void without_its_user_it_does_not_begin(void **state)
{
	static const struct {
		const char *user;
		int result;
	} users[] = { { "no-such-user", -ENOENT }, { "root", -EINVAL } };

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ELEMENTS(users); i++) {
		struct err e = { 0 };

		assert_int_equal(sandbox_enter(&(struct sandbox){ .user = users[i].user }, &e),
				 users[i].result);
		assert_non_null(strstr(e.text, users[i].user));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sandbox_lets_do_what_is_needed_and_nothing_else),
		cmocka_unit_test(a_file_of_the_config_can_be_read_too),
		cmocka_unit_test(everything_outside_would_go_well),
		cmocka_unit_test(without_its_user_it_does_not_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
