/* Which certificates sites ask for: each case a line of what is wanted, in one order. */
#include "reconcile/site_want.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#define CA    "https://ca.test/dir"
#define OTHER "https://other.test/dir"

static struct arena arena;
static struct host host;
static struct site sites[3];
static struct webspace alice;
static char text[1000];

static const char *const a_names[] = { "a.org", "www.a.org" };
static const char *const b_names[] = { "b.org" };
static const char *const star_names[] = { "*.a.org", "a.org" };
static const char *const base_names[] = { "alice.base.org", "shop.base.org" };
static const char *const mixed_names[] = { "alice.base.org", "www.alice.base.org" };
static const char *const both_names[] = { "b.org", "a.org" };

static struct site site_of(const char *const *names, size_t n)
{
	return (struct site){
		.names = { names, n },
		.tls = { .issuer = ISSUER_ACME,
			 .certificate = "",
			 .directory = "",
			 .profile = "",
			 .preferred_chain = "",
			 .rsa_bits = 2048 },
	};
}

static int set_up(void **state)
{
	static struct site preset;

	(void)state;
	preset = site_of(NULL, 0);
	sites[0] = site_of(a_names, 2);
	sites[1] = site_of(b_names, 1);
	sites[2] = site_of(both_names, 2);
	host = (struct host){ .base_domain = "base.org",
			      .acme.directory = CA,
			      .default_site = &preset };
	alice = (struct webspace){ .name = "alice", .sites = sites, .n_sites = 1 };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_clear(&arena);
	return 0;
}

static void add_want(const struct acme_want *w)
{
	size_t len = strlen(text);

	len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=", len ? " " : "", w->site);
	for (size_t i = 0; i < w->n_names; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? "," : "",
					w->names[i]);
	snprintf(text + len, sizeof text - len, "%s%s%s",
		 w->key == KEY_P256      ? ""
		 : w->key == KEY_RSA2048 ? "/rsa2048"
		 : w->key == KEY_RSA3072 ? "/rsa3072"
					 : "/rsa4096",
		 strcmp(w->directory, CA) == 0 ? "" : "@other", w->dns_01 ? "!dns" : "");
}

static const char *wanted(void)
{
	struct acme_want *wants;
	size_t n = site_wants(&host, &alice, &arena, &wants);

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		add_want(&wants[i]);
	return text;
}

static void a_site_wants_one_for_its_names_under_the_first_of_them(void **state)
{
	(void)state;
	assert_string_equal(wanted(), "a.org=a.org,www.a.org");
	sites[0].names.items = star_names;
	assert_string_equal(wanted(), "_.a.org=*.a.org,a.org");
	alice.n_sites = 2;
	assert_string_equal(wanted(), "_.a.org=*.a.org,a.org b.org=b.org");
}

static void a_name_below_a_wanted_wildcard_is_not_ordered_beside_it(void **state)
{
	static const char *const names[] = { "www.a.org", "*.a.org", "a.org", "x.y.a.org" };

	(void)state;
	sites[0].names = (struct text_list){ names, 4 };
	assert_string_equal(wanted(), "www.a.org=*.a.org,a.org,x.y.a.org");
	sites[0].tls.scope = TLS_SCOPE_WEBSPACE;
	assert_string_equal(wanted(), "_all=*.a.org,a.org,x.y.a.org");
}

/* Which names go where hangs on their hashes; that they stay there does not. */
static void sites_of_more_names_than_one_takes_share_several(void **state)
{
	static const char *names[3][60];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; k < 60; k++)
			names[i][k] = arena_printf(&arena, "n%zu.s%zu.org", k, i);
		sites[i] = site_of(names[i], 60);
		sites[i].tls.scope = TLS_SCOPE_WEBSPACE;
	}
	alice.n_sites = 3;

	struct acme_want *wants;
	size_t n = site_wants(&host, &alice, &arena, &wants), all = 0;

	assert_in_range(n, 2, 3);
	for (size_t i = 0; i < n; i++) {
		all += wants[i].n_names;
		assert_in_range(wants[i].n_names, 1, 100);
		assert_int_equal(strncmp(wants[i].site, "_all", 4), 0);
	}
	assert_int_equal(all, 180);
}

static void who_has_another_issuer_or_no_name_wants_none_of_a_ca(void **state)
{
	(void)state;
	sites[0].tls.issuer = ISSUER_INTERNAL;
	assert_string_equal(wanted(), "");
	sites[0].tls.issuer = ISSUER_OFF;
	assert_string_equal(wanted(), "");
	sites[0] = site_of(a_names, 2);
	sites[0].tls.certificate = "/etc/ssl/own.pem";
	assert_string_equal(wanted(), "");
	sites[0] = site_of(a_names, 0);
	assert_string_equal(wanted(), "");
}

