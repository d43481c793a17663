/*
 * Quoters: what each lets through, what it refuses, and, at random, that the
 * other side's own parser reads back what was said (PHP's here, nginx's in
 * tests/system/test_golden.py).
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/spawn.h"
#include "renderers/template.h"
#include "tests/unit/cmocka_all.h"

struct quote_case {
	quote_fn *quote;
	const char *value, *expect; /* NULL: refused */
};

static const struct quote_case cases[] = {
	{ quote_nginx, "/srv/www/alice", "/srv/www/alice" },
	{ quote_nginx, "", "\"\"" },
	{ quote_nginx, "[::]:80", "[::]:80" },
	{ quote_nginx, ".host/_.x.org+rsa/1", ".host/_.x.org+rsa/1" },
	{ quote_nginx, "a b;}", "\"a b;}\"" },
	{ quote_nginx, "a\"b\\n", "\"a\\\"b\\\\n\"" },
	{ quote_nginx, "$host", "\"${ws_dollar}host\"" },
	{ quote_nginx, "${host}", "\"${ws_dollar}{host}\"" },
	{ quote_nginx, "a\nb", NULL },
	{ quote_nginx, "a\x7f", NULL },
	{ quote_nginx_part, "a b", "a b" },
	{ quote_nginx_part, "\"; root /", "\\\"; root /" },
	{ quote_nginx_part, "\r", NULL },
	{ quote_nginx_name, "www.example.org", "www.example.org" },
	{ quote_nginx_name, "*.example.org", "*.example.org" },
	{ quote_nginx_name, "default", "default" },
	{ quote_nginx_name, "*", NULL },
	{ quote_nginx_name, "*.", NULL },
	{ quote_nginx_name, "", NULL },
	{ quote_nginx_name, ".example.org", NULL },
	{ quote_nginx_name, "*..example.org", NULL },
	{ quote_nginx_name, "~^(.*)$", NULL },
	{ quote_nginx_name, "$hostname", NULL },
	{ quote_nginx_name, "a b", NULL },
	{ quote_nginx_name, "a;", NULL },
	{ quote_nginx_name, "a*", NULL },
	{ quote_nginx_key, "www.example.org", "www.example.org" },
	{ quote_nginx_key, "*.example.org", "*.example.org" },
	{ quote_nginx_key, "default", "\\\\default" },
	{ quote_nginx_key, "include", "\\\\include" },
	{ quote_nginx_key, "nina", "\\\\nina" },
	{ quote_nginx_key, ".example.org", NULL },
	{ quote_nginx_key, "*..example.org", NULL },
	{ quote_nginx_key, "default/1", "default/1" },
	{ quote_nginx_key, "~a", NULL },
	{ quote_nginx_key, "", NULL },
	{ quote_ini, "", "\"\"" },
	{ quote_ini, "yes", "'yes'" },
	{ quote_ini, "/home/www/zoe/x-y.log", "/home/www/zoe/x-y.log" },
	{ quote_ini, ".php", ".php" },
	{ quote_ini, "/a$b", "'/a$b'" },
	{ quote_ini, "/a;b", "'/a;b'" },
	{ quote_ini, "${HOME}", "'${HOME}'" },
	{ quote_ini, "\"; php_admin_value[x] = 1", "'\"; php_admin_value[x] = 1'" },
	{ quote_ini, "it's", "'it'\"'\"'s'" },
	{ quote_ini, "''", "\"''\"" },
	{ quote_ini, "a\\", "'a\\'" },
	{ quote_ini, "a\nb = c", NULL },
	{ quote_word, "alice", "alice" },
	{ quote_word, "8.2", "8.2" },
	{ quote_word, "", NULL },
	{ quote_word, "a]", NULL },
	{ quote_word, "a/b", NULL },
	{ quote_word, "$x", NULL },
	{ quote_number, "12", "12" },
	{ quote_number, "-5", "-5" },
	{ quote_number, "-", NULL },
	{ quote_number, "1e3", NULL },
	{ quote_number, "--1", NULL },
	{ quote_path, "/run/webspaces", "/run/webspaces" },
	{ quote_path, "run", NULL },
	{ quote_path, "/a b", NULL },
	{ quote_path, "/a/../b", NULL },
	{ quote_path, "/${X}", NULL },
	{ quote_path, "", NULL },
};

