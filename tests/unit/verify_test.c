/* Answers of nginx about its generation, and addresses that may be taken. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "reconcile/services/nginx/listener.h"
#include "reconcile/services/nginx/verify.h"
#include "tests/unit/cmocka_all.h"

static const struct {
	const char *answer;
	uint64_t generation;
} answers[] = {
	{ "HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n17\n", 17 },
	{ "HTTP/1.1 200 OK\r\n\r\n1\n", 1 },
	{ "HTTP/1.1 200 OK\r\n\r\n17", 0 },
	{ "HTTP/1.1 200 OK\r\n\r\n17\nmore", 0 },
	{ "HTTP/1.1 200 OK\r\n\r\n-1\n", 0 },
	{ "HTTP/1.1 200 OK\r\n\r\n", 0 },
	{ "HTTP/1.1 502 Bad Gateway\r\n\r\n17\n", 0 },
	{ "HTTP/1.1 200", 0 },
	{ "HTTP/1.", 0 },
	{ "", 0 },
};

static void only_a_number_in_a_good_answer_is_a_generation(void **state)
{
	(void)state;
	for (size_t i = 0; i < ELEMENTS(answers); i++)
		assert_int_equal(verify_parse(answers[i].answer), answers[i].generation);
}

static void nobody_to_ask_is_said_at_once(void **state)
{
	struct verify *v;
	struct loop *l;
	struct err e;

	(void)state;
	assert_int_equal(loop_open(&l, &e), 0);
	assert_int_equal(verify_ask(l, "/nonexistent/socket", NULL, NULL, &v, &e), -ENOENT);
	loop_close(l);
}

static void a_taken_address_is_told_with_its_holder(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char address[40];
	struct err e;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(a.sin_port));
	assert_int_equal(listener_check(address, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "verify_test (process "));
	close(fd);
	assert_int_equal(listener_check(address, &e), 0);
	assert_int_equal(listener_check("203.0.113.1:80", &e), -EADDRNOTAVAIL);
	assert_int_equal(listener_check("not an address", &e), 0);
	assert_int_equal(listener_check("", &e), 0);
	assert_int_equal(listener_check(":80", &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_number_in_a_good_answer_is_a_generation),
		cmocka_unit_test(nobody_to_ask_is_said_at_once),
		cmocka_unit_test(a_taken_address_is_told_with_its_holder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
