/* difference.c: two texts of a file in, a sentence for a diary out. */
#include "agent/model/difference.h"

#include <string.h>

#include "agent/base/own.h"
#include "agent/model/load.h"
#include "agent/model/option.h"
#include "tests/unit/cmocka_all.h"

static struct host *host;

static struct webspace *load(const char *text)
{
	struct problems p = { 0 };
	struct webspace *w = NULL;

	if (load_webspace(host, "alice", "alice.conf", text, strlen(text), &w, &p) < 0)
		fail_msg("does not load: %s", text);
	problems_clear(&p);
	return w;
}

static void says(const char *before, const char *now, const char *sentence)
{
	struct webspace *a = load(before), *b = load(now);
	struct difference d;

	difference_find(a, b, &d);
	assert_string_equal(buf_text(&d.sentence), sentence);
	assert_int_equal(d.count > 0, *sentence != '\0');
	difference_clear(&d);
	webspace_free(a);
	webspace_free(b);
}

static void a_key_is_told_with_what_it_was_and_is(void **state)
{
	(void)state;
	says("", "", "");
	says("", "php = { memory_limit = \"64M\"; };", "php.memory_limit \"32M\" → \"64M\"");
	says("php = { max_children = 7; };", "", "php.max_children 7 → 5");
	says("", "state = \"suspended\";", "state \"enabled\" → \"suspended\"");
	says("", "php = { enabled = false; };", "php.enabled true → false");
	says("", "php = { process_priority = -3; };", "php.process_priority 0 → -3");
	says("", "php = { process_idle_timeout = \"2m\"; };",
	     "php.process_idle_timeout \"10s\" → \"2m\"");
	says("", "account = { uid = 21000; };", "account.uid unset → 21000");
	says("", "binds = [\"/etc/ldap\"];", "binds [] → [\"/etc/ldap:etc/ldap\"]");
}

static void a_site_is_known_by_its_first_name(void **state)
{
	static const char *const two = "sites = ( { names = [\"b.test\"]; type = \"static\"; }, "
				       "{ names = [\"a.test\", \"w.a.test\"]; } );";

	(void)state;
	says("sites = ( { names = [\"a.test\"]; } );", two,
	     "site b.test is new; site a.test: names [\"a.test\"] → [\"a.test\", \"w.a.test\"]");
	says(two, "sites = ( { names = [\"a.test\", \"w.a.test\"]; root = \"wiki\"; } );",
	     "site a.test: root \"\" → \"wiki\"; site b.test is gone");
}

static void values_that_may_be_secrets_are_not_told(void **state)
{
	(void)state;
	says("php = { env = { A = \"old\"; C = \"c\"; }; };",
	     "php = { env = { A = \"hush\"; B = \"b\"; }; };",
	     "php.env.A is another; php.env.B is new; php.env.C is gone");
}

static void long_values_and_many_keys_are_cut_in_the_sentence_alone(void **state)
{
	static const char *const many = "php = { max_children = 9; max_requests = 9; "
					"rlimit_files = 99; session_gc_divisor = 9; "
					"request_terminate_timeout = 9; process_priority = 9; "
					"request_slowlog_timeout = 9; display_errors = true; };";
	struct webspace *a = load(""), *b = load(many);
	struct difference d;

	(void)state;
	difference_find(a, b, &d);
	assert_int_equal(d.count, 8);
	assert_non_null(strstr(buf_text(&d.sentence), "; and 2 more"));
	assert_non_null(strstr(buf_text(&d.is), "php.display_errors = true;"));
	assert_non_null(strstr(buf_text(&d.is), "php.request_slowlog_timeout = \"9s\";"));
	difference_clear(&d);
	webspace_free(a);
	webspace_free(b);
}

/* A new kind of key has to be taught to difference.c, or its changes are not told. */
static void every_kind_of_key_is_told(void **state)
{
	static const struct option_kind *const told[] = {
		&kind_flag, &kind_number, &kind_size,  &kind_duration, &kind_word,
		&kind_text, &kind_list,   &kind_binds, &kind_pairs,    &kind_sites,
	};

	(void)state;
	for (size_t i = 0; i < n_options; i++) {
		size_t k = 0;

		while (k < ELEMENTS(told) && told[k] != options[i].kind)
			k++;
		if (options[i].scope != SCOPE_HOST && k == ELEMENTS(told))
			fail_msg("%s is of a kind that is not told", options[i].path);
	}
}

static int begin(void **state)
{
	struct problems p = { 0 };

	(void)state;
	return load_host(NULL, true, &host, &p);
}

static int end(void **state)
{
	(void)state;
	host_free(host);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_told_with_what_it_was_and_is),
		cmocka_unit_test(a_site_is_known_by_its_first_name),
		cmocka_unit_test(values_that_may_be_secrets_are_not_told),
		cmocka_unit_test(long_values_and_many_keys_are_cut_in_the_sentence_alone),
		cmocka_unit_test(every_kind_of_key_is_told),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