static void each_value_is_said_so_or_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf b = { 0 };
		int r = cases[i].quote(&b, cases[i].value);

		if (!cases[i].expect) {
			if (r != -EINVAL)
				fail_msg("case %zu: \"%s\" is let through", i, cases[i].value);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(buf_text(&b), cases[i].expect);
	}
}

#define ROUNDS 2000

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

/* Characters that mean something to somebody, in any order. */
static void random_value(uint32_t *seed, char value[static 24])
{
	static const char hostile[] = "'\"\\$ {};=#[]()!|&^~%,\t\nab1-./*@<>?:`\xc3\xa9";
	size_t len = random_next(seed) % 23, i;

	for (i = 0; i < len; i++)
		value[i] = hostile[random_next(seed) % (sizeof(hostile) - 1)];
	value[len] = '\0';
}

static void add_hex(struct buf *b, const char *value)
{
	for (; *value; value++)
		buf_printf(b, "%02x", (unsigned char)*value);
	buf_addc(b, '\n');
}

static const char reader[] = "[$want, $ini] = explode(\"\\n=\\n\", stream_get_contents(STDIN), 2);"
			     "$got = parse_ini_string($ini, false, INI_SCANNER_NORMAL);"
			     "if ($got === false) exit('it does not parse');"
			     "$hex = array_map('bin2hex', $got);"
			     "$want = explode(\"\\n\", $want);"
			     "foreach ($want as $i => $w) if (($hex[\"v$i\"] ?? null) !== $w)"
			     " exit(\"$i: $w became \" . ($hex[\"v$i\"] ?? 'nothing'));"
			     "echo count($got) === count($want) ? 'same' : 'more than was said';";

static void php_reads_back_what_was_said(void **state)
{
	const char *const argv[] = { "/usr/bin/php8.2", "-n", "-r", reader, NULL };
	const struct spawn s = { .argv = argv };
	autobuf struct buf input = { 0 }, ini = { 0 }, output = { 0 };
	uint32_t seed = 7;
	size_t i, n = 0;

	(void)state;
	if (access(argv[0], X_OK) < 0)
		skip();
	for (i = 0; i < ROUNDS; i++) {
		autobuf struct buf said = { 0 };
		char value[24];

		random_value(&seed, value);
		if (quote_ini(&said, value) < 0)
			continue;
		add_hex(&input, value);
		buf_printf(&ini, "v%zu = %s\n", n++, buf_text(&said));
	}
	assert_true(n > ROUNDS / 4);
	buf_adds(&input, "=\n");
	buf_adds(&input, buf_text(&ini));
	assert_int_equal(spawn_run(&s, buf_text(&input), clock_usec() + 20000000, &output, NULL),
			 0);
	assert_string_equal(buf_text(&output), "same");
}

/* For tests/system/test_golden.py: values, and how nginx is told them. */
static int say_for_nginx(void)
{
	uint32_t seed = 11;
	size_t i;

	for (i = 0; i < ROUNDS / 2; i++) {
		autobuf struct buf line = { 0 };
		char value[24];

		random_value(&seed, value);
		add_hex(&line, value);
		line.data[line.len - 1] = '\t';
		if (quote_nginx(&line, value) == 0)
			puts(buf_text(&line));
	}
	return 0;
}

/* Keys of a map likewise: words with every first character and of map's own, alone and with more behind. */
static int say_keys(void)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	static const char *const rests[] = { "", "as", "/1", ".test" };
	static const char *const words[] = { "default",  "hostnames", "include",
					     "volatile", "default/1", "*.n.test" };

	for (const char *c = first; *c; c++)
		for (size_t i = 0; i < ELEMENTS(rests); i++) {
			autobuf struct buf value = { 0 }, said = { 0 };

			buf_printf(&value, "%c%s", *c, rests[i]);
			if (quote_nginx_key(&said, buf_text(&value)) == 0)
				printf("%s\t%s\n", buf_text(&value), buf_text(&said));
		}
	for (size_t i = 0; i < ELEMENTS(words); i++) {
		autobuf struct buf said = { 0 };

		if (quote_nginx_key(&said, words[i]) == 0)
			printf("%s\t%s\n", words[i], buf_text(&said));
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--say-keys") == 0)
		return say_keys();
	if (argc > 1 && strcmp(argv[1], "--say") == 0)
		return say_for_nginx();

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_is_said_so_or_refused),
		cmocka_unit_test(php_reads_back_what_was_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
