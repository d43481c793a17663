/* follow.c, php_rules.c, php_value.c, pairs.c: what php-fpm and PHP would refuse or misread follows, or is a problem. */
#include "agent/model/follow.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/model/load.h"
#include "agent/model/php_value.h"
#include "tests/unit/cmocka_all.h"

static struct host *host;

static int host_loads(const char *defaults, struct problems *p)
{
	char path[] = "/tmp/follow_test.XXXXXX";
	autofd int fd = mkstemp(path);

	assert_true(fd >= 0);
	dprintf(fd, "base_domain = \"example.org\"; defaults = { %s };\n", defaults);
	host_free(host);
	host = NULL;

	int r = load_host(path, false, &host, p);

	unlink(path);
	return r;
}

static void host_says(const char *defaults)
{
	struct problems p = { 0 };

	if (host_loads(defaults, &p) < 0) {
		problems_print(&p, stderr);
		fail_msg("does not load: %s", defaults);
	}
}

static void host_fails(const char *defaults, const char *expected)
{
	autoarena struct arena a = { 0 };
	struct problems p = { 0 };

	if (host_loads(defaults, &p) == 0)
		fail_msg("loads: %s", defaults);
	if (!strstr(problem_text(&p.items[0], &a), expected))
		fail_msg("%s → %s", defaults, problem_text(&p.items[0], &a));
	problems_clear(&p);
}

static struct webspace *loads(const char *text)
{
	struct problems p = { 0 };
	struct webspace *w = NULL;

	if (load_webspace(host, "alice", "alice.conf", text, strlen(text), &w, &p) < 0) {
		problems_print(&p, stderr);
		fail_msg("does not load: %s", text);
	}
	return w;
}

static void fails(const char *text, const char *expected)
{
	autoarena struct arena a = { 0 };
	struct problems p = { 0 };
	struct webspace *w = NULL;

	if (load_webspace(host, "alice", "a", text, strlen(text), &w, &p) == 0)
		fail_msg("loads: %s", text);
	if (!strstr(problem_text(&p.items[0], &a), expected))
		fail_msg("\n%s\n→ %s\n≠ %s", text, problem_text(&p.items[0], &a), expected);
	problems_clear(&p);
}

/* What php-fpm gets of a file, and of what the host's defaults say beside it. */
static void follows(const char *defaults, const char *text, unsigned ends, unsigned logs,
		    unsigned start, unsigned children)
{
	autoarena struct arena a = { 0 };
	struct webspace *w;

	host_says(arena_printf(&a, "php = { %s };", defaults));
	w = loads(arena_printf(&a, "php = { pm = \"dynamic\"; %s };", text));
	if (w->php.request_terminate_timeout != ends || w->php.request_slowlog_timeout != logs ||
	    w->php.start_servers != start || w->php.max_children != children)
		fail_msg("%s · %s → %u %u %u %u", defaults, text, w->php.request_terminate_timeout,
			 w->php.request_slowlog_timeout, w->php.start_servers, w->php.max_children);
	webspace_free(w);
}

static void what_was_said_farther_away_follows_what_was_said_nearer(void **state)
{
	(void)state;
	follows("", "", 20, 15, 2, 5);
	follows("", "request_terminate_timeout = 10;", 10, 7, 2, 5);
	follows("", "request_terminate_timeout = 1;", 1, 1, 2, 5);
	follows("", "request_terminate_timeout = 15;", 15, 15, 2, 5);
	follows("", "request_slowlog_timeout = 60;", 65, 60, 2, 5);
	follows("", "request_terminate_timeout = 0; request_slowlog_timeout = 60;", 0, 60, 2, 5);
	follows("", "values = { max_execution_time = 300; };", 305, 15, 2, 5);
	follows("", "user_values = { max_input_time = 300; };", 305, 15, 2, 5);
	follows("", "values = { max_execution_time = 0; };", 0, 15, 2, 5);
	follows("", "values = { max_execution_time = 5; };", 20, 15, 2, 5);
	follows("request_terminate_timeout = 10;", "", 10, 7, 2, 5);
	follows("request_terminate_timeout = 10;", "values = { max_execution_time = 300; };", 305,
		15, 2, 5);
	follows("values = { max_execution_time = 300; };", "request_terminate_timeout = 10;", 10, 7,
		2, 5);
	follows("request_slowlog_timeout = 60;", "request_terminate_timeout = 20;", 20, 15, 2, 5);
	follows("", "start_servers = 9;", 20, 15, 9, 9);
	follows("", "max_children = 1;", 20, 15, 1, 1);
	follows("", "min_spare_servers = 40;", 20, 15, 40, 40);
	follows("start_servers = 9; max_children = 20;", "max_children = 3;", 20, 15, 3, 3);
	follows("min_spare_servers = 5; max_spare_servers = 8; max_children = 10;",
		"max_children = 3;", 20, 15, 3, 3);
	follows("max_children = 2;", "start_servers = 9;", 20, 15, 9, 9);
	follows("pm = \"static\"; max_children = 1; start_servers = 1; min_spare_servers = 4;", "",
		20, 15, 1, 1);
}

