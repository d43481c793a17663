/* What a text may do to a terminal: nothing. */
#include "agent/base/shown.h"

#include <string.h>

#include "agent/base/own.h"
#include "agent/base/utf8.h"
#include "tests/unit/cmocka_all.h"

static const struct {
	const char *text, *shown;
} texts[] = {
	{ "alice", "alice" },
	{ "müller 日本 e\xcc\x81 😀", "müller 日本 e\xcc\x81 😀" },
	{ "a\nwebspaces: all is well", "a\\012webspaces: all is well" },
	{ "\t\r\x1b[2J\x7f", "\\011\\015\\033[2J\\177" },
	/* C1: CSI by one byte, which is not UTF-8, and by two, which are */
	{ "\x9b"
	  "2J",
	  "\\2332J" },
	{ "\xc2\x9b"
	  "2J",
	  "\\302\\2332J" },
	{ "\xc2\x80\xc2\x9f\xc2\xa0", "\\302\\200\\302\\237\xc2\xa0" },
	/* not UTF-8: cut, overlong, a surrogate, too large */
	{ "\xc3", "\\303" },
	{ "\xc0\xaf", "\\300\\257" },
	{ "\xed\xa0\x80", "\\355\\240\\200" },
	{ "\xf4\x90\x80\x80", "\\364\\220\\200\\200" },
	/* direction, and what is not seen */
	{ "a\u202egpj.exe", "a\\342\\200\\256gpj.exe" },
	{ "\u2066\u2069", "\\342\\201\\246\\342\\201\\251" },
	{ "\u200b\u200d\u2060\ufeff",
	  "\\342\\200\\213\\342\\200\\215\\342\\201\\240\\357\\273\\277" },
	{ "\u2028\U000e0041", "\\342\\200\\250\\363\\240\\201\\201" },
	{ "a\\b", "a\\b" },
};

static void nothing_of_a_text_is_obeyed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		autobuf struct buf b = { 0 };

		shown_add(&b, texts[i].text);
		assert_string_equal(buf_text(&b), texts[i].shown);
	}
}

static void no_two_names_look_alike(void **state)
{
	autobuf struct buf line = { 0 }, text = { 0 };

	(void)state;
	shown_add_name(&line, "a\n");
	shown_add_name(&text, "a\\012");
	assert_string_equal(buf_text(&line), "a\\012");
	assert_string_equal(buf_text(&text), "a\\\\012");
}

/* The ranges are in order, or a search would end too soon. */
static void every_control_character_is_one(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0xa0; c++)
		assert_int_equal(shown_as_bytes(c), c < 0x20 || c >= 0x7f);
	assert_true(shown_as_bytes(0xe0001) && shown_as_bytes(0x202a) && shown_as_bytes(0xfeff));
	assert_false(shown_as_bytes(0x2027) || shown_as_bytes(0x2070) || shown_as_bytes(0x1f600));
}

static void a_code_point_is_what_its_bytes_say(void **state)
{
	uint32_t code = 0;

	(void)state;
	assert_int_equal(utf8_sequence("A", &code), 1);
	assert_int_equal(code, 'A');
	assert_int_equal(utf8_sequence("é", &code), 2);
	assert_int_equal(code, 0xe9);
	assert_int_equal(utf8_sequence("€", &code), 3);
	assert_int_equal(code, 0x20ac);
	assert_int_equal(utf8_sequence("😀", &code), 4);
	assert_int_equal(code, 0x1f600);
}

static void a_line_ends_where_it_is_written_to(void **state)
{
	char written[100] = "";
	FILE *to = fmemopen(written, sizeof(written), "w");

	(void)state;
	shown_print(to, "%s", "a\n");
	shown_line(to, ": %s", "b\nc");
	fclose(to);
	assert_string_equal(written, "a\\012: b\\012c\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_of_a_text_is_obeyed),
		cmocka_unit_test(no_two_names_look_alike),
		cmocka_unit_test(every_control_character_is_one),
		cmocka_unit_test(a_code_point_is_what_its_bytes_say),
		cmocka_unit_test(a_line_ends_where_it_is_written_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
