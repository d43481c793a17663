/*
 * The real nginx, in a network namespace of this process alone: it starts,
 * follows each change, survives its master's death and its agent's, and says
 * who has its port. Skipped where one may not make namespaces, or has no nginx.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/model/load.h"
#include "reconcile/service.h"
#include "tests/unit/cmocka_all.h"

#define PORT      18080
#define WEBSPACES 3
#define CHANGES   5
#define MANY      10000

static struct {
	char dir[64];
	struct host *host;
	struct loop *loop;
	struct manager manager;
	struct store *store;
	void *service;
	struct webspace *webspaces[MANY];
	int counts[REPORT_IDLE + 1];
	char fault[600], reason[40], message[600];
} t;

static const struct service_type *const type = &nginx_service_type;

static bool is_possible(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	autofd int fd = -1;

	if (geteuid() != 0 || access("/usr/sbin/nginx", X_OK) < 0 || unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
}

static void hear(const struct report *r, void *data)
{
	(void)data;
	t.counts[r->kind]++;
	if (r->text)
		snprintf(t.fault, sizeof(t.fault), "%s", r->text);
}

static void condition(const char *webspace, enum condition_type kind, enum condition_status status,
		      const char *reason, const char *message, void *data)
{
	(void)webspace;
	(void)kind;
	(void)status;
	(void)data;
	snprintf(t.reason, sizeof(t.reason), "%s", reason);
	snprintf(t.message, sizeof(t.message), "%s", message ? message : "");
}

static void put(const char *path, const char *text)
{
	autofree char *full = memory_printf("%s/%s", t.dir, path);
	FILE *f = fopen(full, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void load_the_host(void)
{
	autofree char *text = memory_printf(
		"config_dir = \"%s/conf.d\"; home_root = \"%s/home\"; state_dir = \"%s/state\";\n"
		"run_dir = \"%s/run\"; log_root = \"%s/log\"; base_domain = \"test\";\n"
		"manager = \"direct\"; nginx = { http = [\"127.0.0.1:%d\"]; https = "
		"[\"127.0.0.1:18443\"]; };\n"
		"acme = { issuer = \"off\"; };\n",
		t.dir, t.dir, t.dir, t.dir, t.dir, PORT);
	autofree char *path = memory_printf("%s/host.conf", t.dir);
	struct problems p = { 0 };
	struct err e;

	put("host.conf", text);
	if (load_host(path, false, &t.host, &p) < 0)
		problems_print(&p, stderr);
	assert_non_null(t.host);
	assert_int_equal(host_resolve(t.host, &e), 0);
	problems_clear(&p);
}

static void open_agent(void)
{
	struct service_config config = { .report = hear, .condition = condition };
	struct err e = { 0 };

	assert_int_equal(loop_open(&t.loop, &e), 0);
	assert_int_equal(manager_open(t.host, t.loop, &t.manager, &e), 0);
	assert_int_equal(store_open(t.host->state_dir, t.host->web_gid, true, &t.store, &e), 0);
	config.host = t.host;
	config.loop = t.loop;
	config.manager = &t.manager;
	config.store = t.store;
	if (type->open(&config, &t.service, &e) < 0)
		fail_msg("%s", e.text);
}

static void close_agent(void)
{
	type->close(t.service);
	manager_close(&t.manager);
	store_close(t.store);
	loop_close(t.loop);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/nginx_test.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	assert_int_equal(chmod(t.dir, 0755), 0);
	umask(022);
	load_the_host();
	open_agent();
	return 0;
}

static pid_t nginx_pid(void)
{
	autofree char *path = memory_printf("%s/run/nginx/nginx.pid", t.dir);
	FILE *f = fopen(path, "r");
	int pid = 0;

	if (!f || fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static int teardown(void **state)
{
	autofd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t pid = nginx_pid();

	(void)state;
	close_agent();
	if (pid > 1)
		kill(-pid, SIGKILL);
	for (int i = 0; i < MANY; i++)
		if (t.webspaces[i])
			webspace_free(t.webspaces[i]);
	host_free(t.host);
	(void)poll(NULL, 0, 20);
	(void)path_remove_tree(tmp, t.dir + strlen("/tmp/"), NULL);
	return 0;
}

static void settle(void)
{
	uint64_t until = clock_usec() + 30 * USEC_PER_SEC;

	while (!type->idle(t.service) && clock_usec() < until)
		assert_true(loop_step(t.loop, USEC_PER_SEC) >= 0);
	assert_true(type->idle(t.service));
}

static void serve_as(int i, const char *issuer, const char *extra)
{
	autofree char *name = memory_printf("user%d", i);
	autofree char *text =
		memory_printf("sites = ( { names = [\"%s.test\"%s]; type = \"static\"; "
			      "tls = { issuer = \"%s\"; }; redirect_https = false; } );",
			      name, extra, issuer);
	struct webspace *w = NULL;
	struct problems p = { 0 };

	if (load_webspace(t.host, name, name, text, strlen(text), &w, &p) < 0)
		problems_print(&p, stderr);
	assert_non_null(w);
	problems_clear(&p);
	type->serve(t.service, w);
	if (t.webspaces[i])
		webspace_free(t.webspaces[i]);
	t.webspaces[i] = w;
}

static void serve(int i, const char *extra)
{
	serve_as(i, "off", extra);
}

static void publish(void)
{
	type->publish(t.service);
	settle();
}

static void make_page(int i)
{
	autofree char *dir = memory_printf("%s/home/user%d/chroot/data", t.dir, i);
	autofree char *page = memory_printf("home/user%d/chroot/data/index.html", i);
	autofree char *text = memory_printf("page of user%d\n", i);

	assert_true(path_make_dirs(dir, 0755, NULL) >= 0);
	put(page, text);
}

/* The answer's first line and its body, or "" if nobody answers. */
static void get(const char *host, char ret[4096])
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(PORT),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval patience = { .tv_sec = 10 };
	autofree char *question = memory_printf("GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host);
	size_t len = 0;
	ssize_t n;

	ret[0] = '\0';
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return;
	assert_true(write(fd, question, strlen(question)) > 0);
	while (len < 4095 && (n = read(fd, ret + len, 4095 - len)) > 0)
		len += (size_t)n;
	ret[len] = '\0';
}