static void sizes_paths_and_limits_follow_too(void **state)
{
	struct webspace *w;

	host_says("");
	w = loads("php = { upload_max_filesize = \"100M\"; };");
	(void)state;
	assert_true(w->php.post_max_size == 104ull << 20);
	assert_true(w->sites[0].client_max_body_size == 104ull << 20);
	webspace_free(w);
	w = loads("php = { post_max_size = \"8M\"; }; sites = ( { client_max_body_size = \"1M\"; } "
		  ");");
	assert_true(w->php.upload_max_filesize == 8ull << 20);
	assert_true(w->sites[0].client_max_body_size == 1ull << 20);
	webspace_free(w);
	host_says("php = { values = { precision = 5; user_agent = \"a\"; }; };");
	w = loads("php = { user_values = { precision = 6; }; };");
	assert_int_equal(w->php.values.count, 1);
	assert_string_equal(w->php.values.items[0].key, "user_agent");
	webspace_free(w);
	w = loads("php = { status_path = \"/php-fpm-ping\"; };");
	assert_string_equal(w->php.ping_path, "");
	webspace_free(w);
	w = loads("php = { master = \"dedicated\"; limits = { tasks_max = 4; }; };");
	assert_int_equal(w->php.max_children, 3);
	webspace_free(w);
}

static void settings_of_php_arrive_as_they_are_written_or_are_refused(void **state)
{
	static const struct {
		const char *value, *part; /* part NULL: taken */
	} cases[] = {
		{ "error_reporting = \"E_ALL & ~E_DEPRECATED\"", NULL },
		{ "error_reporting = \"E_ALL & ~(E_NOTICE | E_STRICT)\"", NULL },
		{ "error_reporting = \"-1\"", NULL },
		{ "error_reporting = \"E_ALL & E_NONE\"", "no such constant, at \"E_NONE\"" },
		{ "error_reporting = \"E_ALL &\"", "expected a constant" },
		{ "error_reporting = \"(E_ALL\"", "a ) is missing" },
		{ "error_reporting = \"E_ALL E_NOTICE\"", "expected one of | & ^" },
		{ "error_reporting = \"\"", "expected a constant" },
		{ "error_reporting = \"((((((((((((((((((1))))))))))))))))))\"", "too deep" },
		{ "output_buffering = \"On\"", "expected a number" },
		{ "output_buffering = true", NULL },
		{ "max_input_vars = \"lots\"", "expected a number" },
		{ "max_input_vars = \"128MB\"", "expected a number" },
		{ "log_errors = \"maybe\"", "expected true or false" },
		{ "log_errors = \"off\"", NULL },
		{ "memory = { limit = \"1G\"; }", "did you mean memory_limit?" },
		{ "Max_Execution_Time = 1", "did you mean max_execution_time?" },
		{ "max_input_var = 1", "did you mean max_input_vars?" },
		{ "max_input_time = 1", NULL },
		{ "track_errors = true", NULL },
		{ "xdebug = { mode = \"off\"; }", NULL },
		{ "session = { sid_length = 7; }", "7 is not from 22 to 256" },
		{ "session = { name = \"7\"; }", "no number" },
		{ "session = { cookie_path = \"app\"; }", "not an absolute path" },
		{ "error_log = \"syslog\"", "not an absolute path" },
		{ "zend = { assertions = 1; }", "when it starts" },
		{ "user_agent = \"$pool\"", "the pool's name" },
		{ "user_agent = \"${HOME} 'a' \\\\ ; # E_ALL\"", NULL },
	};

	(void)state;
	host_says("");
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autoarena struct arena a = { 0 };
		const char *text = arena_printf(&a, "php = { values = { %s; }; };", cases[i].value);

		if (cases[i].part)
			fails(text, cases[i].part);
		else
			webspace_free(loads(text));
	}
	fails("php = { env = { A = \"$x\"; }; };", "begins with $");
	fails("php = { env = { A = \"x$pool\"; }; };", "the pool's name");
	fails("php = { env = { HTTP_PROXY = \"x\"; }; };", "a variable of each request");
	fails("php = { env = { DOCUMENT_ROOT = \"x\"; }; };", "a variable of each request");
	webspace_free(loads("php = { env = { A = \"\"; B = \"x$y\"; C = true; }; };"));
}

