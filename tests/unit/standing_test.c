/* How a certificate of a CA stands on disk. The CA of others is the internal one of a second store. */
#include "acme/client/standing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acme/store/record.h"
#include "acme/store/store.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define NOW  ((time_t)1800000000)
#define DAY  ((time_t)86400)
#define CA   "https://ca.test/dir"
#define SITE "a.org"

static struct store *store, *elsewhere;
static unsigned n_made;
static const char *const names[] = { "a.org", "www.a.org", "other.org" };
static const struct acme_want want = {
	.site = SITE, .names = names, .n_names = 2, .directory = CA, .key = KEY_P256
};

static int set_up(void **state)
{
	char path[200];

	(void)state;
	snprintf(path, sizeof path, "%s/%u", root, ++n_made);
	if (mkdirat(dir, strrchr(path, '/') + 1, 0700) < 0 ||
	    store_open(path, getegid(), true, &store, NULL) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/%u", root, ++n_made);
	return mkdirat(dir, strrchr(path, '/') + 1, 0700) < 0
		       ? -1
		       : store_open(path, getegid(), true, &elsewhere, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	store_close(store);
	store_close(elsewhere);
	return 0;
}

/* At this place, for the first n names, by a CA of others. */
static void install(const char *site, size_t n)
{
	char live[600], chain[900], key[900];

	assert_int_equal(store_issue_internal(elsewhere, "alice", site, names, n, NOW, NULL), 0);
	assert_int_equal(store_current(elsewhere, "alice", site, live), 0);
	snprintf(chain, sizeof chain, "%s/certs/%s/chain.pem", elsewhere->state_dir, live);
	snprintf(key, sizeof key, "%s/certs/%s/key.pem", elsewhere->state_dir, live);
	assert_true(store_install_files(store, "alice", site, chain, key, NULL) >= 0);
}

/* The record says that the live one is of this CA and has such a key. */
static struct record *note(const char *ca, const char *key)
{
	struct certificate live;
	struct record *r;
	struct place p;

	assert_int_equal(store_place("alice", SITE, &p, NULL), 0);
	assert_int_equal(store_read(store, "alice", SITE, names, 1, &live, NULL), 0);
	r = store_record_of(store, &p);
	r->content = live.content;
	record_set_text(&r->ca, ca);
	record_set_text(&r->key, key);
	return r;
}

static const char *standing(time_t now)
{
	struct acme_standing s;

	acme_standing(store, "alice", &want, now, &s);
	assert_int_equal(s.usable, *s.dir != '\0');
	return s.whole ? "whole" : s.good ? "good" : s.usable ? "usable" : s.reason;
}

static void nothing_and_an_internal_one_are_of_no_use(void **state)
{
	(void)state;
	assert_string_equal(standing(NOW), "Pending");
	assert_int_equal(store_issue_internal(store, "alice", SITE, names, 2, NOW, NULL), 0);
	assert_string_equal(standing(NOW), "Pending");
}

static void only_what_the_record_is_about_is_of_the_wanted_ca(void **state)
{
	struct record *r;

	(void)state;
	install(SITE, 2);
	assert_string_equal(standing(NOW), "usable");
	r = note(CA, "p256");
	assert_string_equal(standing(NOW), "whole");
	record_set_text(&r->ca, "https://other.test/dir");
	assert_string_equal(standing(NOW), "usable");
	r = note(CA, "rsa2048");
	assert_string_equal(standing(NOW), "usable");
	r = note(CA, "p256");
	r->content++;
	assert_string_equal(standing(NOW), "usable");
}

static void names_that_lack_make_it_less_unless_they_are_held_back(void **state)
{
	struct record *r;

	(void)state;
	install(SITE, 1);
	r = note(CA, "p256");
	assert_string_equal(standing(NOW), "usable");
	record_hold(r, names[1], NOW + 60, "its address is elsewhere");
	assert_string_equal(standing(NOW), "good");
	assert_string_equal(standing(NOW + 61), "usable");
}

static void out_of_date_it_is_of_use_still_but_not_good(void **state)
{
	(void)state;
	install(SITE, 2);
	(void)note(CA, "p256");
	assert_string_equal(standing(NOW + 400 * DAY), "usable");
	assert_string_equal(standing(NOW - 400 * DAY), "usable");
}

static void the_reason_outlives_the_record(void **state)
{
	struct acme_standing s;
	const char *kept;

	(void)state;
	assert_int_equal(store_issue_internal(store, "alice", SITE, names, 2, NOW, NULL), 0);
	record_set_problem(note(CA, "p256"), "NamesHeld", "dead");
	acme_standing(store, "alice", &want, NOW, &s);
	kept = s.reason;
	record_set_problem(note(CA, "p256"), "Garbage", "of a disk");
	assert_string_equal(kept, "NamesHeld");
	assert_string_equal(standing(NOW), "Pending");
}

static void another_place_s_certificate_stands_in_if_it_is_good_for_all_names(void **state)
{
	struct acme_standing found;

	(void)state;
	assert_int_equal(acme_stand_in(store, "alice", names, 2, NOW, &found), -ENOENT);
	assert_int_equal(store_issue_internal(store, "alice", SITE, names, 2, NOW, NULL), 0);
	install("b.org", 1);
	assert_int_equal(acme_stand_in(store, "alice", names, 2, NOW, &found), -ENOENT);
	install("_all", 2);
	assert_int_equal(acme_stand_in(store, "alice", names, 2, NOW, &found), 0);
	assert_string_equal(found.dir, "alice/_all/1");
	assert_true(found.ends > NOW && found.ends < NOW + 400 * DAY);
	assert_int_equal(acme_stand_in(store, "alice", names, 3, NOW, &found), -ENOENT);
	assert_int_equal(acme_stand_in(store, "alice", names, 2, NOW + 400 * DAY, &found), -ENOENT);
	assert_int_equal(acme_stand_in(store, "bob", names, 2, NOW, &found), -ENOENT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_and_an_internal_one_are_of_no_use),
		CASE(only_what_the_record_is_about_is_of_the_wanted_ca),
		CASE(names_that_lack_make_it_less_unless_they_are_held_back),
		CASE(out_of_date_it_is_of_use_still_but_not_good),
		CASE(the_reason_outlives_the_record),
		CASE(another_place_s_certificate_stands_in_if_it_is_good_for_all_names),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
