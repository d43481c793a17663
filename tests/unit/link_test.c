/*
 * The agent's end of the line: against a worker in Python that does what the
 * URL says, and against the real one, which this program becomes when it is
 * started as the agent would be.
 */
#include "acme/link.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/worker/worker.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static const char fake[] =
	"import os, socket, struct, time\n"
	"line = socket.socket(fileno=0)\n"
	"held = []\n"
	"def field(row, data): return struct.pack('=II', row, len(data)) + data\n"
	"def reply(id, *fields): line.send(struct.pack('=II', 2**32 - 1, id) + b''.join(fields))\n"
	"def count(n): return field(2, struct.pack('=I', 200)) + field(3, struct.pack('=I', n))\n"
	"while True:\n"
	"    try: packet = line.recv(65536)\n"
	"    except TimeoutError:\n"
	"        for i in reversed(held): reply(i, count(len(held)))\n"
	"        held = []; line.settimeout(None); continue\n"
	"    if not packet: break\n"
	"    id = struct.unpack('=II', packet[:8])[1]\n"
	"    what = packet[16:].split(b'\\0')[0].rpartition(b'/')[2].decode()\n"
	"    if what == 'pid': reply(id, field(1, str(os.getpid()).encode() + b'\\0'))\n"
	"    elif what == 'hold': held.append(id); line.settimeout(0.3)\n"
	"    elif what == 'die': break\n"
	"    elif what == 'tell-and-die':\n"
	"        reply(id, count(1)); reply(0, field(1, b'of old age\\0')); break\n"
	"    elif what == 'crash': os.kill(os.getpid(), 11)\n"
	"    elif what == 'close': line.shutdown(socket.SHUT_RDWR); time.sleep(60)\n"
	"    elif what == 'garbage': line.send(b'garbage'); time.sleep(60)\n"
	"    elif what == 'strange': reply(id + 1000); reply(id, count(1)); reply(id, count(1))\n"
	"    elif what != 'silent': reply(id, count(1))\n";

static const char *const fake_argv[] = { "/usr/bin/python3", "-S", "-c", fake, NULL };

/* The real worker, as which this program runs when it is given words. */
static const char *const real_argv[] = { "/proc/self/exe", VERSION, "nobody", "", NULL };

#define ASKED_MAX 400

static struct loop *loop;
static struct link *line;
static struct asked {
	uint32_t id;
	unsigned calls;
	enum reply_error error;
	unsigned connections;
	char text[200];
} asked[ASKED_MAX];
static size_t n_asked;

static int begin(void **state)
{
	(void)state;
	alarm(60);
	memset(asked, 0, sizeof(asked));
	n_asked = 0;
	assert_int_equal(loop_open(&loop, NULL), 0);
	return 0;
}

static void open_line(const char *const *argv, const char *user)
{
	link_open(&(struct link_config){ .loop = loop, .user = user, .ca_file = "", .argv = argv },
		  &line);
}

static int end(void **state)
{
	(void)state;
	link_close(line);
	line = NULL;
	loop_close(loop);
	return 0;
}

static void on_reply(const struct reply *reply, void *data)
{
	struct asked *a = data;

	assert_int_equal(reply->id, a->id);
	a->calls++;
	a->error = reply->error;
	a->connections = reply->connections;
	snprintf(a->text, sizeof(a->text), "%s", reply->text);
}

static struct asked *ask_with(const char *what, const char *body, link_fn *fn)
{
	autofree char *url = memory_printf("https://ca/%s", what);
	struct asked *a = &asked[n_asked++];

	assert_in_range(n_asked, 1, ASKED_MAX);
	a->id = link_ask(line,
			 &(struct request){ .kind = body ? REQUEST_ORDER : REQUEST_DIRECTORY,
					    .url = url,
					    .body = body },
			 fn, a);
	assert_int_not_equal(a->id, 0);
	return a;
}

