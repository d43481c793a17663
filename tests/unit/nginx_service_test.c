/*
 * The real nginx, in a network namespace of this process alone: it starts,
 * follows each change, survives its master's death and its agent's, and says
 * who has its port. Skipped where one may not make namespaces, or has no nginx.
 */
#include "tests/unit/nginx_fixture.h"

#define WEBSPACES 3
#define CHANGES   5

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

static void assert_closed(const char *path)
{
	autofree char *full = memory_printf("%s/run/%s", t.dir, path);
	struct stat st;

	assert_int_equal(stat(full, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0710);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_gid, t.host->web_gid);
}

#define CHALLENGES "http01/.well-known/acme-challenge"
#define TOKEN      "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ"

static void files_for_challenges_are_served_from_a_closed_place(void **state)
{
	autofree char *file = memory_printf("%s/run/" CHALLENGES "/" TOKEN, t.dir);
	char answer[4096];

	(void)state;
	assert_closed("http01");
	assert_closed("http01/.well-known");
	assert_closed(CHALLENGES);
	make_page(0);
	serve(0, "");
	publish();
	get_path("user0.test", "/.well-known/acme-challenge/" TOKEN, answer);
	assert_non_null(strstr(answer, " 404 "));
	put("run/" CHALLENGES "/" TOKEN, TOKEN ".another-account");
	assert_int_equal(chown(file, 0, t.host->web_gid), 0);
	assert_int_equal(chmod(file, 0640), 0);
	get_path("user0.test", "/.well-known/acme-challenge/" TOKEN, answer);
	assert_non_null(strstr(answer, "\r\n\r\n" TOKEN ".another-account"));
	get_path("nobody.test", "/.well-known/acme-challenge/" TOKEN, answer);
	assert_non_null(strstr(answer, "\r\n\r\n" TOKEN ".another-account"));
	get("nobody.test", answer);
	assert_string_equal(answer, "");
}

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
		CASE(files_for_challenges_are_served_from_a_closed_place),
		CASE(a_change_of_one_of_ten_thousand_sites),
	};

	if (!is_possible()) {
		print_message("skipped: needs root, namespaces and nginx\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