static void the_kind_of_key_is_the_wanted_one_and_both_are_two_certificates(void **state)
{
	static const struct {
		enum tls_key_type type;
		unsigned bits;
		const char *wanted;
	} cases[] = {
		{ TLS_KEY_ECDSA, 4096, "b.org=b.org" },
		{ TLS_KEY_RSA, 2048, "b.org=b.org/rsa2048" },
		{ TLS_KEY_RSA, 3072, "b.org=b.org/rsa3072" },
		{ TLS_KEY_RSA, 4096, "b.org=b.org/rsa4096" },
		{ TLS_KEY_BOTH, 2048, "b.org=b.org b.org+rsa=b.org/rsa2048" },
		{ TLS_KEY_BOTH, 4096, "b.org=b.org b.org+rsa=b.org/rsa4096" },
	};

	(void)state;
	alice.sites = &sites[1];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sites[1].tls.key_type = cases[i].type;
		sites[1].tls.rsa_bits = cases[i].bits;
		assert_string_equal(wanted(), cases[i].wanted);
	}
}

static void a_site_s_own_directory_and_challenge_count(void **state)
{
	(void)state;
	sites[0].tls.directory = OTHER;
	assert_string_equal(wanted(), "a.org=a.org,www.a.org@other");
	sites[0].tls.challenge = TLS_CHALLENGE_DNS_01;
	assert_string_equal(wanted(), "a.org=a.org,www.a.org@other!dns");
}

static void sites_of_the_same_scope_share_one_with_each_name_once(void **state)
{
	(void)state;
	alice.n_sites = 3;
	sites[0].tls.scope = sites[2].tls.scope = TLS_SCOPE_WEBSPACE;
	assert_string_equal(wanted(), "_all=a.org,www.a.org,b.org b.org=b.org");
	sites[2].tls.issuer = ISSUER_OFF;
	assert_string_equal(wanted(), "_all=a.org,www.a.org b.org=b.org");
	sites[0].tls.key_type = TLS_KEY_BOTH;
	assert_string_equal(wanted(),
			    "_all=a.org,www.a.org _all+rsa=a.org,www.a.org/rsa2048 b.org=b.org");
}

static void
the_host_s_own_is_for_sites_all_of_whose_names_are_right_below_the_base_domain(void **state)
{
	struct acme_want own;
	struct site_want w;

	(void)state;
	assert_false(host_want(&host, &arena, &own));
	host.acme.wildcard = true;
	text[0] = '\0';
	assert_true(host_want(&host, &arena, &own));
	add_want(&own);
	assert_string_equal(text, "_.base.org=*.base.org!dns");

	sites[0] = site_of(base_names, 2);
	assert_string_equal(wanted(), "");
	assert_true(site_want(&host, &alice, &sites[0], &arena, &w));
	assert_string_equal(w.webspace, ACME_HOST);
	assert_string_equal(w.first.site, "_.base.org");

	sites[0] = site_of(mixed_names, 2);
	assert_string_equal(wanted(), "alice.base.org=alice.base.org,www.alice.base.org");
	host.acme.wildcard = false;
	sites[0] = site_of(base_names, 2);
	assert_string_equal(wanted(), "alice.base.org=alice.base.org,shop.base.org");
}

static void a_site_that_the_host_s_own_serves_adds_no_name_to_what_is_shared(void **state)
{
	(void)state;
	host.acme.wildcard = true;
	alice.n_sites = 2;
	sites[0] = site_of(base_names, 2);
	sites[0].tls.scope = sites[1].tls.scope = TLS_SCOPE_WEBSPACE;
	assert_string_equal(wanted(), "_all=b.org");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_site_wants_one_for_its_names_under_the_first_of_them),
		CASE(a_name_below_a_wanted_wildcard_is_not_ordered_beside_it),
		CASE(sites_of_more_names_than_one_takes_share_several),
		CASE(who_has_another_issuer_or_no_name_wants_none_of_a_ca),
		CASE(the_kind_of_key_is_the_wanted_one_and_both_are_two_certificates),
		CASE(a_site_s_own_directory_and_challenge_count),
		CASE(sites_of_the_same_scope_share_one_with_each_name_once),
		CASE(the_host_s_own_is_for_sites_all_of_whose_names_are_right_below_the_base_domain),
		CASE(a_site_that_the_host_s_own_serves_adds_no_name_to_what_is_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