static void assert_page(const char *host, const char *want)
{
	char answer[4096];

	get(host, answer);
	if (!strstr(answer, want))
		fail_msg("%s answers: %s", host, answer);
}

static void sites_are_served_and_changes_followed(void **state)
{
	char extra[64];
	uint64_t begun;

	(void)state;
	for (int i = 0; i < WEBSPACES; i++) {
		make_page(i);
		serve(i, "");
	}
	publish();
	if (t.fault[0])
		print_message("%s\n", t.fault);
	assert_int_equal(type->generation(t.service), 1);
	assert_string_equal(t.reason, "Served");
	assert_page("user1.test", "page of user1");
	assert_page("user2.test", "page of user2");

	begun = clock_usec();
	for (int i = 0; i < CHANGES; i++) {
		snprintf(extra, sizeof(extra), ", \"alias%d.test\"", i);
		serve(1, extra);
		publish();
		snprintf(extra, sizeof(extra), "alias%d.test", i);
		assert_page(extra, "page of user1");
	}
	print_message("%d changes, each reloaded and verified: %.0f ms each\n", CHANGES,
		      (double)(clock_usec() - begun) / 1000 / CHANGES);
	assert_int_equal(type->generation(t.service), 1 + CHANGES);
	type->publish(t.service);
	type->look(t.service);
	settle();
	assert_int_equal(type->generation(t.service), 1 + CHANGES);
}

static void a_killed_master_comes_back(void **state)
{
	pid_t before;
	uint64_t begun;

	(void)state;
	make_page(0);
	serve(0, "");
	publish();
	before = nginx_pid();
	begun = clock_usec();
	assert_int_equal(kill(before, SIGKILL), 0);
	while (t.counts[REPORT_PUBLISHED] < 2 && clock_usec() - begun < 10 * USEC_PER_SEC)
		(void)loop_step(t.loop, 10000);
	print_message("killed master: served again after %.0f ms\n",
		      (double)(clock_usec() - begun) / 1000);
	assert_int_equal(t.counts[REPORT_DIED], 1);
	assert_int_equal(t.counts[REPORT_HOST_FAULT], 0);
	assert_int_not_equal(nginx_pid(), before);
	assert_page("user0.test", "page of user0");
}

static void a_later_agent_finds_nginx_as_it_is(void **state)
{
	pid_t before;

	(void)state;
	make_page(0);
	serve(0, "");
	publish();
	before = nginx_pid();
	close_agent();
	assert_page("user0.test", "page of user0");
	memset(t.counts, 0, sizeof(t.counts));
	open_agent();
	serve(0, "");
	publish();
	assert_int_equal(nginx_pid(), before);
	assert_int_equal(t.counts[REPORT_PUBLISHED], 0);
	assert_int_equal(type->generation(t.service), 1);
	assert_string_equal(t.reason, "Served");
	serve(0, ", \"more.test\"");
	publish();
	assert_page("more.test", "page of user0");
	assert_int_equal(nginx_pid(), before);
}

