/* How long a CA in trouble is left alone. */
#include "acme/ca.h"

#include "acme/client.h"
#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static unsigned n_told;

static void told(enum acme_news news, const char *webspace, const char *text, void *data)
{
	(void)webspace;
	(void)data;
	assert_int_equal(news, ACME_PROBLEM);
	assert_string_equal(text, "https://ca.test: it sleeps");
	n_told++;
}

static void nothing(void *data)
{
	(void)data;
}

struct fixture {
	struct acme a;
	struct ca ca;
	struct loop *loop;
};

static void open_fixture(struct fixture *f)
{
	static char origin[] = "https://ca.test";

	*f = (struct fixture){ 0 };
	assert_int_equal(loop_open(&f->loop, NULL), 0);
	f->a.config.told = told;
	f->a.turn = loop_idle(f->loop, nothing, NULL);
	f->ca = (struct ca){ .a = &f->a, .origin = origin };
	f->ca.idle = loop_idle(f->loop, nothing, NULL);
	n_told = 0;
}

static void close_fixture(struct fixture *f)
{
	ca_mend(&f->ca);
	loop_drop(f->ca.idle);
	loop_drop(f->a.turn);
	loop_close(f->loop);
}

static void opens_for(struct fixture *f, unsigned seconds)
{
	uint64_t left;

	assert_true(ca_break(&f->ca, "it sleeps"));
	left = f->ca.closed_until_usec - clock_usec();
	assert_in_range(left, (seconds - 1) * USEC_PER_SEC, seconds * USEC_PER_SEC);
	f->ca.closed_until_usec = 0; /* the time is over */
}

static void the_breaker_opens_for_a_minute_and_for_half_an_hour_at_last(void **state)
{
	static const unsigned seconds[] = { 60, 120, 240, 480, 960, 1800, 1800, 1800 };
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (size_t i = 0; i < ELEMENTS(seconds); i++)
		opens_for(&f, seconds[i]);
	ca_mend(&f.ca);
	opens_for(&f, 60);
	assert_int_equal(n_told, ELEMENTS(seconds) + 1);
	close_fixture(&f);
}

static void what_fails_together_opens_the_breaker_once(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	assert_true(ca_break(&f.ca, "it sleeps"));
	for (int i = 0; i < 15; i++)
		assert_false(ca_break(&f.ca, "it sleeps"));
	assert_int_equal(n_told, 1);
	f.ca.closed_until_usec = 0;
	opens_for(&f, 120);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_breaker_opens_for_a_minute_and_for_half_an_hour_at_last),
		cmocka_unit_test(what_fails_together_opens_the_breaker_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
