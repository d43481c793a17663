/*
 * The service with an nginx that is the host's own: a real one, started by the
 * test, with a site of its own at the port of the webspaces. This program is also
 * what the service starts to look at that nginx's configuration, as webspaces is.
 * Skipped where one may not make namespaces, or has no nginx.
 */
#include "tests/unit/nginx_fixture.h"

static const char main_file[] = "user www-data;\n"
				"pid %s/etc/nginx.pid;\n"
				"error_log %s/etc/error.log;\n"
				"worker_processes 1;\n"
				"events { }\n"
				"http {\n"
				"\taccess_log off;\n"
				"\tserver_names_hash_bucket_size 256;\n"
				"\tinclude conf.d/*.conf;\n"
				"\t%s\n"
				"}\n";

static const char site[] = "server { listen 127.0.0.1:18080 default_server; server_name own.test; "
			   "return 200 \"a page of its own\\n\"; }";

static void put_main(const char *in_http)
{
	autofree char *text = memory_printf(main_file, t.dir, t.dir, in_http);

	put("etc/nginx.conf", text);
}

static pid_t system_pid(void)
{
	return pid_of("etc/nginx.pid");
}

static void start_system(void)
{
	autofree char *conf = memory_printf("%s/etc/nginx.conf", t.dir);
	const char *const argv[] = { "/usr/sbin/nginx", "-c", conf, NULL };
	struct err e;

	if (spawn_run(&(struct spawn){ .argv = argv }, NULL, clock_usec() + 20 * USEC_PER_SEC, NULL,
		      &e) < 0)
		fail_msg("%s", e.text);
}

/* It takes its pid file away as the last thing. */
static void stop_system(void)
{
	pid_t pid = system_pid();
	uint64_t until = clock_usec() + 20 * USEC_PER_SEC;

	if (pid > 1)
		(void)kill(pid, SIGTERM);
	while (system_pid() != 0 && clock_usec() < until)
		(void)poll(NULL, 0, 10);
}

static void put_and_start(void)
{
	autofree char *dir = memory_printf("%s/etc/conf.d", t.dir);

	assert_true(path_make_dirs(dir, 0755, NULL) >= 0);
	put_main(site);
	start_system();
}

static int teardown_system(void **state)
{
	stop_system();
	return teardown(state);
}

static void serve_one(void)
{
	make_page(0);
	serve(0, "");
	publish();
}

static bool has_include(void)
{
	autofree char *path = memory_printf("%s/etc/conf.d/webspaces.conf", t.dir);

	return access(path, F_OK) == 0;
}

static void webspaces_are_served_beside_its_own_site(void **state)
{
	pid_t before = system_pid();

	(void)state;
	serve_one();
	assert_string_equal(t.reason, "Served");
	assert_page("user0.test", "page of user0");
	assert_page("own.test", "a page of its own");
	assert_page("unknown.test", "a page of its own");
	assert_int_equal(system_pid(), before);
	assert_int_equal(nginx_pid(), 0);
}

static void a_later_agent_finds_it_as_it_is(void **state)
{
	(void)state;
	serve_one();
	close_agent();
	memset(t.counts, 0, sizeof(t.counts));
	open_agent();
	serve(0, "");
	publish();
	assert_string_equal(t.reason, "Served");
	assert_int_equal(t.counts[REPORT_PUBLISHED], 0);
	serve(0, ", \"more.test\"");
	publish();
	assert_page("more.test", "page of user0");
}

static void an_include_file_that_is_gone_is_put_back(void **state)
{
	autofree char *path = memory_printf("%s/etc/conf.d/webspaces.conf", t.dir);
	uint64_t until = clock_usec() + 20 * USEC_PER_SEC;

	(void)state;
	serve_one();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(kill(system_pid(), SIGHUP), 0);
	while (t.counts[REPORT_CHANGED] == 0 && clock_usec() < until) {
		type->look(t.service);
		settle();
	}
	assert_true(has_include());
	assert_int_equal(t.counts[REPORT_CHANGED], 1);
	assert_page("user0.test", "page of user0");
}

/* What nginx -T says decides what is ours to say; it is asked again at each look. */
static void a_default_server_that_comes_later_takes_the_place_of_ours(void **state)
{
	uint64_t until = clock_usec() + 20 * USEC_PER_SEC;
	char answer[4096];
	int published;

	(void)state;
	put_main("");
	assert_int_equal(kill(system_pid(), SIGHUP), 0);
	close_agent();
	open_agent();
	serve_one();
	get("unknown.test", answer);
	assert_string_equal(answer, ""); /* refused */
	published = t.counts[REPORT_PUBLISHED];
	put_main(site);
	while (t.counts[REPORT_PUBLISHED] == published && clock_usec() < until) {
		type->look(t.service);
		(void)loop_step(t.loop, 10000);
		settle();
	}
	assert_page("unknown.test", "a page of its own");
	assert_page("user0.test", "page of user0");
}

static void a_broken_configuration_of_the_hosts_is_nobodys_fault(void **state)
{
	(void)state;
	serve_one();
	put_main("no_such_directive;");
	serve(0, ", \"more.test\"");
	publish();
	assert_int_equal(t.counts[REPORT_QUARANTINED], 0);
	assert_int_equal(t.counts[REPORT_HOST_FAULT], 1);
	assert_string_equal(t.reason, "HostFault");
	assert_non_null(strstr(t.message, "no_such_directive"));
	assert_page("user0.test", "page of user0");
}

static void one_that_does_not_run_is_not_started(void **state)
{
	(void)state;
	stop_system();
	serve_one();
	assert_string_equal(t.reason, "HostFault");
	assert_non_null(strstr(t.message, "does not run"));
	assert_int_equal(nginx_pid(), 0);
}

/* As exec-nginx does. */
static int look_at_the_host(int argc, char **argv)
{
	struct problems p = { 0 };
	struct host *host = NULL;
	struct err e = { 0 };

	if (argc < 5 || load_host(argv[2], false, &host, &p) < 0)
		return 1;
	(void)nginx_rehearse(host, argc > 5 ? argv[5] : NULL, &e);
	fprintf(stderr, "%s\n", e.text);
	return 1;
}

#define SYSTEM_CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown_system)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SYSTEM_CASE(webspaces_are_served_beside_its_own_site),
		SYSTEM_CASE(a_later_agent_finds_it_as_it_is),
		SYSTEM_CASE(an_include_file_that_is_gone_is_put_back),
		SYSTEM_CASE(a_default_server_that_comes_later_takes_the_place_of_ours),
		SYSTEM_CASE(a_broken_configuration_of_the_hosts_is_nobodys_fault),
		SYSTEM_CASE(one_that_does_not_run_is_not_started),
	};

	prepare_system = put_and_start;
	if (argc > 1)
		return look_at_the_host(argc, argv);
	if (!is_possible()) {
		print_message("skipped: needs root, namespaces and nginx\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
