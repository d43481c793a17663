/* Names of lines and masters: each can be taken apart again, and nothing else can. */
#include "reconcile/services/php/php.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static void line_is(const char *name, enum php_master master, uid_t uid, const char *want)
{
	const struct webspace w = { .name = name, .php = { .master = master, .chroot = true } };
	char line[PHP_LINE_ROOM];

	php_id_line(8, &w, "8.2", uid, line);
	assert_string_equal(line, want);
}

static void a_shared_line_is_chosen_by_the_name_alone_and_for_ever(void **state)
{
	(void)state;
	line_is("alice", MASTER_SHARED, 20001, "8.2-07");
	line_is("alice", MASTER_SHARED, 20999, "8.2-07");
	line_is("bob", MASTER_SHARED, 20001, "8.2-04");
	line_is("carol", MASTER_SHARED, 20001, "8.2-02");
}

static void a_line_of_its_own_is_named_by_uid(void **state)
{
	(void)state;
	line_is("alice", MASTER_DEDICATED, 20001, "8.2-u20001");
	line_is("alice", MASTER_DEDICATED, 4294967294, "8.2-u4294967294");
}

/* In a shared master, machine code of one would be in the memory of all. */
static void who_could_run_machine_code_is_alone(void **state)
{
	static const struct {
		struct bind bind;
		bool alone;
	} rows[] = {
		{ { .source = "/srv/x", .writable = true }, false },
		{ { .source = "/usr/bin/convert", .exec = true }, false },
		{ { .source = "/lib", .exec = true }, false },
		{ { .source = "/usr/x", .exec = true, .writable = true }, true },
		{ { .source = "/usrx", .exec = true }, true },
		{ { .source = "/srv/x", .exec = true }, true },
	};
	struct webspace w = { .name = "alice" };

	(void)state;
	assert_true(webspace_is_dedicated(&w)); /* without a jail */
	w.php.chroot = true;
	assert_false(webspace_is_dedicated(&w));
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		w.binds = &rows[i].bind;
		w.n_binds = 1;
		assert_int_equal(webspace_is_dedicated(&w), rows[i].alone);
	}
	w.n_binds = 0;
	w.php.master = MASTER_DEDICATED;
	assert_true(webspace_is_dedicated(&w));
}

static void lines_double_until_a_master_starts_quickly(void **state)
{
	static const struct {
		unsigned shards;
		size_t n_pools;
		unsigned want;
	} cases[] = {
		{ 8, 0, 8 },      { 8, 1600, 8 },        { 8, 1601, 16 },
		{ 8, 10000, 64 }, { 1, 200, 1 },         { 1, 201, 2 },
		{ 3, 10000, 96 }, { 512, 1000000, 512 }, { 8, 1000000, 512 },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		const struct host host = { .php = { .shards = cases[i].shards } };

		assert_int_equal(php_lines_for(&host, cases[i].n_pools), cases[i].want);
	}
}

static void names_spread_over_the_shards(void **state)
{
	unsigned counts[8] = { 0 };
	struct php_id id;

	(void)state;
	for (int i = 0; i < 8000; i++) {
		char name[16], line[PHP_LINE_ROOM];
		const struct webspace w = { .name = name, .php.chroot = true };

		snprintf(name, sizeof(name), "user%d", i);
		php_id_line(8, &w, "8.2", 20000, line);
		assert_true(php_id_parse_line(line, &id));
		counts[strtoul(line + strlen("8.2-"), NULL, 10)]++;
	}
	for (size_t i = 0; i < ELEMENTS(counts); i++)
		assert_in_range(counts[i], 850, 1150);
}

static void a_masters_name_is_taken_apart(void **state)
{
	struct php_id id;

	(void)state;
	assert_true(php_id_parse_master("8.2-03.17.2", &id));
	assert_string_equal(id.line, "8.2-03");
	assert_string_equal(id.version, "8.2");
	assert_int_equal(id.generation, 17);
	assert_int_equal(id.attempt, 2);
	assert_true(php_id_parse_master("10.11-u20001.1.1", &id));
	assert_string_equal(id.line, "10.11-u20001");
}

static void what_we_would_not_have_named_is_not_ours(void **state)
{
	static const char *const foreign[] = {
		"",
		".",
		"..",
		"8.2-03",
		"8.2-03.17",
		"8.2-03.x.1",
		"-03.17.1",
		"8.2-.17.1",
		"8.2-u.1.1",
		"8.2-03.17.1 ",
		"8.2-0/.1.1",
		"a.2-03.17.1",
		"8.2-03.17.-1",
		"8.2-03.99999999999999999999999999999.1",
		"8.2-0000000000000000000000000000000000000000000000003.17.1",
		"8.2-03.17.1111111111111111111111111111111111111111111111111111111111111111111111",
	};
	struct php_id id;

	(void)state;
	for (size_t i = 0; i < ELEMENTS(foreign); i++)
		if (php_id_parse_master(foreign[i], &id))
			fail_msg("%s is taken for a master", foreign[i]);
	assert_false(php_id_parse_line("8.2", &id));
	assert_false(php_id_parse_line("8.2-x1", &id));
}

static void a_masters_command_follows_from_its_name(void **state)
{
	static const struct host full = { .state_dir = "/s",
					  .run_dir = "/r",
					  .log_root = "/l",
					  .php = { .binary = "/usr/sbin/php-fpm%s" } };
	autoarena struct arena a = { 0 };
	struct daemon_spec spec;
	struct err e;

	(void)state;
	assert_int_equal(master_spec(&full, "8.2-03.17.2", &a, &spec, &e), 0);
	assert_string_equal(spec.unit, "webspaces-php@8.2-03.17.2.service");
	assert_string_equal(spec.argv[0], "/usr/sbin/php-fpm8.2");
	assert_string_equal(spec.argv[3], "/s/php/8.2-03/17/php-fpm.conf");
	assert_string_equal(spec.pid_file, "/r/php/masters/8.2-03.17.2/master.pid");
	assert_string_equal(spec.log_file, "/l/php-8.2-03.log");
	assert_int_equal(master_spec(&full, "../../etc", &a, &spec, &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shared_line_is_chosen_by_the_name_alone_and_for_ever),
		cmocka_unit_test(a_line_of_its_own_is_named_by_uid),
		cmocka_unit_test(who_could_run_machine_code_is_alone),
		cmocka_unit_test(lines_double_until_a_master_starts_quickly),
		cmocka_unit_test(names_spread_over_the_shards),
		cmocka_unit_test(a_masters_name_is_taken_apart),
		cmocka_unit_test(what_we_would_not_have_named_is_not_ours),
		cmocka_unit_test(a_masters_command_follows_from_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