static struct asked *ask(const char *what)
{
	return ask_with(what, NULL, on_reply);
}

static uint64_t wait_for(const struct asked *a)
{
	uint64_t start = clock_usec();

	assert_int_equal(a->calls, 0); /* never from within link_ask */
	while (a->calls == 0)
		assert_true(loop_step(loop, UINT64_MAX) >= 0);
	return clock_usec() - start;
}

static void quiet(uint64_t usec)
{
	uint64_t until = clock_usec() + usec;

	while (clock_usec() < until)
		(void)loop_step(loop, until - clock_usec());
}

static void broken_is(const struct asked *a, const char *text)
{
	assert_int_equal(a->error, REPLY_BROKEN);
	assert_string_equal(a->text, text);
}

static pid_t pid_of_worker(void)
{
	struct asked *a = ask("pid");

	wait_for(a);
	assert_int_equal(a->error, REPLY_OK);
	return (pid_t)strtol(a->text, NULL, 10);
}

static void each_gets_its_own_reply_in_whatever_order_they_come(void **state)
{
	struct asked *first;

	(void)state;
	open_line(fake_argv, "nobody");
	first = ask("hold");
	ask("hold");
	ask("hold");
	wait_for(first); /* the last to be answered */
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(asked[i].calls, 1);
		assert_int_equal(asked[i].connections, 3);
	}
	assert_int_equal(link_figures(line).requests, 3);
	assert_int_equal(link_figures(line).connections, 9);
	assert_int_equal(link_figures(line).deaths, 0);
}

static void a_dropped_reply_is_not_told(void **state)
{
	struct asked *sent, *unsent, *kept;

	(void)state;
	open_line(fake_argv, "nobody");
	unsent = ask("ok"); /* the worker has not been started yet */
	link_drop(line, unsent->id);
	wait_for(ask("ok"));
	sent = ask("hold");
	kept = ask("hold");
	link_drop(line, sent->id);
	link_drop(line, sent->id);
	link_drop(line, 0);
	wait_for(kept);
	quiet(100000);
	assert_int_equal(sent->calls + unsent->calls, 0);
}

static void replies_to_nobody_and_second_ones_are_passed_over(void **state)
{
	struct asked *a;

	(void)state;
	open_line(fake_argv, "nobody");
	a = ask("strange");
	wait_for(a);
	wait_for(ask("ok"));
	assert_int_equal(a->calls, 1);
	assert_int_equal(link_figures(line).deaths, 0);
}

static void all_are_told_when_it_dies_and_the_next_question_starts_another(void **state)
{
	struct asked *silent, *death, *next;
	uint64_t waited;

	(void)state;
	open_line(fake_argv, "nobody");
	silent = ask("silent");
	death = ask("die");
	wait_for(silent);
	assert_int_equal(death->calls, 1);
	broken_is(silent, "the worker ended: it closed the line");
	broken_is(death, "the worker ended: it closed the line");
	next = ask("ok");
	waited = wait_for(next);
	assert_int_equal(next->error, REPLY_OK);
	assert_in_range(waited, 0, 2000000);
	assert_int_equal(link_figures(line).deaths, 1);
}

static void its_end_is_told_as_it_was(void **state)
{
	static const struct {
		const char *what, *text;
	} cases[] = {
		{ "crash", "the worker was killed by signal 11" },
		{ "close", "the worker ended: it closed the line" },
		{ "garbage", "the worker ended: it sent something that is not a message" },
	};

	(void)state;
	open_line(fake_argv, "nobody");
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct asked *a;

		wait_for(ask("ok"));
		a = ask(cases[i].what);
		wait_for(a);
		broken_is(a, cases[i].text);
		assert_int_equal(link_figures(line).deaths, i + 1);
	}
}

