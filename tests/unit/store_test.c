/* The store: certificates are issued, kept, renewed and set aside as its face says. */
#include "acme/acme.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/err.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define NOW ((time_t)1800000000)
#define DAY ((time_t)86400)

static char top[64];
static struct store *store;
static gid_t gid;
static const char *const names[] = { "alice.example.org", "www.alice.example.org" };

static struct store *reopened(void)
{
	struct err e = { 0 };

	store_close(store);
	store = NULL;
	if (store_open(top, gid, true, &store, &e) < 0)
		fail_msg("%s", e.text);
	return store;
}

static int set_up(void **state)
{
	(void)state;
	gid = geteuid() == 0 ? 33 : getegid();
	snprintf(top, sizeof top, "/tmp/store_test.XXXXXX");
	if (!mkdtemp(top) || chdir(top) < 0)
		return -1;
	reopened();
	return 0;
}

static int tear_down(void **state)
{
	autofd int tmp = path_open_dir("/tmp", NULL);

	(void)state;
	store_close(store);
	store = NULL;
	return chdir("/") < 0 || path_remove_tree(tmp, strrchr(top, '/') + 1, NULL) < 0 ? -1 : 0;
}

static void issue_at(time_t now)
{
	struct err e = { 0 };

	if (store_issue_internal(store, "alice", names[0], names, 2, now, &e) < 0)
		fail_msg("%s", e.text);
}

static struct certificate look(size_t n_names)
{
	struct certificate c = { 0 };

	assert_int_equal(store_read(store, "alice", names[0], names, n_names, &c, NULL), 0);
	return c;
}

static bool is_good(struct certificate c)
{
	return c.covers && c.exact && c.key_matches && c.internal;
}

static const char *current(void)
{
	static char dir[600];

	return store_current(store, "alice", names[0], dir) < 0 ? "none" : dir;
}

static char *text_of(const char *path)
{
	char *text = NULL;
	size_t len;

	assert_int_equal(path_read(AT_FDCWD, path, 65536, &text, &len, NULL), 0);
	return text;
}

static void put(const char *path, const char *text)
{
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchown(fd, (uid_t)-1, gid), 0);
	close(fd);
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_gid, S_ISREG(st.st_mode) && strstr(path, "chain") ? getegid() : gid);
	return st.st_mode & 07777;
}

static void a_certificate_is_issued_and_read(void **state)
{
	struct certificate c;

	(void)state;
	assert_int_equal(store_read(store, "alice", names[0], names, 2, &c, NULL), -ENOENT);
	assert_string_equal(current(), "none");
	issue_at(NOW);
	c = look(2);
	assert_true(is_good(c));
	assert_int_equal(c.not_before, NOW - 3600);
	assert_int_equal(c.not_after, NOW + 90 * DAY);
	assert_string_equal(current(), "alice/alice.example.org/1");
	reopened();
	assert_true(is_good(look(2)));
}

static void modes_let_the_web_server_in_and_nobody_else(void **state)
{
	(void)state;
	issue_at(NOW);
	assert_int_equal(mode_of("certs"), 0710);
	assert_int_equal(mode_of("certs/alice"), 0710);
	assert_int_equal(mode_of("certs/alice/alice.example.org/1"), 0710);
	assert_int_equal(mode_of("certs/alice/alice.example.org/1/key.pem"), 0640);
	assert_int_equal(mode_of("certs/alice/alice.example.org/1/chain.pem"), 0644);
}

static void fewer_names_are_covered_but_not_exact_and_more_are_not(void **state)
{
	static const char *const more[] = { "alice.example.org", "www.alice.example.org",
					    "x.alice.example.org" };
	struct certificate c;

	(void)state;
	issue_at(NOW);
	c = look(1);
	assert_true(c.covers && !c.exact);
	assert_int_equal(store_read(store, "alice", names[0], more, 3, &c, NULL), 0);
	assert_false(c.covers || c.exact);
	assert_true(is_good(look(2)));
}

