#include "agent/base/err.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

static void error_reads_from_the_outside_in(void **state)
{
	struct err e = { 0 };

	(void)state;
	errno = EACCES;
	assert_int_equal(err_sys(&e, "open_tree %s", "/srv/media"), -EACCES);
	assert_int_equal(err_in(&e, "mount %s", "media"), -EACCES);
	assert_int_equal(err_in(&e, "alice"), -EACCES);
	assert_string_equal(e.text, "alice: mount media: open_tree /srv/media: Permission denied");
}

static void null_takes_the_code_alone(void **state)
{
	(void)state;
	errno = ENOENT;
	assert_int_equal(err_sys(NULL, "x"), -ENOENT);
	assert_int_equal(err_set(NULL, EINVAL, "x"), -EINVAL);
	assert_int_equal(err_in(NULL, "x"), -EIO);
}

static void long_text_is_cut_at_its_end(void **state)
{
	struct err e = { 0 };
	char text[2000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&e, EINVAL, "%s", text);
	err_in(&e, "context");
	assert_memory_equal(e.text, "context: xxx", 12);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_reads_from_the_outside_in),
		cmocka_unit_test(null_takes_the_code_alone),
		cmocka_unit_test(long_text_is_cut_at_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