static void defaults_that_never_met_fit_in_a_file_where_they_do(void **state)
{
	struct webspace *w;

	(void)state;
	host_says("php = { max_children = 9; limits = { tasks_max = 4; }; };");
	w = loads("php = { master = \"dedicated\"; };");
	assert_int_equal(w->php.max_children, 3);
	webspace_free(w);
}

static void two_of_one_file_that_do_not_fit_are_refused_where_they_stand(void **state)
{
	(void)state;
	host_says("");
	fails("php = {\n request_slowlog_timeout = 11; request_terminate_timeout = 10; };",
	      "a:2: php.request_slowlog_timeout: more than php.request_terminate_timeout (10s)");
	fails("php = { request_terminate_timeout = 10;\n user_values = { max_execution_time = 11; "
	      "}; };",
	      "a:1: php.request_terminate_timeout: 10s, but max_execution_time");
	fails("php = { values = { precision = 5; }; user_values = { precision = 6; }; };",
	      "php.user_values: precision is in php.values too");
	fails("php = { rlimit_files = 15; };", "less than 16");
	fails("hosts = [\"[a\"];", "not a host's name");
	fails("hosts = [\"a]\"];", "not a host's name");
	webspace_free(loads("hosts = [\"web[0-9]\", \"[!]]\", \"[]x]\"];"));
	fails("php = { status_path = \"/index.php\"; };", "a script may have this name");
	fails("php = { ping_path = \"/a.phtml\"; limit_extensions = [\".phtml\"]; };",
	      "a script may have this name");
	host_fails("php = { request_slowlog_timeout = 11; request_terminate_timeout = 10; };",
		   "defaults.php.request_slowlog_timeout: more than");
	host_fails("php = { upload_max_filesize = \"9M\"; post_max_size = \"8M\"; };",
		   "defaults.php.upload_max_filesize: more than");
	host_fails("site = { tls = { challenge = \"dns-01\"; }; };",
		   "defaults.site.tls.challenge: dns-01 needs acme.dns_hook");
	host_says("site = { tls = { challenge = \"http-01\"; }; };");
	webspace_free(loads("sites = ( { names = [\"*.x.org\"]; } );"));
}

static void an_expression_is_the_number_that_php_makes_of_it(void **state)
{
	static const struct {
		const char *text, *version, *number;
	} cases[] = {
		{ "E_ALL & ~E_DEPRECATED", "8.2", "24575" },
		{ "E_ALL & ~E_DEPRECATED & ~E_STRICT", "8.2", "22527" },
		{ "E_ALL", "8.4", "30719" },
		{ "E_ALL ^ E_NOTICE", "7.4", "32759" },
		{ "E_ERROR|E_WARNING|E_PARSE", "8.2", "7" },
		{ "E_ERROR | E_WARNING & E_WARNING", "8.2", "2" }, /* from left to right */
		{ "~0", "8.2", "-1" },
		{ "!E_ALL", "8.2", "0" },
		{ "22527", "8.2", "22527" },
	};
	autoarena struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++)
		assert_string_equal(
			php_value_for("error_reporting", cases[i].text, cases[i].version, &a),
			cases[i].number);
	assert_string_equal(php_value_for("user_agent", "E_ALL", "8.2", &a), "E_ALL");
}

static int end(void **state)
{
	(void)state;
	host_free(host);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_said_farther_away_follows_what_was_said_nearer),
		cmocka_unit_test(sizes_paths_and_limits_follow_too),
		cmocka_unit_test(defaults_that_never_met_fit_in_a_file_where_they_do),
		cmocka_unit_test(two_of_one_file_that_do_not_fit_are_refused_where_they_stand),
		cmocka_unit_test(settings_of_php_arrive_as_they_are_written_or_are_refused),
		cmocka_unit_test(an_expression_is_the_number_that_php_makes_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
