/* Templates: what becomes of a line and its values. */
#include "renderers/template.h"

#include <errno.h>

#include "agent/base/own.h"
#include "renderers/embedded.h"
#include "tests/unit/cmocka_all.h"

/* In place of those that are built in. */
const struct embedded embedded_templates[] = {
	{ "plain", "one\n\ntwo\n" },
	{ "word", "a @X@ b\nc\n" },
	{ "twice", "@X@-@X@\n" },
	{ "both", "@# for readers\n@X@ @Y@\nend\n" },
	{ "almost", "mail@example @X@ @ @@ @x@\n" },
	{ "block", "{\n@X@\n}\n" },
	{ NULL, NULL },
};

struct render_case {
	const char *template, *x, *expect;
};

static void a_template_is_its_text_with_the_values_put_in(void **state)
{
	static const struct render_case cases[] = {
		{ "word", "1", "a 1 b\nc\n" },
		{ "word", NULL, "c\n" },
		{ "twice", "1", "1-1\n" },
		{ "almost", "1", "mail@example 1 @ @@ @x@\n" },
		{ "block", "  a;\n  b;\n", "{\n  a;\n  b;\n}\n" },
		{ "block", "  a;", "{\n  a;\n}\n" },
		{ "block", "", "{\n\n}\n" },
		{ "block", NULL, "{\n}\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ELEMENTS(cases); i++) {
		struct value values[] = { { "X", quote_none, cases[i].x } };
		autobuf struct buf b = { 0 };

		assert_int_equal(template_render(cases[i].template, values, 1, &b, NULL), 0);
		assert_string_equal(buf_text(&b), cases[i].expect);
	}
}

static void a_template_without_values_is_copied(void **state)
{
	autobuf struct buf b = { 0 };

	(void)state;
	assert_int_equal(template_render("plain", NULL, 0, &b, NULL), 0);
	assert_string_equal(buf_text(&b), "one\n\ntwo\n");
}

static void lines_for_readers_and_lines_without_a_value_are_left_out(void **state)
{
	struct value values[] = { { "X", quote_none, "x" }, { "Y", quote_word, NULL } };
	autobuf struct buf b = { 0 };

	(void)state;
	assert_int_equal(template_render("both", values, 2, &b, NULL), 0);
	assert_string_equal(buf_text(&b), "end\n");
}

static void a_refused_value_leaves_nothing_behind_and_is_named(void **state)
{
	struct value values[] = { { "X", quote_word, "x" }, { "Y", quote_word, "a b" } };
	autobuf struct buf b = { 0 };
	struct err e = { 0 };

	(void)state;
	buf_adds(&b, "before");
	assert_int_equal(template_render("both", values, 2, &b, &e), -EINVAL);
	assert_string_equal(buf_text(&b), "before");
	assert_string_equal(e.text, "both: Y cannot be said there");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_template_is_its_text_with_the_values_put_in),
		cmocka_unit_test(a_template_without_values_is_copied),
		cmocka_unit_test(lines_for_readers_and_lines_without_a_value_are_left_out),
		cmocka_unit_test(a_refused_value_leaves_nothing_behind_and_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
