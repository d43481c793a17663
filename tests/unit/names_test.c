/* names.c, values.c, php_settings.c: what is a good name, path or value. */
#include "agent/model/names.h"

#include <string.h>

#include "agent/base/own.h"
#include "agent/model/php_settings.h"
#include "agent/model/values.h"
#include "tests/unit/cmocka_all.h"

static void webspaces_are_named_as_users(void **state)
{
	static const char *const good[] = { "a",  "alice", "web1",
					    "_x", "a-b_c", "u1234567890123456789012345678901" };
	static const char *const bad[] = {
		"",           "Alice",    "1a",   "-a",       "a.b",
		"a$",         "a b",      "root", "www-data", "nobody",
		"lost+found", "\xc3\xa4", "a/b",  "..",       "u12345678901234567890123456789012"
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(good); i++)
		if (name_check_webspace(good[i], NULL) != 0)
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < ELEMENTS(bad); i++)
		if (name_check_webspace(bad[i], NULL) == 0)
			fail_msg("%s", bad[i]);
}

static void host(const char *text, const char *expected)
{
	autoarena struct arena a = { 0 };
	const char *name = NULL;
	struct err e = { 0 };
	int r = name_host(&a, text, true, &name, &e);

	if (!expected && r == 0)
		fail_msg("%s → %s", text, name);
	if (expected && (r < 0 || strcmp(name, expected) != 0))
		fail_msg("%s → %s %s", text, name, e.text);
}

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void host_names_have_one_form(void **state)
{
	(void)state;
	host("example.org", "example.org");
	host("EXAMPLE.Org.", "example.org");
	host("*.Example.org", "*.example.org");
	host("localhost", "localhost");
	host("1.2.3.example", "1.2.3.example");
	host("xn--bcher-kva.example", "xn--bcher-kva.example");
	host("B\xc3\xbc"
	     "cher.example",
	     "xn--bcher-kva.example");
	host("*.\xc3\xa4.org", "*.xn--4ca.org");
	host("fa\xc3\x9f.de", "xn--fa-hia.de");
	host(L63 ".org", L63 ".org");
	host(L63 "a.org", NULL);
	host(L63 "." L63 "." L63 "." L63, NULL);
	host("", NULL);
	host(".", NULL);
	host("a..b", NULL);
	host(".a", NULL);
	host("a_b.org", NULL);
	host("-a.org", NULL);
	host("a-.org", NULL);
	host("10.0.0.1", NULL);
	host("[::1]", NULL);
	host("a b.org", NULL);
	host("a.*.org", NULL);
	host("*", NULL);
	host("*.", NULL);
	host("**.org", NULL);
	host("a/b.org", NULL);
	host("\xff\xfe.org", NULL);
	host("$host", NULL);
}

static void paths_have_no_way_out(void **state)
{
	(void)state;
	assert_int_equal(name_check_relative("a/b.c", NULL), 0);
	assert_int_equal(name_check_relative("..a", NULL), 0);
	assert_int_equal(name_check_absolute("/", NULL), 0);
	assert_true(name_check_relative("", NULL) < 0);
	assert_true(name_check_relative("..", NULL) < 0);
	assert_true(name_check_relative("a/../b", NULL) < 0);
	assert_true(name_check_relative("a/.", NULL) < 0);
	assert_true(name_check_relative("a//b", NULL) < 0);
	assert_true(name_check_relative("/a", NULL) < 0);
	assert_true(name_check_relative("a\nb", NULL) < 0);
	assert_true(name_check_absolute("a", NULL) < 0);
	assert_true(name_check_absolute("/a/", NULL) < 0);
}

static void only_conf_files_are_webspaces(void **state)
{
	char name[NAME_FILE_MAX + 1];

	(void)state;
	assert_true(name_of_file("alice.conf", name));
	assert_string_equal(name, "alice");
	assert_true(name_of_file("Bad Name.conf", name));
	assert_false(name_of_file(".conf", name));
	assert_false(name_of_file(".alice.conf", name));
	assert_false(name_of_file("alice.conf~", name));
	assert_false(name_of_file("alice.conf.dpkg-new", name));
	assert_false(name_of_file("a\nb.conf", name));
	assert_false(name_of_file("alice", name));
}

static void placement_is_by_patterns(void **state)
{
	static const char *const items[] = { "web1", "test*" };
	const struct text_list none = { 0 }, two = { items, 2 };

	(void)state;
	assert_true(name_is_placed(&none, "any"));
	assert_true(name_is_placed(&two, "web1"));
	assert_true(name_is_placed(&two, "test7"));
	assert_false(name_is_placed(&two, "web10"));
}

static void hsts(const char *text, const char *expected)
{
	autoarena struct arena a = { 0 };
	const char *value = NULL;
	int r = value_hsts(&a, text, &value, NULL);

	if (expected ? r < 0 || strcmp(value, expected) != 0 : r == 0)
		fail_msg("%s → %s", text, value);
}

static void hsts_is_written_in_words(void **state)
{
	(void)state;
	hsts("", "");
	hsts("1y", "max-age=31536000");
	hsts("1y; preload; includesubdomains", "max-age=31536000; includeSubDomains; preload");
	hsts("max-age=300", "max-age=300");
	hsts("0", "max-age=0");
	hsts("1y; x", NULL);
	hsts("1y;", NULL);
	hsts("preload", NULL);
	hsts("1y; preload; preload", NULL);
}

static void numbers_have_units(void **state)
{
	long long n;

	(void)state;
	assert_int_equal(value_size("1G", &n), 0);
	assert_true(n == 1 << 30);
	assert_true(value_size("999999999999G", &n) < 0 || n > 0);
	assert_true(value_size("", &n) < 0);
	assert_true(value_size("-1", &n) < 0);
	assert_true(value_size("1GB", &n) < 0);
	assert_int_equal(value_duration("2h", &n), 0);
	assert_true(n == 7200);
	assert_true(value_duration("9999999999999y", &n) < 0);
}

static void php_settings_go_with_versions(void **state)
{
	(void)state;
	assert_true(php_setting_exists("session.entropy_length", "7.0"));
	assert_false(php_setting_exists("session.entropy_length", "7.1"));
	assert_false(php_setting_exists("Track_Errors", "8.2"));
	assert_true(php_setting_exists("memory_limit", "8.2"));
	assert_true(php_setting_exists("anything", ""));
	assert_true(php_setting_is_forbidden("OPcache.enable"));
	assert_true(php_setting_is_forbidden("ffi.enable"));
	assert_true(php_setting_is_forbidden("fastcgi.logging"));
	assert_true(php_setting_is_forbidden("opcache.revalidate_freq"));
	assert_false(php_setting_is_forbidden("opcache.revalidate_path"));
	assert_false(php_setting_is_forbidden("extension_x"));
	assert_false(php_setting_is_forbidden("apc.enabled"));
	assert_true(php_setting_needs_own_master("APC.shm_size"));
	assert_true(php_setting_needs_own_master("yac.enable"));
	assert_false(php_setting_needs_own_master("apc"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(webspaces_are_named_as_users),
		cmocka_unit_test(host_names_have_one_form),
		cmocka_unit_test(paths_have_no_way_out),
		cmocka_unit_test(only_conf_files_are_webspaces),
		cmocka_unit_test(placement_is_by_patterns),
		cmocka_unit_test(hsts_is_written_in_words),
		cmocka_unit_test(numbers_have_units),
		cmocka_unit_test(php_settings_go_with_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