static void last_words_are_told_and_what_was_said_before_is_heard(void **state)
{
	struct asked *last, *later;

	(void)state;
	open_line(fake_argv, "nobody");
	later = ask("silent");
	last = ask("tell-and-die");
	wait_for(last);
	assert_int_equal(last->error, REPLY_OK);
	wait_for(later);
	broken_is(later, "the worker ended: of old age");
}

static void between_deaths_the_pause_grows_until_one_exchange_succeeds(void **state)
{
	(void)state;
	open_line(fake_argv, "nobody");
	assert_in_range(wait_for(ask("die")), 0, 900000);
	assert_in_range(wait_for(ask("die")), 900000, 1900000);
	assert_in_range(wait_for(ask("ok")), 1900000, 3800000);
	assert_in_range(wait_for(ask("die")), 0, 900000);
	assert_in_range(wait_for(ask("ok")), 900000, 1900000);
	assert_int_equal(link_figures(line).deaths, 3);
}

static void a_worker_that_cannot_be_started_is_said(void **state)
{
	static const char *const nothing[] = { "/does/not/exist", NULL };
	struct asked *a;

	(void)state;
	open_line(nothing, "nobody");
	a = ask("ok");
	wait_for(a);
	broken_is(a, "start /does/not/exist: No such file or directory");
	assert_int_equal(link_figures(line).deaths, 1);
}

static void a_worker_that_is_not_installed_is_said(void **state)
{
	struct asked *a;

	(void)state;
	open_line(NULL, "nobody");
	a = ask("ok");
	wait_for(a);
	assert_int_equal(a->error, REPLY_BROKEN);
	assert_true(strncmp(a->text, "no program acme-worker beside /", 31) == 0);
}

static void what_no_message_can_say_is_broken_and_stops_nobody(void **state)
{
	struct asked *bad, *good;

	(void)state;
	open_line(fake_argv, "nobody");
	bad = ask_with("ok", "a\nb", on_reply);
	good = ask("ok");
	wait_for(good);
	assert_int_equal(bad->calls, 1);
	broken_is(bad, "the request has a text that cannot be sent to the worker");
	assert_int_equal(good->error, REPLY_OK);
	link_drop(line, ask_with("ok", "a\nb", on_reply)->id);
	quiet(50000);
	assert_int_equal(asked[2].calls, 0);
}

static void more_than_the_line_holds_waits_and_at_most_64_are_under_way(void **state)
{
	char *body = memory_new(40001);
	struct asked *last = NULL;

	(void)state;
	memset(body, 'b', 40000);
	open_line(fake_argv, "nobody");
	for (int i = 0; i < 150; i++)
		last = ask_with("hold", body, on_reply);
	wait_for(last);
	quiet(100000);
	for (int i = 0; i < 150; i++) {
		assert_int_equal(asked[i].calls, 1);
		assert_int_equal(asked[i].error, REPLY_OK);
		assert_in_range(asked[i].connections, 1, 64);
	}
	assert_int_equal(asked[0].connections, 64);
	assert_int_equal(link_figures(line).requests, 150);
	free(body);
}

static struct asked *chained, *dropped;

static void ask_again(const struct reply *reply, void *data)
{
	on_reply(reply, data);
	link_drop(line, dropped->id);
	chained = ask("ok");
}

static void who_is_told_may_ask_and_drop_also_about_a_death(void **state)
{
	static const char *const ends[] = { "ok", "die" };

	(void)state;
	open_line(fake_argv, "nobody");
	for (size_t i = 0; i < ELEMENTS(ends); i++) {
		chained = NULL;
		ask_with(ends[i], NULL, ask_again);
		dropped = ask("silent");
		while (!chained || chained->calls == 0)
			(void)loop_step(loop, UINT64_MAX);
		assert_int_equal(chained->error, REPLY_OK);
		assert_int_equal(dropped->calls, 0);
	}
}