static void what_a_master_left_that_died_unseen_is_cleared_away(void **state)
{
	pid_t before;

	(void)state;
	make_page(0);
	serve(0, "");
	publish();
	before = nginx_pid();
	close_agent();
	assert_int_equal(kill(before, SIGKILL), 0);
	(void)waitpid(before, NULL, 0);
	assert_page("user0.test", "page of user0"); /* its workers live on */
	memset(t.counts, 0, sizeof(t.counts));
	open_agent();
	serve(0, "");
	publish();
	assert_int_equal(t.counts[REPORT_HOST_FAULT], 0);
	assert_int_not_equal(nginx_pid(), before);
	assert_page("user0.test", "page of user0");
}

static void a_certificate_of_the_store_is_served_by_its_name(void **state)
{
	static const char *const argv[] = {
		"/usr/bin/openssl", "s_client",   "-connect", "127.0.0.1:18443",
		"-servername",      "user0.test", NULL
	};
	const char *const names[] = { "user0.test" };
	struct buf output = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_true(store_issue_internal(t.store, "user0", "user0.test", names, 1, clock_wall(),
					 &e) >= 0);
	make_page(0);
	serve_as(0, "internal", "");
	publish();
	assert_string_equal(t.reason, "Served");
	if (access(argv[0], X_OK) < 0)
		return;
	(void)spawn_run(&(struct spawn){ .argv = argv },
			"GET / HTTP/1.0\r\nHost: user0.test\r\n\r\n",
			clock_usec() + 10 * USEC_PER_SEC, &output, &e);
	if (!strstr(buf_text(&output), "CN = user0.test") ||
	    !strstr(buf_text(&output), "BEGIN CERTIFICATE"))
		fail_msg("%s", buf_text(&output));
	buf_clear(&output);
}

static void a_taken_port_is_the_hosts_fault_and_its_holder_named(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(PORT),
				 .sin_addr = { htonl(INADDR_ANY) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	(void)state;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	make_page(0);
	serve(0, "");
	publish();
	assert_int_equal(t.counts[REPORT_HOST_FAULT], 1);
	assert_non_null(strstr(t.fault, "nginx_service_t (process "));
	assert_non_null(strstr(t.fault, "listens on 127.0.0.1:18080"));
	assert_string_equal(t.reason, "HostFault");
	close(fd);
	for (int i = 0; i < 300 && t.counts[REPORT_PUBLISHED] == 0; i++)
		(void)loop_step(t.loop, 10000);
	assert_page("user0.test", "page of user0");
	assert_string_equal(t.reason, "Served");
}

static void a_withdrawn_site_is_gone(void **state)
{
	char answer[4096];

	(void)state;
	make_page(0);
	make_page(1);
	serve(0, "");
	serve(1, "");
	publish();
	type->withdraw(t.service, "user1");
	assert_false(type->withdrawn(t.service, "user1"));
	publish();
	assert_true(type->withdrawn(t.service, "user1"));
	get("user1.test", answer);
	assert_null(strstr(answer, "page of"));
	assert_page("user0.test", "page of user0");
}

static void a_change_of_one_of_ten_thousand_sites(void **state)
{
	uint64_t begun;
	clock_t cpu;

	(void)state;
	for (int i = 0; i < MANY; i++)
		serve(i, "");
	make_page(7);
	begun = clock_usec();
	publish();
	print_message("10,000 sites: published in %.0f ms\n",
		      (double)(clock_usec() - begun) / 1000);
	begun = clock_usec();
	cpu = clock();
	serve(7, ", \"more.test\"");
	publish();
	print_message("one changed: %.0f ms, %.1f ms of our CPU\n",
		      (double)(clock_usec() - begun) / 1000,
		      (double)(clock() - cpu) * 1000 / CLOCKS_PER_SEC);
	assert_page("more.test", "page of user7");
	cpu = clock();
	for (int i = 0; i < MANY; i++)
		type->serve(t.service, t.webspaces[i]);
	type->publish(t.service);
	type->look(t.service);
	settle();
	print_message("a pass over them without a change: %.1f ms of our CPU\n",
		      (double)(clock() - cpu) * 1000 / CLOCKS_PER_SEC);
	assert_int_equal(type->generation(t.service), 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(sites_are_served_and_changes_followed),
		CASE(a_killed_master_comes_back),
		CASE(a_later_agent_finds_nginx_as_it_is),
		CASE(what_a_master_left_that_died_unseen_is_cleared_away),
		CASE(a_certificate_of_the_store_is_served_by_its_name),
		CASE(a_taken_port_is_the_hosts_fault_and_its_holder_named),
		CASE(a_withdrawn_site_is_gone),
		CASE(a_change_of_one_of_ten_thousand_sites),
	};

	if (!is_possible()) {
		print_message("skipped: needs root, namespaces and nginx\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
