/* Widths, cuts and ages: what is shown of a text, and how much. */
#include "agent/display.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static const struct {
	const char *text;
	size_t columns;
} widths[] = {
	{ "", 0 },
	{ "alice", 5 },
	{ "müller", 6 },
	{ "日本", 4 },
	{ "e\xcc\x81", 1 },   /* a combining accent */
	{ "a\033[31mb", 10 }, /* a control character is shown as its byte */
	{ "a\xff"
	  "b",
	  6 }, /* as are bytes that are not UTF-8 */
};

static void columns_are_those_of_a_terminal(void **state)
{
	(void)state;
	for (size_t i = 0; i < ELEMENTS(widths); i++)
		assert_int_equal(display_columns(widths[i].text), widths[i].columns);
}

/* What a display of that width writes. */
static const char *shown(size_t width, bool colours, size_t column, const char *text)
{
	static char written[400];
	FILE *to = fmemopen(written, sizeof(written), "w");
	struct display d = { .to = to, .width = width, .colours = colours };

	assert_non_null(to);
	if (column)
		display_wrap(&d, HUE_BAD, column, text);
	else
		display_cut(&d, HUE_BAD, text);
	display_line(&d);
	fclose(to);
	return written;
}

static void a_line_is_cut_at_the_width_and_only_there(void **state)
{
	(void)state;
	assert_string_equal(shown(10, false, 0, "0123456789"), "0123456789\n");
	assert_string_equal(shown(10, false, 0, "0123456789a"), "012345678…\n");
	assert_string_equal(shown(0, false, 0, "0123456789a"), "0123456789a\n");
	/* Between characters, of which some are two columns wide. */
	assert_string_equal(shown(4, false, 0, "日本語"), "日…\n");
}

static void words_are_wrapped_below_their_column(void **state)
{
	(void)state;
	assert_string_equal(shown(24, false, 4, "the source /srv/media does not exist"),
			    "the source /srv/media\n    does not exist\n");
	assert_string_equal(shown(0, false, 4, "the source /srv/media does not exist"),
			    "the source /srv/media does not exist\n");
	assert_string_equal(shown(24, false, 4, "0123456789012345678901234567890"),
			    "012345678901234567890123\n    4567890\n");
}

static void nothing_of_a_text_moves_the_cursor(void **state)
{
	(void)state;
	assert_string_equal(shown(0, false, 0, "a\033[2Jb\rc\xff"), "a\\033[2Jb\\015c\\377\n");
	assert_string_equal(shown(80, true, 0, "a\033b"), "\033[31ma\\033b\033[0m\n");
}

static void no_file_gets_colours(void **state)
{
	struct display d;
	FILE *to = tmpfile();

	(void)state;
	display_open(&d, to);
	assert_false(d.colours);
	assert_int_equal(d.width, 0);
	fclose(to);
}

static const struct {
	time_t seconds;
	const char *age;
} ages[] = {
	{ 0, "0 s" },       { -5, "0 s" },        { 119, "119 s" },
	{ 120, "2 min" },   { 7199, "119 min" },  { 7200, "2 h" },
	{ 172799, "47 h" }, { 172800, "2 days" }, { 86400 * 400, "400 days" },
};

static void ages_are_in_the_unit_that_says_enough(void **state)
{
	char text[24];

	(void)state;
	for (size_t i = 0; i < ELEMENTS(ages); i++)
		assert_string_equal(display_age(1000000000, 1000000000 + ages[i].seconds, text),
				    ages[i].age);
}

static void a_time_is_read_as_it_is_written(void **state)
{
	char text[21];

	(void)state;
	clock_rfc3339(1795602015, text);
	assert_int_equal(clock_of_rfc3339(text), 1795602015);
	assert_int_equal(clock_of_rfc3339("2026-11-25"), 0);
	assert_int_equal(clock_of_rfc3339("2026-11-25T10:00:00Zx"), 0);
	assert_int_equal(clock_of_rfc3339(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_those_of_a_terminal),
		cmocka_unit_test(a_line_is_cut_at_the_width_and_only_there),
		cmocka_unit_test(words_are_wrapped_below_their_column),
		cmocka_unit_test(nothing_of_a_text_moves_the_cursor),
		cmocka_unit_test(no_file_gets_colours),
		cmocka_unit_test(ages_are_in_the_unit_that_says_enough),
		cmocka_unit_test(a_time_is_read_as_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