static void closing_ends_the_worker_and_tells_nobody(void **state)
{
	pid_t pid;

	(void)state;
	open_line(fake_argv, "nobody");
	pid = pid_of_worker();
	assert_int_equal(kill(pid, 0), 0);
	ask("silent");
	ask_with("ok", "a\nb", on_reply);
	link_close(line);
	line = NULL;
	assert_int_equal(kill(pid, 0), -1);
	quiet(50000);
	assert_int_equal(asked[1].calls + asked[2].calls, 0);
}

static void without_questions_there_is_no_worker(void **state)
{
	(void)state;
	open_line(fake_argv, "nobody");
	assert_int_equal(loop_step(loop, 50000), 0);
	assert_int_equal(link_figures(line).deaths, 0);
}

/* The real one */

static struct asked *look_at(const char *connect)
{
	struct asked *a = &asked[n_asked++];

	a->id = link_ask(line,
			 &(struct request){ .kind = REQUEST_LISTENER,
					    .url = "http://a.example/x",
					    .connect = connect,
					    .expect = "x" },
			 on_reply, a);
	return a;
}

static void the_real_worker_answers_from_its_sandbox(void **state)
{
	struct asked *a;

	(void)state;
	open_line(real_argv, "nobody");
	a = look_at("127.0.0.1:1");
	wait_for(a);
	assert_int_equal(a->error, REPLY_UNREACHABLE);
	assert_string_equal(a->text, "Connection refused");
	a = look_at("[::1]:1");
	wait_for(a);
	assert_int_equal(a->error, REPLY_UNREACHABLE);
	assert_int_equal(link_figures(line).requests, 0); /* none of them to a CA */
	assert_int_equal(link_figures(line).deaths, 0);
}

/* Why the real worker cannot begin, by its last words. */
static void last_words_are(const char *version, const char *user, const char *words)
{
	static const char *argv[] = { "/proc/self/exe", NULL, NULL, "", NULL };
	struct asked *a;

	argv[1] = version;
	argv[2] = user;
	open_line(argv, user);
	a = look_at("127.0.0.1:1");
	wait_for(a);
	broken_is(a, words);
}

static void a_worker_of_another_version_says_so(void **state)
{
	(void)state;
	last_words_are("0.0.1", "nobody",
		       "the worker ended: it is of version " VERSION ", the agent of 0.0.1");
}

static void a_user_that_there_is_not_is_said(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	last_words_are(VERSION, "webspaces-nobody", "the worker ended: no user webspaces-nobody");
}

static void the_real_worker_says_why_it_cannot_begin(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	last_words_are(VERSION, "root", "the worker ended: user root has the rights of root");
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
		CASE(each_gets_its_own_reply_in_whatever_order_they_come),
		CASE(a_dropped_reply_is_not_told),
		CASE(replies_to_nobody_and_second_ones_are_passed_over),
		CASE(all_are_told_when_it_dies_and_the_next_question_starts_another),
		CASE(its_end_is_told_as_it_was),
		CASE(last_words_are_told_and_what_was_said_before_is_heard),
		CASE(between_deaths_the_pause_grows_until_one_exchange_succeeds),
		CASE(a_worker_that_cannot_be_started_is_said),
		CASE(a_user_that_there_is_not_is_said),
		CASE(a_worker_that_is_not_installed_is_said),
		CASE(what_no_message_can_say_is_broken_and_stops_nobody),
		CASE(more_than_the_line_holds_waits_and_at_most_64_are_under_way),
		CASE(who_is_told_may_ask_and_drop_also_about_a_death),
		CASE(closing_ends_the_worker_and_tells_nobody),
		CASE(without_questions_there_is_no_worker),
		CASE(the_real_worker_answers_from_its_sandbox),
		CASE(a_worker_of_another_version_says_so),
		CASE(the_real_worker_says_why_it_cannot_begin),
	};

	if (argc == 4)
		return worker_run(&(struct worker_config){ .version = argv[1],
							   .user = argv[2],
							   .ca_file = argv[3] },
				  &(struct err){ 0 }) < 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
