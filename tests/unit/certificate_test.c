/* Certificates as a resource: who issues, what stands in, and what is told about it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/resource.h"
#include "reconcile/site_certificate.h"
#include "tests/unit/cmocka_all.h"

#define NOW ((time_t)1800000000)
#define DAY ((time_t)86400)
#define T   (&certificate_type)

static char top[64], chain_path[100], key_path[100];
static struct arena arena;
static struct host host;
static struct site site;
static struct webspace webspace;
static struct world w;
static void *state_of_type;

static const char *const names[] = { "alice.example.org", "www.alice.example.org" };

static int set_up(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "/tmp/certificate_test.XXXXXX");
	if (!mkdtemp(top) || chdir(top) < 0)
		return -1;
	snprintf(chain_path, sizeof chain_path, "%s/own.pem", top);
	snprintf(key_path, sizeof key_path, "%s/own.key", top);
	host = (struct host){ .state_dir = top, .acme.directory = "https://ca.test/dir" };
	site = (struct site){
		.names = { names, 2 },
		.tls = { .issuer = ISSUER_INTERNAL,
			 .hsts = "",
			 .certificate = "",
			 .key = "",
			 .directory = "",
			 .profile = "",
			 .preferred_chain = "" },
	};
	webspace = (struct webspace){ .name = "alice", .sites = &site, .n_sites = 1 };
	w = (struct world){ .host = &host, .arena = &arena, .wall = NOW };
	if (store_open(top, getegid(), true, &w.store, NULL) < 0)
		return -1;
	return T->open(&w, &state_of_type, NULL);
}

static int tear_down(void **state)
{
	autofd int tmp = path_open_dir("/tmp", NULL);

	(void)state;
	T->close(state_of_type);
	store_close(w.store);
	arena_clear(&arena);
	return chdir("/") < 0 || path_remove_tree(tmp, strrchr(top, '/') + 1, NULL) < 0 ? -1 : 0;
}

static size_t desired(struct item *ret)
{
	struct item_list list = { 0 };

	T->desire(&w, state_of_type, &webspace, &list);
	if (list.count)
		*ret = list.items[0];
	return list.count;
}

static struct finding look(void)
{
	struct finding f = { 0 };
	struct item item;

	assert_int_equal(desired(&item), 1);
	T->observe(&w, state_of_type, &webspace, &item, &f);
	return f;
}

static struct finding converge(void)
{
	struct finding f = look();
	struct err e = { 0 };
	struct item item;

	desired(&item);
	if ((f.state == OBSERVED_MISSING || f.state == OBSERVED_DIFFERS) &&
	    T->apply(&w, state_of_type, &webspace, &item, &f, &e) < 0)
		fail_msg("%s", e.text);
	return look();
}

static struct site_certificate served(void)
{
	struct site_certificate c;

	site_certificate_look(w.store, &host, &webspace, &site, w.wall, &c);
	return c;
}

static char *text_in_top(const char *path)
{
	autofd int dir = path_open_dir(top, NULL);
	char *text = NULL;
	size_t len;

	assert_int_equal(path_read(dir, path, 65536, &text, &len, NULL), 0);
	return text;
}

/* The chain is complete with its root. */
static void append_root(void)
{
	autofree char *root = text_in_top("elsewhere/ca/ca.pem");
	autofd int fd = open(chain_path, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_int_equal(write(fd, root, strlen(root)), (ssize_t)strlen(root));
}

static void cut_behind_leaf(void)
{
	static const char end[] = "-----END CERTIFICATE-----\n";
	autofree char *text = text_in_top("own.pem");

	assert_int_equal(truncate(chain_path, strstr(text, end) + strlen(end) - text), 0);
}

/* Files as an admin has them: made by another CA, good for 90 days. */
static void make_own_files(const char *const *for_names, size_t n)
{
	struct store *other;
	char elsewhere[100], path[300];

	snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", top);
	assert_int_equal(store_open(elsewhere, getegid(), true, &other, NULL), 0);
	store_remove(other, "x", NULL);
	assert_int_equal(store_issue_internal(other, "x", "x", for_names, n, w.wall, NULL), 0);
	store_close(other);
	snprintf(path, sizeof path, "%s/certs/x/x/1/chain.pem", elsewhere);
	assert_int_equal(rename(path, chain_path), 0);
	snprintf(path, sizeof path, "%s/certs/x/x/1/key.pem", elsewhere);
	assert_int_equal(rename(path, key_path), 0);
	append_root();
	site.tls.certificate = chain_path;
	site.tls.key = key_path;
}

static void an_internal_one_is_missing_then_in_sync(void **state)
{
	(void)state;
	assert_int_equal(look().state, OBSERVED_MISSING);
	assert_false(served().installed);
	assert_int_equal(converge().state, OBSERVED_IN_SYNC);
	assert_true(served().installed && served().wanted);
	assert_string_equal(served().dir, "alice/alice.example.org/1");
}

static void it_is_renewed_before_its_end_in_its_place(void **state)
{
	(void)state;
	converge();
	time_t next = T->next_look(&w, state_of_type);

	assert_true(next > NOW + 55 * DAY && next < NOW + 65 * DAY);
	w.wall = next - 1;
	assert_int_equal(look().state, OBSERVED_IN_SYNC);
	w.wall = next;
	assert_int_equal(look().state, OBSERVED_DIFFERS);
	assert_string_equal(look().what, "validity");
	assert_true(served().installed && served().wanted);
	assert_int_equal(converge().state, OBSERVED_IN_SYNC);
	assert_string_equal(served().dir, "alice/alice.example.org/1");
	T->next_look(&w, state_of_type);
	look();
	assert_true(T->next_look(&w, state_of_type) > next);
}

static void other_names_are_another_certificate(void **state)
{
	(void)state;
	site.names.count = 1;
	converge();
	site.names.count = 2;
	assert_string_equal(look().what, "names");
	assert_false(served().installed);
	assert_int_equal(converge().state, OBSERVED_IN_SYNC);
	site.names.count = 1;
	assert_string_equal(look().what, "names");
	assert_true(served().installed); /* one too many, but good to serve with */
	assert_int_equal(converge().state, OBSERVED_IN_SYNC);
}

static void with_acme_an_internal_one_stands_in_and_the_reason_is_told(void **state)
{
	(void)state;
	site.tls.issuer = ISSUER_ACME;
	struct finding f = converge();

	assert_int_equal(f.state, OBSERVED_PLACEHOLDER);
	assert_string_equal(f.reason, "TermsNotAgreed");
	assert_true(served().installed && !served().wanted);
	host.acme.agree_tos = true;
	f = look();
	assert_int_equal(f.state, OBSERVED_PLACEHOLDER);
	assert_string_equal(f.reason, "Pending");
	assert_non_null(strstr(f.text, "has not issued it yet"));
	site.tls.issuer = ISSUER_INTERNAL;
	assert_int_equal(look().state, OBSERVED_IN_SYNC);
}

static void own_files_are_served_from_a_copy(void **state)
{
	(void)state;
	make_own_files(names, 2);
	assert_true(served().copy);
	assert_int_equal(converge().state, OBSERVED_IN_SYNC);
	assert_true(served().installed && served().wanted);

	/* the admin renews */
	make_own_files(names, 2);
	assert_int_equal(look().state, OBSERVED_DIFFERS);
	assert_string_equal(look().what, "files");
	assert_true(served().installed); /* the copy of before */
	assert_int_equal(converge().state, OBSERVED_IN_SYNC);
	assert_string_equal(served().dir, "alice/alice.example.org/2");
}

static void an_own_chain_that_leads_to_no_root_is_served_and_not_ready(void **state)
{
	struct finding f;

	(void)state;
	make_own_files(names, 2);
	cut_behind_leaf();
	f = converge();
	assert_int_equal(f.state, OBSERVED_PLACEHOLDER);
	assert_string_equal(f.reason, "ChainIncomplete");
	assert_non_null(strstr(
		f.text, "own.pem lacks the certificate of its issuer \"webspaces internal CA "));
	assert_true(served().installed && served().trusted && !served().wanted);
}

static void bad_own_files_leave_what_was_good(void **state)
{
	(void)state;
	make_own_files(names, 2);
	converge();
	unlink(key_path);
	struct finding f = converge();

	assert_int_equal(f.state, OBSERVED_PLACEHOLDER);
	assert_string_equal(f.reason, "BadCertificate");
	assert_non_null(strstr(f.text, "own.key"));
	assert_true(served().installed && !served().wanted);
	assert_string_equal(served().dir, "alice/alice.example.org/1");
	/* until that ends */
	w.wall = NOW + 91 * DAY;
	assert_string_equal(look().what, "validity");
	assert_int_equal(converge().state, OBSERVED_PLACEHOLDER);
	assert_true(served().installed);
}

static void bad_own_files_from_the_start_are_stood_in_for(void **state)
{
	static const char *const other[] = { "bob.example.org" };

	(void)state;
	make_own_files(other, 1);
	struct finding f = converge();

	assert_int_equal(f.state, OBSERVED_PLACEHOLDER);
	assert_string_equal(f.reason, "BadCertificate");
	assert_non_null(strstr(f.text, "does not cover alice.example.org"));
	assert_true(served().installed && !served().wanted);
	assert_int_equal(access(key_path, F_OK), 0);
}

static void without_tls_nothing_is_wanted(void **state)
{
	struct item item;

	(void)state;
	site.tls.issuer = ISSUER_OFF;
	assert_int_equal(desired(&item), 0);
	assert_false(served().installed);
	site.tls.issuer = ISSUER_INTERNAL;
	webspace.state = STATE_SUSPENDED;
	assert_int_equal(desired(&item), 1);
	webspace.state = STATE_DISABLED;
	assert_int_equal(desired(&item), 0);
}

static void it_is_listed_and_removed_twice(void **state)
{
	struct table list = { 0 };

	(void)state;
	converge();
	assert_int_equal(T->list(&w, state_of_type, &list, NULL), 0);
	assert_non_null(table_get(&list, "alice"));
	table_clear(&list);
	assert_true(T->remove(&w, state_of_type, "alice", NULL) >= 0);
	assert_true(T->remove(&w, state_of_type, "alice", NULL) >= 0);
	assert_int_equal(look().state, OBSERVED_MISSING);
}

static struct served_certificate last;
static size_t n_last;

static void note_served(const struct served_certificate *c, void *data)
{
	(void)data;
	last = *c;
	n_last++;
}

static size_t n_served(void)
{
	n_last = 0;
	T->served(state_of_type, &webspace, note_served, NULL);
	return n_last;
}

static void what_was_seen_is_told_without_a_look_at_the_disk(void **state)
{
	char current[200];

	(void)state;
	assert_int_equal(n_served(), 0);
	converge();
	snprintf(current, sizeof current, "%s/certs/alice/alice.example.org/current", top);
	assert_int_equal(unlink(current), 0);
	assert_int_equal(n_served(), 1);
	assert_string_equal(last.webspace, "alice");
	assert_string_equal(last.site, "alice.example.org");
	assert_true(last.not_after > NOW + 85 * DAY && last.not_after < NOW + 95 * DAY);
	assert_int_equal(last.source, CERTIFICATE_INTERNAL);
	look(); /* and that finds none */
	assert_int_equal(n_served(), 0);
}

static void it_is_told_where_a_certificate_comes_from(void **state)
{
	(void)state;
	site.tls.issuer = ISSUER_ACME;
	converge();
	assert_int_equal(n_served(), 1);
	assert_int_equal(last.source, CERTIFICATE_STAND_IN);
	make_own_files(names, 2);
	converge();
	assert_int_equal(n_served(), 1);
	assert_int_equal(last.source, CERTIFICATE_FILES);
}

static void of_another_desired_state_nothing_is_told_before_a_look(void **state)
{
	(void)state;
	converge();
	webspace.fingerprint++;
	assert_int_equal(n_served(), 0);
	look();
	assert_int_equal(n_served(), 1);
	assert_true(T->remove(&w, state_of_type, "alice", NULL) >= 0);
	assert_int_equal(n_served(), 0);
}

#define with_place(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_place(an_internal_one_is_missing_then_in_sync),
		with_place(it_is_renewed_before_its_end_in_its_place),
		with_place(other_names_are_another_certificate),
		with_place(with_acme_an_internal_one_stands_in_and_the_reason_is_told),
		with_place(own_files_are_served_from_a_copy),
		with_place(an_own_chain_that_leads_to_no_root_is_served_and_not_ready),
		with_place(bad_own_files_leave_what_was_good),
		with_place(bad_own_files_from_the_start_are_stood_in_for),
		with_place(without_tls_nothing_is_wanted),
		with_place(it_is_listed_and_removed_twice),
		with_place(what_was_seen_is_told_without_a_look_at_the_disk),
		with_place(it_is_told_where_a_certificate_comes_from),
		with_place(of_another_desired_state_nothing_is_told_before_a_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
