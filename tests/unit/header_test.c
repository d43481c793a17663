#include "acme/worker/header.h"

#include <string.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

#define NOW INT64_C(1795591954) /* Wed, 25 Nov 2026 07:32:34 GMT */

static void a_date_is_that_of_http_or_none(void **state)
{
	static const struct {
		const char *text;
		int64_t time;
	} cases[] = {
		{ "Wed, 25 Nov 2026 07:32:34 GMT", NOW },
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
		{ "Wed, 25 Nov 2026 07:32:34 +0000", 0 },
		{ "Wed, 25 Nov 2026 07:32:34 GMT ", 0 },
		{ "25 Nov 2026", 0 },
		{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
		{ "Wed, 25 Nov 99999 07:32:34 GMT", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++)
		if (header_date(cases[i].text) != cases[i].time)
			fail_msg("%s", cases[i].text);
}

static void a_time_of_json_is_that_of_rfc_3339_or_none(void **state)
{
	static const struct {
		const char *text;
		int64_t time;
	} cases[] = {
		{ "2026-11-25T07:32:34Z", NOW },
		{ "2026-11-25T07:32:34z", NOW },
		{ "2026-11-25T07:32:34.999999999Z", NOW },
		{ "2026-11-25T08:32:34+01:00", NOW },
		{ "2026-11-25T02:02:34-05:30", NOW },
		{ "2026-11-25T07:32:34", 0 },
		{ "2026-11-25T07:32:34.Z", 0 },
		{ "2026-11-25T07:32:34+1:00", 0 },
		{ "2026-11-25T07:32:34+01:00x", 0 },
		{ "2026-11-25T07:32:34+-1:00", 0 },
		{ "2026-11-25 07:32:34Z", 0 },
		{ "2026-11-25T07:32:34ZZ", 0 },
		{ "1969-12-31T23:59:59Z", 0 },
		{ "0000-00-00T00:00:00Z", 0 },
		{ "soon", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++)
		if (header_rfc3339(cases[i].text) != cases[i].time)
			fail_msg("%s: %lld", cases[i].text,
				 (long long)header_rfc3339(cases[i].text));
}

static void a_wait_is_in_seconds_or_until_a_date_and_at_most_30_days(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = {
		{ "0", 0 },
		{ "120", 120 },
		{ "2592000", 2592000 },
		{ "2592001", 2592000 },
		{ "99999999999999999999999999", 2592000 },
		{ "-5", 0 },
		{ "Wed, 25 Nov 2026 07:33:34 GMT", 60 },
		{ "Wed, 25 Nov 2026 07:00:00 GMT", 0 },
		{ "Fri, 25 Nov 2033 07:00:00 GMT", 2592000 },
		{ "", -1 },
		{ "soon", -1 },
		{ "1.5", -1 },
		{ "-", -1 },
		{ "12 s", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++)
		if (header_retry_after(cases[i].text, NOW) != cases[i].seconds)
			fail_msg("%s", cases[i].text);
}

static void a_token_is_base64url(void **state)
{
	(void)state;
	assert_true(header_is_base64url("aZ09-_", 6));
	assert_false(header_is_base64url("aZ09-_", 5));
	assert_false(header_is_base64url("", 5));
	assert_false(header_is_base64url("a=", 5));
	assert_false(header_is_base64url("../x", 5));
	assert_false(header_is_base64url("a\nb", 5));
}

static void links_are(const char *value, const char *expected)
{
	char target[16], all[256] = "";

	while (header_link(&value, "alternate", target, sizeof(target))) {
		strncat(all, target, sizeof(all) - strlen(all) - 1);
		strncat(all, " ", sizeof(all) - strlen(all) - 1);
	}
	assert_string_equal(all, expected);
}

static void of_links_the_alternates_are_found(void **state)
{
	(void)state;
	links_are("</a>;rel=\"alternate\"", "/a ");
	links_are("</a>; rel=alternate", "/a ");
	links_are("</a>;REL=Alternate", "/a ");
	links_are("</a>;rel=\"up alternate\"", "/a ");
	links_are("</a>;rel=alternate, </b>;rel=alternate,</c>;rel=up", "/a /b ");
	links_are("</a>;title=\"a, b\";rel=alternate, </b>;title=\"\\\"\";rel=alternate", "/a /b ");
	links_are("</a>; title = x; rel=alternate", "/a ");
	links_are("</a>;rel=index;rev=alternate", "");
	links_are("</a>;rel=alternates", "");
	links_are("</a>;rel=\"x-alternate\"", "");
	links_are("</a>;title=\"rel=alternate\"", "");
	links_are("</longer-than-it-may-be>;rel=alternate, </b>;rel=alternate", "/b ");
	links_are("</a;rel=alternate", "");
	links_are("/a;rel=alternate", "");
	links_are("</a>;rel=\"alternate", "/a ");
	links_are("</a>;rel=", "");
	links_are("</a>;\";,", "");
	links_are("<>;rel=alternate", " ");
	links_are("", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_date_is_that_of_http_or_none),
		cmocka_unit_test(a_time_of_json_is_that_of_rfc_3339_or_none),
		cmocka_unit_test(a_wait_is_in_seconds_or_until_a_date_and_at_most_30_days),
		cmocka_unit_test(a_token_is_base64url),
		cmocka_unit_test(of_links_the_alternates_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