static void a_wildcard_covers_one_label(void **state)
{
	static const char *const wild[] = { "*.example.org" }, *const one[] = { "a.example.org" },
				 *const two[] = { "a.b.example.org" },
				 *const bare[] = { "example.org" };
	struct certificate c;
	char site[256];

	(void)state;
	store_site(wild[0], site);
	assert_string_equal(site, "_.example.org");
	assert_int_equal(store_issue_internal(store, "w", site, wild, 1, NOW, NULL), 0);
	assert_int_equal(store_read(store, "w", site, wild, 1, &c, NULL), 0);
	assert_true(c.covers && c.exact);
	assert_int_equal(store_read(store, "w", site, one, 1, &c, NULL), 0);
	assert_true(c.covers && !c.exact);
	assert_int_equal(store_read(store, "w", site, two, 1, &c, NULL), 0);
	assert_false(c.covers);
	assert_int_equal(store_read(store, "w", site, bare, 1, &c, NULL), 0);
	assert_false(c.covers);
}

static void a_renewal_keeps_its_key_and_place(void **state)
{
	autofree char *before = NULL, *after = NULL;

	(void)state;
	issue_at(NOW);
	look(2);
	before = text_of("certs/alice/alice.example.org/1/key.pem");
	issue_at(NOW + 60 * DAY);
	assert_string_equal(current(), "alice/alice.example.org/1");
	assert_int_equal(look(2).not_after, NOW + 150 * DAY);
	after = text_of("certs/alice/alice.example.org/1/key.pem");
	assert_string_equal(before, after);
	assert_true(is_good(look(2)));
}

static void damage_is_seen_and_a_generation_made_beside_it(void **state)
{
	static const struct {
		const char *file, *text;
	} damages[] = {
		{ "chain.pem", "" },
		{ "chain.pem", "garbage\n" },
		{ "key.pem", "" },
		{ "key.pem", "garbage\n" },
		{ "chain.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" },
		{ "key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" },
	};
	char path[200], expected[100];

	(void)state;
	issue_at(NOW);
	for (unsigned i = 0; i < ELEMENTS(damages); i++) {
		assert_true(is_good(look(2)));
		snprintf(path, sizeof path, "certs/%s/%s", current(), damages[i].file);
		put(path, damages[i].text);
		assert_false(is_good(look(2)));
		issue_at(NOW);
		assert_true(is_good(look(2)));
		snprintf(expected, sizeof expected, "alice/alice.example.org/%u", i + 2);
		assert_string_equal(current(), expected);
		/* what was there is still there, until it is five generations old */
		autofree char *kept = text_of(path);

		assert_string_equal(kept, damages[i].text);
	}
	assert_int_equal(access("certs/alice/alice.example.org/1", F_OK), -1);
	assert_int_equal(access("certs/alice/alice.example.org/3", F_OK), 0);
}

static void a_key_that_others_could_read_is_replaced(void **state)
{
	(void)state;
	issue_at(NOW);
	chmod("certs/alice/alice.example.org/1/key.pem", 0644);
	assert_false(look(2).key_matches);
	issue_at(NOW);
	assert_true(is_good(look(2)));
	assert_string_equal(current(), "alice/alice.example.org/2");
	chmod("certs/alice/alice.example.org/2/key.pem", 0600);
	assert_false(look(2).key_matches);
}

static void another_sites_key_does_not_match(void **state)
{
	static const char *const bob[] = { "bob.example.org" };
	autofree char *key = NULL;

	(void)state;
	issue_at(NOW);
	assert_int_equal(store_issue_internal(store, "bob", bob[0], bob, 1, NOW, NULL), 0);
	key = text_of("certs/bob/bob.example.org/1/key.pem");
	put("certs/alice/alice.example.org/1/key.pem", key);
	assert_false(look(2).key_matches);
	assert_true(look(2).covers);
}

