/* The account's key on disk: made once, closed to others, and only what is one is taken for one. */
#include "acme/account_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "acme/acme.h"
#include "acme/jws.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

static struct store *store;

static int set_up(void **state)
{
	(void)state;
	(void)path_remove_tree(dir, "acme", NULL);
	return store_open(root, getegid(), true, &store, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	store_close(store);
	return 0;
}

static const char *thumbprint_of(const struct key *k)
{
	static char text[2][44];
	static unsigned n;
	char *ret = text[n++ % 2];

	assert_int_equal(jws_thumbprint(k, ret, NULL), 0);
	return ret;
}

static void a_directory_is_named_after_the_ca_so_that_people_find_it(void **state)
{
	static const struct {
		const char *directory, *path;
	} cases[] = {
		{ "https://acme.test/directory", "acme/acme.test_directory" },
		{ "https://localhost:14000/dir", "acme/localhost_14000_dir" },
		{ "https://../../etc", "acme/_._.._etc" },
		{ "https://a.test/x?y=/../z", "acme/a.test_x_y__.._z" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autofd int none = account_dir(store, cases[i].directory, false, NULL);
		autofd int made = account_dir(store, cases[i].directory, true, NULL);
		struct stat st;

		assert_int_equal(none, -ENOENT);
		assert_true(made >= 0);
		assert_int_equal(fstatat(dir, cases[i].path, &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
	}
}

static void a_key_is_made_once_and_root_s_alone(void **state) /* E1 */
{
	autofd int at = account_dir(store, "https://ca.test/dir", true, NULL);
	autokey struct key *first = NULL, *again = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(account_key(at, "", false, &first, NULL), -ENOENT);
	assert_int_equal(account_key(at, "", true, &first, NULL), 0);
	assert_int_equal(fstatat(at, "account.key", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(account_key(at, "", true, &again, NULL), 0);
	assert_string_equal(thumbprint_of(first), thumbprint_of(again));
}

static void what_is_no_key_is_told_and_never_written_over(void **state)
{
	static const char *const texts[] = { "", "garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n" };
	autofd int at = account_dir(store, "https://ca.test/dir", true, NULL);
	autokey struct key *k = NULL;

	(void)state;
	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		autofree char *left = NULL;
		struct err e = { 0 };
		size_t len;
		FILE *f;
		char path[200];

		snprintf(path, sizeof path, "%s/acme/ca.test_dir/account.key", root);
		f = fopen(path, "we");
		assert_non_null(f);
		fputs(texts[i], f);
		fclose(f);
		assert_true(account_key(at, "", true, &k, &e) < 0);
		assert_non_null(strstr(e.text, "account.key"));
		assert_int_equal(path_read(at, "account.key", 1000, &left, &len, NULL), 0);
		assert_string_equal(left, texts[i]);
	}
}

static void a_key_of_a_fleet_is_read_where_it_lies_and_never_made(void **state)
{
	autofd int at = account_dir(store, "https://ca.test/dir", true, NULL);
	autokey struct key *own = NULL, *shared = NULL, *none = NULL;
	char path[200];

	(void)state;
	snprintf(path, sizeof path, "%s/fleet.key", root);
	assert_int_equal(account_key(at, path, true, &none, NULL), -ENOENT);
	assert_int_equal(account_key(at, "", true, &own, NULL), 0);
	assert_int_equal(account_key_put(dir, "fleet.key", own, NULL), 0);
	assert_int_equal(account_key(at, path, true, &shared, NULL), 0);
	assert_string_equal(thumbprint_of(own), thumbprint_of(shared));
}

static void a_key_that_is_no_p_256_is_refused(void **state)
{
	autofd int at = account_dir(store, "https://ca.test/dir", true, NULL);
	autokey struct key *rsa = NULL, *k = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(key_new(KEY_RSA2048, &rsa, NULL), 0);
	assert_int_equal(account_key_put(at, "account.key", rsa, NULL), 0);
	assert_true(account_key(at, "", true, &k, &e) < 0);
	assert_non_null(strstr(e.text, "P-256"));
}

static void a_change_in_flight_is_known_by_its_file(void **state)
{
	autofd int at = account_dir(store, "https://ca.test/dir", true, NULL);
	autokey struct key *k = NULL, *next = NULL;

	(void)state;
	assert_int_equal(account_key_next(at, &next), -ENOENT);
	assert_int_equal(key_new(KEY_P256, &k, NULL), 0);
	assert_int_equal(account_key_put(at, "next.key", k, NULL), 0);
	assert_int_equal(account_key_next(at, &next), 0);
	assert_string_equal(thumbprint_of(k), thumbprint_of(next));
}

static void the_thumbprint_is_that_of_the_key_nginx_shall_answer_for(void **state)
{
	char print[44];
	autofd int at = -1;
	autokey struct key *k = NULL;

	(void)state;
	assert_int_equal(acme_thumbprint(store, "https://ca.test/dir", "", false, print, NULL),
			 -ENOENT);
	assert_int_equal(acme_thumbprint(store, "https://ca.test/dir", "", true, print, NULL), 0);
	at = account_dir(store, "https://ca.test/dir", false, NULL);
	assert_int_equal(account_key(at, "", false, &k, NULL), 0);
	assert_string_equal(print, thumbprint_of(k));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_directory_is_named_after_the_ca_so_that_people_find_it),
		CASE(a_key_is_made_once_and_root_s_alone),
		CASE(what_is_no_key_is_told_and_never_written_over),
		CASE(a_key_of_a_fleet_is_read_where_it_lies_and_never_made),
		CASE(a_key_that_is_no_p_256_is_refused),
		CASE(a_change_in_flight_is_known_by_its_file),
		CASE(the_thumbprint_is_that_of_the_key_nginx_shall_answer_for),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
