#include "agent/base/buf.h"

#include "tests/unit/cmocka_all.h"

static void text_grows_and_stays_terminated(void **state)
{
	autobuf struct buf b = { 0 };

	(void)state;
	assert_string_equal(buf_text(&b), "");
	buf_adds(&b, "server_name ");
	buf_printf(&b, "%s%d", "alice", 1);
	buf_addc(&b, ';');
	assert_string_equal(buf_text(&b), "server_name alice1;");
	for (int i = 0; i < 100000; i++)
		buf_add(&b, "0123456789", 10);
	assert_int_equal(b.len, 19 + 1000000);
	assert_int_equal(b.data[b.len], '\0');
	buf_cut(&b, 18);
	assert_string_equal(buf_text(&b), "server_name alice1");
	buf_cut(&b, 19);
	assert_int_equal(b.len, 18);
	buf_reset(&b);
	buf_cut(&b, 0);
	assert_string_equal(buf_text(&b), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_grows_and_stays_terminated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