static void a_removed_webspace_is_set_aside_and_can_return(void **state)
{
	struct table list = { 0 };
	struct certificate c;

	(void)state;
	issue_at(NOW);
	assert_int_equal(store_list(store, &list, NULL), 0);
	assert_true(list.count == 1 && table_get(&list, "alice"));
	table_clear(&list);
	assert_int_equal(store_remove(store, "alice", NULL), 1);
	assert_int_equal(store_remove(store, "alice", NULL), 0);
	assert_int_equal(store_read(store, "alice", names[0], names, 2, &c, NULL), -ENOENT);
	assert_int_equal(access("certs/.removed/alice.1/alice.example.org/1/key.pem", F_OK), 0);
	issue_at(NOW);
	assert_int_equal(store_remove(store, "alice", NULL), 1);
	assert_int_equal(access("certs/.removed/alice.2", F_OK), 0);
	assert_int_equal(store_list(store, &list, NULL), 0);
	assert_int_equal(list.count, 0);
	table_clear(&list);
}

static void a_purge_leaves_no_key(void **state)
{
	(void)state;
	issue_at(NOW);
	assert_int_equal(store_remove(store, "alice", NULL), 1);
	issue_at(NOW);
	assert_int_equal(store_issue_internal(store, "alice.b", names[0], names, 2, NOW, NULL), 0);
	assert_int_equal(store_remove(store, "alice.b", NULL), 1);
	assert_int_equal(store_purge(store, "alice", NULL), 0);
	assert_int_equal(access("certs/alice", F_OK), -1);
	assert_int_equal(access("certs/.removed/alice.1", F_OK), -1);
	assert_int_equal(access("certs/.removed/alice.2", F_OK), -1);
	assert_int_equal(access("certs/.removed/alice.b.1", F_OK), 0);
	assert_int_equal(store_purge(store, "alice", NULL), 0);
}

static void no_name_leads_out_of_its_place(void **state)
{
	static const struct {
		const char *webspace, *site;
	} cases[] = { { "..", "a" }, { "a/b", "a" }, { "", "a" }, { "a", ".." }, { "a", "b/c" } };
	char site[256];

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++)
		assert_int_equal(store_issue_internal(store, cases[i].webspace, cases[i].site,
						      names, 2, NOW, NULL),
				 -EINVAL);
	store_site("../../etc", site);
	assert_string_equal(site, "_._.._etc");
}

static void own_files_are_judged_in_a_sentence(void **state)
{
	static const char *const other[] = { "alice.example.org", "shop.example.org" };
	static const char *const bob[] = { "bob.example.org" };
	struct certificate c;
	struct err e;

	(void)state;
	issue_at(NOW);
	assert_int_equal(store_issue_internal(store, "bob", bob[0], bob, 1, NOW, NULL), 0);
	put("garbage.pem", "garbage\n");

	const char *chain = "certs/alice/alice.example.org/1/chain.pem";
	const char *key = "certs/alice/alice.example.org/1/key.pem";
	const struct {
		const char *chain, *key;
		const char *const *names;
		time_t now;
		const char *expected; /* part of the sentence; NULL: good */
	} cases[] = {
		{ chain, key, names, NOW, NULL },
		{ chain, key, names, NOW + 91 * DAY, "expired on 2027-" },
		{ chain, key, names, NOW - DAY, "is not valid before" },
		{ chain, key, other, NOW, "does not cover shop.example.org" },
		{ chain, "certs/bob/bob.example.org/1/key.pem", names, NOW, "is not the key of" },
		{ "garbage.pem", key, names, NOW, "garbage.pem: not a certificate" },
		{ chain, "garbage.pem", names, NOW, "garbage.pem: not a private key (PEM)" },
		{ "none.pem", key, names, NOW, "none.pem: No such file" },
		{ chain, "certs", names, NOW, "certs is not a regular file" },
		{ "/dev/zero", key, names, NOW, "/dev/zero is not a regular file" },
	};

	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		for (unsigned twice = 0; twice < 2; twice++) {
			e = (struct err){ 0 };
			int r = certificate_check_files(store, cases[i].chain, cases[i].key,
							cases[i].names, 2, cases[i].now, &c, &e);

			assert_int_equal(r, cases[i].expected ? -EBADMSG : 0);
			if (cases[i].expected && !strstr(e.text, cases[i].expected))
				fail_msg("%s: %s", cases[i].expected, e.text);
		}
	}
}

