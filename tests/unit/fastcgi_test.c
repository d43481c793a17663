/* A question to a FastCGI server, which here is a socket that says what the test wants. */
#include "reconcile/services/php/fastcgi.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static char path[64];
static int server;
static struct fastcgi_ask ask;

static int set_up(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	(void)state;
	snprintf(path, sizeof(path), "/tmp/fastcgi-test.%d", (int)getpid());
	memcpy(at.sun_path, path, sizeof(path));
	server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)unlink(path);
	assert_int_equal(bind(server, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(server, 5), 0);
	fastcgi_ask_init(&ask);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fastcgi_ask_clear(&ask);
	close(server);
	return unlink(path);
}

static int step(const char **ret_body)
{
	return fastcgi_ask_step(&ask, path, "/ping", ret_body, NULL);
}

/* Takes the question in; the descriptor to answer on. */
static int accept_question(void)
{
	char question[1024];
	int fd = accept(server, NULL, NULL);
	ssize_t n = recv(fd, question, sizeof(question), 0);

	assert_true(n > 24);
	assert_non_null(memmem(question, (size_t)n, "SCRIPT_NAME/ping", 16));
	return fd;
}

static void say(int fd, unsigned char type, const char *text, unsigned char padding)
{
	unsigned char record[256] = { 1, type, 0, 1, 0, (unsigned char)strlen(text), padding };
	size_t len = 8 + strlen(text) + padding;

	memcpy(record + 8, text, strlen(text));
	assert_int_equal(send(fd, record, len, MSG_NOSIGNAL), len);
}

static void an_answer_is_put_together_from_records(void **state)
{
	const char *body;
	autofd int fd = -1;

	(void)state;
	assert_int_equal(step(&body), 0);
	fd = accept_question();
	say(fd, 6, "Content-Type: text/plain\r\n\r\n4", 3);
	assert_int_equal(step(&body), 0);
	say(fd, 7, "a warning", 0);
	say(fd, 6, "2", 7);
	say(fd, 6, "", 0);
	assert_int_equal(step(&body), 0);
	say(fd, 3, "12345678", 0);
	assert_int_equal(step(&body), 1);
	assert_string_equal(body, "42");
}

static void it_can_be_asked_again(void **state)
{
	an_answer_is_put_together_from_records(state);
	an_answer_is_put_together_from_records(state);
}

static void nobody_there_is_an_error_that_passes(void **state)
{
	const char *body;

	(void)state;
	assert_int_equal(fastcgi_ask_step(&ask, "/nonexistent", "/ping", &body, NULL), -ENOENT);
	assert_int_equal(step(&body), 0);
}

static void hanging_up_is_an_error(void **state)
{
	const char *body;

	(void)state;
	assert_int_equal(step(&body), 0);
	close(accept_question());
	assert_true(step(&body) < 0);
	assert_int_equal(ask.fd, -1);
}

static void who_says_too_much_is_not_listened_to(void **state)
{
	static const char filler[] =
		"0123456789012345678901234567890123456789012345678901234567890";
	const char *body;
	autofd int fd = -1;
	int r = 0;

	(void)state;
	assert_int_equal(step(&body), 0);
	fd = accept_question();
	for (int i = 0; i < 60 && r == 0; i++) {
		say(fd, 6, filler, 0);
		r = step(&body);
	}
	assert_int_equal(r, -EPROTO);
}

static void a_path_too_long_for_a_socket_is_refused(void **state)
{
	char longer[200];
	const char *body;

	(void)state;
	memset(longer, 'a', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(fastcgi_ask_step(&ask, longer, "/ping", &body, NULL), -ENAMETOOLONG);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_is_put_together_from_records),
		TEST(it_can_be_asked_again),
		TEST(nobody_there_is_an_error_that_passes),
		TEST(hanging_up_is_an_error),
		TEST(who_says_too_much_is_not_listened_to),
		TEST(a_path_too_long_for_a_socket_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
