/* What a CA's answer means: whom it concerns, and for how long. */
#include "acme/client/failure.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

#define HOUR ((time_t)3600)
#define DAY  (24 * HOUR)
#define NOW  ((time_t)1795600000) /* 2026-11-25 09:46:40 UTC */

static struct reply reply_of(unsigned http, const char *type, const char *detail)
{
	return (struct reply){ .text = "",
			       .nonce = "",
			       .location = "",
			       .http = http,
			       .retry_after = -1,
			       .problem = { type, detail, "" } };
}

static struct failure of(const struct reply *r)
{
	struct failure f;

	failure_of(r, NOW, &f);
	return f;
}

static void each_type_of_problem_has_its_class(void **state)
{
	static const struct {
		unsigned http;
		const char *type, *detail;
		enum failure_class class;
	} rows[] = {
		{ 200, "", "", FAILURE_NONE },
		{ 400, "badNonce", "x", FAILURE_NONCE },
		{ 429, "rateLimited", "x", FAILURE_LIMITED },
		{ 400, "dns", "x", FAILURE_NAMES },
		{ 400, "connection", "x", FAILURE_NAMES },
		{ 400, "tls", "x", FAILURE_NAMES },
		{ 403, "unauthorized", "the key authorization does not match", FAILURE_NAMES },
		{ 403, "unauthorized", "Account is not valid, has status \"deactivated\"",
		  FAILURE_ACCOUNT },
		{ 403, "caa", "x", FAILURE_NAMES },
		{ 400, "incorrectResponse", "x", FAILURE_NAMES },
		{ 400, "rejectedIdentifier", "x", FAILURE_IDENTIFIER },
		{ 400, "malformed", "x", FAILURE_IDENTIFIER },
		{ 400, "badCSR", "x", FAILURE_CERTIFICATE },
		{ 400, "invalidProfile", "x", FAILURE_CERTIFICATE },
		{ 409, "alreadyReplaced", "x", FAILURE_REPLACED },
		{ 403, "orderNotReady", "x", FAILURE_NOT_READY },
		{ 400, "accountDoesNotExist", "x", FAILURE_ACCOUNT },
		{ 403, "externalAccountRequired", "x", FAILURE_ACCOUNT },
		{ 403, "userActionRequired", "x", FAILURE_ACCOUNT },
		{ 500, "serverInternal", "x", FAILURE_TRANSPORT },
		{ 500, "malformed", "x", FAILURE_TRANSPORT },
		{ 400, "ofNoCaThatWeKnow", "x", FAILURE_CERTIFICATE },
		{ 502, "", "", FAILURE_TRANSPORT },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct reply r = reply_of(rows[i].http, rows[i].type, rows[i].detail);

		if (of(&r).class != rows[i].class)
			fail_msg("%u %s: %d", rows[i].http, rows[i].type, of(&r).class);
	}
}

