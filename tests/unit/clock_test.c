#include "agent/base/clock.h"

#include "tests/unit/cmocka_all.h"

static void wall_time_is_written_as_rfc_3339(void **state)
{
	char text[21];

	(void)state;
	clock_rfc3339(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	clock_rfc3339(1795256100, text);
	assert_string_equal(text, "2026-11-21T10:15:00Z");
}

static void monotonic_time_does_not_go_back(void **state)
{
	uint64_t before = clock_usec();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_usec();

		assert_true(now >= before);
		before = now;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wall_time_is_written_as_rfc_3339),
		cmocka_unit_test(monotonic_time_does_not_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
