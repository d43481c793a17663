/* Pools: what a webspace's settings become, and what is refused. The whole texts are in tests/golden. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"
#include "tests/unit/render_fixture.h"

struct rendered {
	struct buf sections[RENDER_SECTIONS];
	struct err e;
};

static int render(const struct webspace *w, struct rendered *ret)
{
	struct php_facts facts = { 20000, 20000, "8.2" };

	*ret = (struct rendered){ 0 };
	return php_fragment(&fixture_host, w, &facts, ret->sections, &ret->e);
}

static void rendered_clear(struct rendered *r)
{
	size_t i;

	for (i = 0; i < RENDER_SECTIONS; i++)
		buf_clear(&r->sections[i]);
}

struct pool_case {
	struct php_settings php;
	const char *line; /* of the pool, NULL-free; "-" before it: must not be there */
};

static void each_setting_becomes_its_line(void **state)
{
	const struct pool_case cases[] = {
		{ { PRESET_PHP }, "\nlisten=${R}\n" },
		{ { PRESET_PHP }, "-listen.mode" },
		{ { PRESET_PHP, .listen_mode = "0600" }, "listen.mode=0600\n" },
		{ { PRESET_PHP }, "\nchroot=${H}/$pool/chroot\n" },
		{ { PRESET_PHP }, "-chdir" },
		{ { PRESET_PHP, .chroot = false }, "\nchdir=/\n" },
		{ { PRESET_PHP }, "-pm.process_idle_timeout" },
		{ { PRESET_PHP, .process_idle_timeout = 9 }, "pm.process_idle_timeout=9s\n" },
		{ { PRESET_PHP }, "access.log=${A}\naccess.format=${F}\nslowlog=${S}\n" },
		{ { PRESET_PHP }, "pm.status_path=${I}\nping.path=${J}\n" },
		{ { PRESET_PHP, .ping_path = "/up" }, "ping.path=/up\n" },
		{ { PRESET_PHP }, "env[USER]=$pool\n" },
		{ { PRESET_PHP }, "-pm.start_servers" },
		{ { PRESET_PHP }, "-open_basedir" },
		{ { PRESET_PHP }, "-display_errors" },
		{ { PRESET_PHP }, "-session.gc" },
		{ { PRESET_PHP }, "env[HOME]=/data\n" },
		{ { PRESET_PHP }, "php_admin_value[memory_limit]=32M\n" },
		{ { PRESET_PHP, .memory_limit = 1000 }, "php_admin_value[memory_limit]=1000\n" },
		{ { PRESET_PHP, .pm = PM_DYNAMIC }, "pm.start_servers=2\n" },
		{ { PRESET_PHP, .pm = PM_DYNAMIC }, "-pm.process_idle_timeout" },
		{ { PRESET_PHP, .pm = PM_STATIC }, "pm=static\npm.max_children=5\n" },
		{ { PRESET_PHP, .chroot = false }, "-chroot=" },
		{ { PRESET_PHP, .chroot = false },
		  "php_admin_value[session.save_path]=/home/www/zoe/chroot/tmp/session\n" },
		{ { PRESET_PHP, .open_basedir = "none" }, "-open_basedir" },
		{ { PRESET_PHP, .open_basedir = "/data" }, "[open_basedir]=/data\n" },
		{ { PRESET_PHP, .chroot = false },
		  "[open_basedir]=/home/www/zoe/chroot/data/:/home/www/zoe/chroot/tmp/misc/:" },
		{ { PRESET_PHP, .chroot = false, .open_basedir = "none" }, "-open_basedir" },
		{ { PRESET_PHP }, "-validate_permission" },
		{ { PRESET_PHP, .chroot = false }, "[opcache.validate_permission]=1\n" },
		{ { PRESET_PHP, .disable_functions = "" }, "-disable_functions" },
		{ { PRESET_PHP, .disable_functions = "phpinfo" },
		  "[disable_functions]='phpinfo'\n" },
		{ { PRESET_PHP, .disable_functions = "@strict" }, "[disable_functions]=${Y}\n" },
		{ { PRESET_PHP, .limit_extensions = LIST(".php", ".html") },
		  "security.limit_extensions='.php .html'\n" },
		{ { PRESET_PHP, .env = PAIRS({ "X", "a${HOME}" }) }, "env[X]='a${HOME}'\n" },
		{ { PRESET_PHP, .values = PAIRS({ "track_errors", "1" }) }, "-track_errors" },
		{ { PRESET_PHP, .values = PAIRS({ "precision", "9" }) }, "[precision]='9'\n" },
		{ { PRESET_PHP, .process_priority = -3 }, "process.priority=-3\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ELEMENTS(cases); i++) {
		struct webspace w = { .name = "zoe", .php = cases[i].php };
		bool absent = *cases[i].line == '-';
		struct rendered r;

		assert_int_equal(render(&w, &r), 0);
		if (!strstr(buf_text(&r.sections[0]), cases[i].line + absent) != absent)
			fail_msg("case %zu: %s\n%s", i, cases[i].line, buf_text(&r.sections[0]));
		rendered_clear(&r);
	}
}

struct refused_case {
	const char *name;
	struct php_settings php;
	const char *why;
};

static void what_cannot_be_said_safely_is_refused(void **state)
{
	const struct refused_case cases[] = {
		{ "global", { PRESET_PHP }, "php: php-fpm cannot have a pool of the name" },
		{ "a]b", { PRESET_PHP }, "php: php_pool: NAME" },
		{ "zoe", { PRESET_PHP, .values = PAIRS({ "opcache.enable", "0" }) }, "shared" },
		{ "zoe", { PRESET_PHP, .values = PAIRS({ "OPcache.x", "0" }) }, "shared" },
		{ "zoe", { PRESET_PHP, .values = PAIRS({ "extension", "x.so" }) }, "shared" },
		{ "zoe", { PRESET_PHP, .user_values = PAIRS({ "ffi.enable", "1" }) }, "shared" },
		{ "zoe", { PRESET_PHP, .values = PAIRS({ "a] = 1", "0" }) }, "KEY" },
		{ "zoe", { PRESET_PHP, .values = PAIRS({ "a", "1\n[root]" }) }, "VALUE" },
		{ "zoe", { PRESET_PHP, .env = PAIRS({ "A", "$PATH" }) }, "dollar" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ELEMENTS(cases); i++) {
		struct webspace w = { .name = cases[i].name, .php = cases[i].php };
		struct rendered r;

		assert_int_equal(render(&w, &r), -EINVAL);
		if (!strstr(r.e.text, cases[i].why))
			fail_msg("case %zu: %s", i, r.e.text);
		assert_int_equal(r.sections[0].len, 0);
		rendered_clear(&r);
	}
}

static void a_default_pool_stays_small(void **state)
{
	struct rendered r;

	(void)state;
	assert_int_equal(render(&fixture_webspaces[0], &r), 0);
	assert_true(r.sections[0].len + r.sections[1].len <= 560);
	rendered_clear(&r);
}

/* A variable that the master does not have is empty, and that would be a pool of another kind. */
static void every_variable_of_a_pool_is_in_the_environment_of_its_master(void **state)
{
	autoarena struct arena a = { 0 };
	const char *const *env = php_environment(&fixture_host, "/run/m/1", "7", &a);
	size_t i, k;

	(void)state;
	for (i = 0; i < FIXTURES; i++) {
		struct rendered r;
		const char *at;

		assert_int_equal(render(&fixture_webspaces[i], &r), 0);
		at = buf_text(&r.sections[0]);
		while ((at = strstr(at, "=${"))) {
			char want[8];

			at += strlen("=${");
			snprintf(want, sizeof(want), "%.*s=", (int)strcspn(at, "}"), at);
			for (k = 0; env[k] && strncmp(env[k], want, strlen(want)) != 0; k++)
				;
			if (!env[k])
				fail_msg("%s nobody sets", want);
			assert_true(strlen(env[k]) > strlen(want));
		}
		rendered_clear(&r);
	}
}

static void alone_a_pool_is_said_with_values(void **state)
{
	const struct webspace w = { .name = "zoe", .php = { PRESET_PHP } };
	const struct php_facts facts = { 20000, 20000, "8.2" };
	static const char *const lines[] = {
		"\nlisten=/run/webspaces/php/zoe.sock\n",
		"\naccess.log=/home/www/zoe/logs/php-access.log\n",
		"\nchroot=/home/www/zoe/chroot\n",
		"\nenv[USER]='zoe'\n",
		"\nping.path=/php-fpm-ping\n",
		"[disable_functions]='dl,exec,",
	};
	autobuf struct buf text = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(php_render_alone(&fixture_host, &w, &facts, &text, &e), 0);
	for (size_t i = 0; i < ELEMENTS(lines); i++)
		if (!strstr(buf_text(&text), lines[i]))
			fail_msg("%s is not in\n%s", lines[i], buf_text(&text));
	assert_null(strchr(buf_text(&text), '$'));
}

static void a_master_waits_as_long_as_its_slowest_pool(void **state)
{
	static const struct {
		const char *seconds[2], *line;
	} cases[] = {
		{ { "20", "20" }, "process_control_timeout = 30s\n" },
		{ { "20", "400" }, "process_control_timeout = 410s\n" },
		{ { "0", "20" }, "process_control_timeout = 3610s\n" },
		{ { "", "" }, "process_control_timeout = 10s\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ELEMENTS(cases); i++) {
		struct text_view views[2][RENDER_SECTIONS] = { 0 };
		autobuf struct buf conf = { 0 };

		views[0][1] =
			(struct text_view){ cases[i].seconds[0], strlen(cases[i].seconds[0]) };
		views[1][1] =
			(struct text_view){ cases[i].seconds[1], strlen(cases[i].seconds[1]) };
		php_compose(&fixture_host, "8.2-03", "8.2",
			    (const struct text_view(*)[RENDER_SECTIONS])views, 2, &conf);
		assert_non_null(strstr(buf_text(&conf), cases[i].line));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_setting_becomes_its_line),
		cmocka_unit_test(what_cannot_be_said_safely_is_refused),
		cmocka_unit_test(a_default_pool_stays_small),
		cmocka_unit_test(every_variable_of_a_pool_is_in_the_environment_of_its_master),
		cmocka_unit_test(alone_a_pool_is_said_with_values),
		cmocka_unit_test(a_master_waits_as_long_as_its_slowest_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