static void a_limits_text_says_whom_it_is_about(void **state)
{
	static const struct {
		const char *detail;
		enum failure_class class;
		enum failure_scope scope;
		const char *name;
	} rows[] = {
		{ "too many new orders (300) from this account in the last 3h0m0s, retry after "
		  "2026-11-25 10:00:00 UTC: see https://letsencrypt.org/docs/rate-limits/",
		  FAILURE_LIMITED, SCOPE_ACCOUNT, "" },
		{ "too many certificates (50) already issued for \"example.com\" in the last "
		  "168h0m0s, "
		  "retry after 2026-11-25 10:00:00 UTC",
		  FAILURE_LIMITED, SCOPE_DOMAIN, "example.com" },
		{ "too many certificates (5) already issued for this exact set of identifiers in "
		  "the "
		  "last 168h0m0s",
		  FAILURE_LIMITED, SCOPE_SET, "" },
		{ "too many certificates (5) already issued for this exact set of domains in the "
		  "last "
		  "168 hours: a.org,b.org",
		  FAILURE_LIMITED, SCOPE_SET, "" },
		{ "too many failed authorizations (5) for \"www.example.com\" in the last 1h0m0s",
		  FAILURE_LIMITED, SCOPE_NAME, "" },
		{ "Your account is temporarily prevented from requesting certificates for a.org, "
		  "b.org and possibly others. Please visit: https://ca.test/unpause?jwt=x",
		  FAILURE_PAUSED, SCOPE_NAME, "" },
		{ "too many certificates already issued for nobody in quotes", FAILURE_LIMITED,
		  SCOPE_CERTIFICATE, "" },
		{ "too many certificates (50) already issued for \"unclosed", FAILURE_LIMITED,
		  SCOPE_CERTIFICATE, "" },
		{ "too many moons", FAILURE_LIMITED, SCOPE_CERTIFICATE, "" },
		{ "", FAILURE_LIMITED, SCOPE_CERTIFICATE, "" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct reply r = reply_of(429, "rateLimited", rows[i].detail);
		struct failure f = of(&r);

		if (f.class != rows[i].class || f.scope != rows[i].scope ||
		    strcmp(f.name, rows[i].name) != 0)
			fail_msg("%s: %d %d %s", rows[i].detail, f.class, f.scope, f.name);
	}
}

static void a_name_that_is_too_long_in_a_text_is_none(void **state)
{
	char detail[600], name[300];
	struct reply r;

	(void)state;
	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	snprintf(detail, sizeof detail, "already issued for \"%s\"", name);
	r = reply_of(429, "rateLimited", detail);
	assert_int_equal(of(&r).scope, SCOPE_CERTIFICATE);
}

static void how_long_is_read_from_the_header_else_from_the_text(void **state)
{
	static const struct {
		int64_t retry_after;
		const char *detail;
		time_t wait;
	} rows[] = {
		{ 77, "x, retry after 2026-11-25 10:00:00 UTC", 77 },
		{ -1, "x, retry after 2026-11-25 10:00:00 UTC: see y", 800 },
		{ -1, "x, retry after 2026-11-25T10:00:00Z: see y", 800 },
		{ -1, "Retry after 2026-11-25 09:00:00 UTC", 1 },
		{ -1, "retry after the flood", 0 },
		{ -1, "retry after 2026-11-25", 0 },
		{ -1, "retry after 2026-11-25 25:99:00", 0 },
		{ -1, "x", 0 },
		{ 0, "x", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct reply r = reply_of(429, "rateLimited", rows[i].detail);

		r.retry_after = rows[i].retry_after;
		if (of(&r).wait != rows[i].wait)
			fail_msg("%s: %ld", rows[i].detail, (long)of(&r).wait);
	}
}

static void an_overload_is_one_by_its_status_and_a_time(void **state)
{
	static const struct {
		unsigned http;
		const char *type;
		int64_t retry_after;
		enum failure_class class;
	} rows[] = {
		{ 503, "", 5, FAILURE_BUSY },       { 503, "rateLimited", 5, FAILURE_BUSY },
		{ 503, "", -1, FAILURE_TRANSPORT }, { 429, "", 5, FAILURE_BUSY },
		{ 429, "", -1, FAILURE_TRANSPORT }, { 429, "rateLimited", 5, FAILURE_LIMITED },
		{ 500, "", 5, FAILURE_TRANSPORT },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct reply r = reply_of(rows[i].http, rows[i].type, "");

		r.retry_after = rows[i].retry_after;
		if (of(&r).class != rows[i].class)
			fail_msg("%u %s: %d", rows[i].http, rows[i].type, of(&r).class);
	}
}

static void the_whole_sentence_with_its_address_is_kept(void **state)
{
	char detail[1000];
	struct reply r;
	struct failure f;

	(void)state;
	memset(detail, 'j', sizeof detail - 1);
	detail[sizeof detail - 1] = '\0';
	memcpy(detail, "paused, visit https://ca.test/", 30);
	r = reply_of(429, "rateLimited", detail);
	f = of(&r);
	assert_non_null(strstr(f.text, detail));
}

/* Waits for all hashes: within [least, most]. */
static void assert_waits(const struct failure *f, unsigned n, time_t left, time_t least,
			 time_t most)
{
	for (uint64_t hash = 0; hash < 20000; hash += 7) {
		time_t wait = failure_wait(f, n, left, hash);

		if (wait < least || wait > most)
			fail_msg("class %d, failure %u: %ld", f->class, n, (long)wait);
	}
}

static void names_are_tried_after_1_10_100_minutes_and_then_daily(void **state)
{
	struct failure f = { .class = FAILURE_NAMES };
	static const time_t plan[] = { 60, 600, 6000, DAY, DAY, DAY };

	(void)state;
	for (unsigned n = 1; n <= ELEMENTS(plan); n++)
		assert_waits(&f, n, 30 * DAY, plan[n - 1] * 8 / 10, plan[n - 1] * 12 / 10);
	assert_waits(&f, 1000000, 0, DAY * 8 / 10, DAY * 12 / 10);
	assert_waits(&f, 5, 6 * DAY, 6 * HOUR * 8 / 10, 6 * HOUR * 12 / 10); /* it soon ends */
	assert_waits(&f, 0, 30 * DAY, DAY * 8 / 10, DAY * 12 / 10);
}

static void a_limit_is_never_tried_earlier_than_asked_nor_much_later(void **state)
{
	struct failure f = { .class = FAILURE_LIMITED };

	(void)state;
	for (f.wait = 1; f.wait < 7 * DAY; f.wait = f.wait * 3 + 1)
		assert_waits(&f, 1, 0, f.wait, f.wait + f.wait / 20 + 2);
	f.wait = 30 * DAY;
	assert_waits(&f, 1, 0, 7 * DAY, 7 * DAY + 7 * DAY / 20 + 2);
	f.wait = 0;
	assert_waits(&f, 1, 0, HOUR, HOUR + HOUR / 20 + 2);
}

static void what_is_paused_or_refused_is_asked_about_once_a_day(void **state)
{
	static const enum failure_class classes[] = { FAILURE_PAUSED, FAILURE_CERTIFICATE,
						      FAILURE_ACCOUNT };

	(void)state;
	for (size_t i = 0; i < ELEMENTS(classes); i++) {
		struct failure f = { .class = classes[i] };

		assert_waits(&f, 1, 0, DAY * 8 / 10, DAY * 12 / 10);
		assert_waits(&f, 50, 0, DAY * 8 / 10, DAY * 12 / 10);
	}
}

static void the_host_is_looked_at_again_within_minutes(void **state)
{
	struct failure f = { .class = FAILURE_HOST };

	(void)state;
	for (unsigned n = 0; n < 40; n++)
		assert_waits(&f, n, 0, 1, 256);
	assert_int_equal(failure_wait(&f, 3, 0, 1), 4);
}

static void each_class_has_a_word(void **state)
{
	(void)state;
	for (int class = FAILURE_NONE; class <= FAILURE_HOST; class ++) {
		const char *word = failure_reason((enum failure_class) class);

		assert_true(word && *word >= 'A' && *word <= 'Z' && !strchr(word, ' '));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_of_problem_has_its_class),
		cmocka_unit_test(a_limits_text_says_whom_it_is_about),
		cmocka_unit_test(a_name_that_is_too_long_in_a_text_is_none),
		cmocka_unit_test(how_long_is_read_from_the_header_else_from_the_text),
		cmocka_unit_test(an_overload_is_one_by_its_status_and_a_time),
		cmocka_unit_test(the_whole_sentence_with_its_address_is_kept),
		cmocka_unit_test(names_are_tried_after_1_10_100_minutes_and_then_daily),
		cmocka_unit_test(a_limit_is_never_tried_earlier_than_asked_nor_much_later),
		cmocka_unit_test(what_is_paused_or_refused_is_asked_about_once_a_day),
		cmocka_unit_test(the_host_is_looked_at_again_within_minutes),
		cmocka_unit_test(each_class_has_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