static void own_files_are_copied_and_never_touched(void **state)
{
	autofree char *before = NULL, *after = NULL, *chain = NULL, *copy = NULL;
	struct certificate own;
	struct err e = { 0 };

	(void)state;
	/* somebody else's: of another CA */
	issue_at(NOW);
	chain = text_of("certs/alice/alice.example.org/1/chain.pem");
	before = text_of("certs/alice/alice.example.org/1/key.pem");
	put("own.pem", chain);
	put("own.key", before);
	chmod("own.key", 0600);
	assert_int_equal(store_remove(store, "alice", NULL), 1);
	if (store_install_files(store, "alice", names[0], "own.pem", "own.key", &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(
		certificate_check_files(store, "own.pem", "own.key", names, 2, NOW, &own, NULL), 0);
	assert_true(look(2).content == own.content);
	assert_true(look(2).key_matches);
	copy = text_of("certs/alice/alice.example.org/1/key.pem");
	assert_string_equal(copy, before);
	after = text_of("own.key");
	assert_string_equal(after, before);
	assert_int_equal(store_install_files(store, "alice", names[0], "own.pem", "garbage", NULL),
			 -EBADMSG);
	assert_string_equal(current(), "alice/alice.example.org/1");
}

static void renewal_is_at_two_thirds_and_never_late(void **state)
{
	static const struct {
		time_t life, from, to;
	} cases[] = {
		{ 90 * DAY, 57 * DAY, 63 * DAY },
		{ 47 * DAY, 29 * DAY, 33 * DAY },
		{ 6 * DAY, 2 * DAY, 4 * DAY },
		{ 3600, 1600, 2000 },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct certificate c = { .not_before = NOW, .not_after = NOW + cases[i].life };
		time_t first = certificate_renew_at(&c, "a.example.org") - NOW;

		assert_true(first >= cases[i].from && first <= cases[i].to);
		assert_int_equal(certificate_renew_at(&c, "a.example.org") - NOW, first);
		assert_int_not_equal(certificate_renew_at(&c, "b.example.org") - NOW, first);
	}
}

static void a_store_that_may_not_write_makes_nothing(void **state)
{
	struct store *reader;
	struct certificate c;
	struct table list = { 0 };
	char path[100];

	(void)state;
	snprintf(path, sizeof path, "%s/none", top);
	assert_int_equal(store_open(path, gid, false, &reader, NULL), 0);
	assert_int_equal(store_read(reader, "alice", names[0], names, 2, &c, NULL), -ENOENT);
	assert_int_equal(store_list(reader, &list, NULL), 0);
	assert_null(store_ca_file(reader));
	store_close(reader);
	assert_int_equal(access("none", F_OK), -1);
}

#define with_place(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_place(a_certificate_is_issued_and_read),
		with_place(modes_let_the_web_server_in_and_nobody_else),
		with_place(fewer_names_are_covered_but_not_exact_and_more_are_not),
		with_place(a_wildcard_covers_one_label),
		with_place(a_renewal_keeps_its_key_and_place),
		with_place(damage_is_seen_and_a_generation_made_beside_it),
		with_place(a_key_that_others_could_read_is_replaced),
		with_place(another_sites_key_does_not_match),
		with_place(a_removed_webspace_is_set_aside_and_can_return),
		with_place(a_purge_leaves_no_key),
		with_place(no_name_leads_out_of_its_place),
		with_place(own_files_are_judged_in_a_sentence),
		with_place(own_files_are_copied_and_never_touched),
		with_place(renewal_is_at_two_thirds_and_never_late),
		with_place(a_store_that_may_not_write_makes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
