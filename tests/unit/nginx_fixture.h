/*
 * An agent's nginx service with the real nginx, in a network namespace of this
 * process alone, and webspaces that it serves. For the tests of that service.
 */
#pragma once

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

#define PORT 18080
#define MANY 10000

static struct {
	char dir[64];
	struct host *host;
	struct loop *loop;
	struct manager manager;
	struct store *store;
	void *service;
	struct webspace *webspaces[MANY];
	int counts[REPORT_IDLE + 1];
	pid_t left; /* one that the pid file may not name */
	char fault[600], reason[40], message[600];
} t;

/* Where nginx is the host's own, with t.dir/etc/nginx.conf: starts that. */
static void (*prepare_system)(void);

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
	autofree char *system =
		memory_printf(" instance = \"system\"; main = \"%s/etc/nginx.conf\"; include = "
			      "\"%s/etc/conf.d/webspaces.conf\";",
			      t.dir, t.dir);
	autofree char *text = memory_printf(
		"config_dir = \"%s/conf.d\"; home_root = \"%s/home\"; state_dir = \"%s/state\";\n"
		"run_dir = \"%s/run\"; log_root = \"%s/log\"; base_domain = \"test\";\n"
		"manager = \"direct\"; nginx = { http = [\"127.0.0.1:%d\"]; https = "
		"[\"127.0.0.1:18443\"];%s };\n"
		"acme = { issuer = \"off\"; };\n",
		t.dir, t.dir, t.dir, t.dir, t.dir, PORT, prepare_system ? system : "");
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
	if (prepare_system)
		prepare_system();
	load_the_host();
	open_agent();
	return 0;
}

/* What a pid file in the directory says; 0: nothing. */
static pid_t pid_of(const char *file)
{
	autofree char *path = memory_printf("%s/%s", t.dir, file);
	FILE *f = fopen(path, "r");
	int pid = 0;

	if (!f || fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static pid_t nginx_pid(void)
{
	return pid_of("run/nginx/nginx.pid");
}

static int teardown(void **state)
{
	autofd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t pid = nginx_pid();

	(void)state;
	close_agent();
	if (pid > 1)
		kill(-pid, SIGKILL);
	if (t.left > 1 && t.left != pid)
		kill(-t.left, SIGKILL);
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

/* The whole answer, or "" if nobody answers. */
static void get_path(const char *host, const char *path, char ret[4096])
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(PORT),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval patience = { .tv_sec = 10 };
	autofree char *question = memory_printf("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, host);
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

static void get(const char *host, char ret[4096])
{
	get_path(host, "/", ret);
}

static void assert_page(const char *host, const char *want)
{
	char answer[4096];

	get(host, answer);
	if (!strstr(answer, want))
		fail_msg("%s answers: %s", host, answer);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
