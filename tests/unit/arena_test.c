#include "agent/base/arena.h"

#include <stdint.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

static void allocations_are_zeroed_aligned_and_apart(void **state)
{
	struct arena a = { 0 };
	char *before = NULL;

	(void)state;
	for (size_t size = 1; size < 5000; size += 7) {
		char *p = arena_new(&a, size);

		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 'x', size);
		assert_ptr_not_equal(p, before);
		before = p;
	}
	arena_clear(&a);
}

static void texts_are_copied_and_printed(void **state)
{
	autoarena struct arena a = { 0 };

	(void)state;
	assert_string_equal(arena_dup(&a, "alice"), "alice");
	assert_string_equal(arena_dupn(&a, "alice", 2), "al");
	assert_string_equal(arena_printf(&a, "%s/%d", "alice", 7), "alice/7");
	assert_null(arena_dup(&a, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations_are_zeroed_aligned_and_apart),
		cmocka_unit_test(texts_are_copied_and_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
