/* Which versions of PHP are installed, by the names of programs in a directory. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/services/php/php.h"
#include "tests/unit/cmocka_all.h"

static char folder[] = "/tmp/versions.XXXXXX";
static char *binary;
static struct host host;

static void touch(const char *name)
{
	autofree char *path = memory_printf("%s/%s", folder, name);
	autofd int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	binary = memory_printf("%s/php-fpm%%s", folder);
	host.php.binary = binary;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "php-fpm8.2",  "php-fpm8.10", "php-fpm7.4",
					     "php-fpm8.2x", "php-fpm",     "php-cgi8.3",
					     "php-fpm8.",   "php-fpm.3" };

	(void)state;
	for (size_t i = 0; i < ELEMENTS(names); i++) {
		autofree char *path = memory_printf("%s/%s", folder, names[i]);

		(void)unlink(path);
	}
	free(binary);
	return rmdir(folder);
}

static void the_newest_is_by_number_not_by_letter(void **state)
{
	struct php_versions v = { 0 };

	(void)state;
	assert_int_equal(php_versions_look(&v, &host, NULL), 0);
	assert_string_equal(php_versions_newest(&v), "");
	touch("php-fpm8.2");
	touch("php-fpm8.10");
	touch("php-fpm7.4");
	assert_int_equal(php_versions_look(&v, &host, NULL), 0);
	assert_int_equal(v.count, 3);
	assert_string_equal(php_versions_newest(&v), "8.10");
	assert_true(php_versions_has(&v, "7.4"));
	assert_false(php_versions_has(&v, "8.1"));
	php_versions_clear(&v);
}

/* As dpkg does it: another file of the same name, with an old time of modification. */
static void install(const char *name)
{
	autofree char *path = memory_printf("%s/%s", folder, name);
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	assert_int_equal(unlink(path), 0);
	touch(name);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

static void a_program_that_was_replaced_is_a_change_whatever_its_time(void **state)
{
	struct php_versions v = { 0 };
	uint64_t before;

	(void)state;
	assert_int_equal(php_versions_look(&v, &host, NULL), 0);
	before = php_versions_changed(&v, "8.10");
	assert_true(before > 0);
	assert_int_equal(php_versions_changed(&v, "5.6"), 0);
	assert_int_equal(php_versions_look(&v, &host, NULL), 0);
	assert_true(php_versions_changed(&v, "8.10") == before);

	install("php-fpm8.10"); /* later by a tick of the kernel's clock, which may be 10 ms */
	for (int i = 0; php_versions_changed(&v, "8.10") == before && i < 100; i++) {
		(void)poll(NULL, 0, 10);
		install("php-fpm8.10");
		assert_int_equal(php_versions_look(&v, &host, NULL), 0);
	}
	assert_true(php_versions_changed(&v, "8.10") > before);
	php_versions_clear(&v);
}

static void other_programs_are_no_versions(void **state)
{
	struct php_versions v = { 0 };

	(void)state;
	touch("php-fpm8.2x");
	touch("php-fpm");
	touch("php-cgi8.3");
	touch("php-fpm8.");
	touch("php-fpm.3");
	assert_int_equal(php_versions_look(&v, &host, NULL), 0);
	assert_int_equal(v.count, 3);
	php_versions_clear(&v);
}

static void what_was_known_stays_when_it_cannot_be_looked_at(void **state)
{
	static const struct host broken = { .php = { .binary = "/nonexistent/php%s" } };
	struct php_versions v = { 0 };
	struct err e;

	(void)state;
	assert_int_equal(php_versions_look(&v, &host, NULL), 0);
	assert_int_equal(php_versions_look(&v, &broken, &e), -ENOENT);
	assert_int_equal(v.count, 3);
	php_versions_clear(&v);
}

static void a_program_is_the_pattern_with_its_version(void **state)
{
	static const struct host other = { .php = { .binary = "/opt/php/%s/fpm" } };
	autoarena struct arena a = { 0 };

	(void)state;
	assert_string_equal(php_program(&other, "8.3", &a), "/opt/php/8.3/fpm");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_is_by_number_not_by_letter),
		cmocka_unit_test(a_program_that_was_replaced_is_a_change_whatever_its_time),
		cmocka_unit_test(other_programs_are_no_versions),
		cmocka_unit_test(what_was_known_stays_when_it_cannot_be_looked_at),
		cmocka_unit_test(a_program_is_the_pattern_with_its_version),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
