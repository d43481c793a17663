/* The form of a file: what is wrong is said with its line, its key and what to write instead. */
#include "agent/model/syntax.h"

#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

/* "line: key: what is wrong", or "" */
static const char *fault_of(const char *text)
{
	static char said[700];
	struct problems p = { 0 };
	char copy[1000];
	bool right;

	(void)snprintf(copy, sizeof copy, "%s\n", text);
	right = syntax_check("f", copy, strlen(copy), &p);
	assert_int_equal(right, p.count == 0);
	*said = '\0';
	if (!right)
		(void)snprintf(said, sizeof said, "%u: %s: %s", p.items[0].line, p.items[0].key,
			       p.items[0].text);
	problems_clear(&p);
	return said;
}

static void what_is_wrong_is_said_with_what_to_write(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "state = enabled;",
		  "1: state: syntax error: found enabled without quotes: write a "
		  "text as \"enabled\"" },
		{ "a = 1;\nphp = { enabled = yes; };",
		  "2: php.enabled: syntax error: found yes: write true" },
		{ "a = off;", "write false" },
		{ "a = 'x';", "double quotes" },
		{ "a = 128M;",
		  "1: a: syntax error: 128M is not a number: write it in quotes, \"128M\"" },
		{ "a = 8.2.1;", "\"8.2.1\"" },
		{ "a = 0b1;", "\"0b1\"" },
		{ "php.memory_limit = \"1M\";",
		  "1: php: syntax error: keys have no dots: write php = { "
		  "memory_limit = …; };" },
		{ "a = ;", "1: a: syntax error: expected a value, found ;" },
		{ "a =\n\n", "1: a: syntax error: expected a value, found the end of the file" },
		{ "a = 1;\n\nb\n\n",
		  "3: b: syntax error: expected = after b, found the end of the file" },
		{ "a := 1;", "found := after a: write a = VALUE;" },
		{ "a == 1;", "found =" },
		{ "a \"x\";", "expected = after a, found the text \"x\"" },
		{ "= 1;", "expected a key before the =" },
		{ "a = 1;; b = 2;", "found a second ;" },
		{ "5 = 1;", "expected a key, found 5" },
		{ "n = [\"a\"\n \"b\"];",
		  "2: n[0]: syntax error: the text \"b\" follows another text: put a "
		  "comma" },
		{ "a = \"x\" \"y\";", "follows another text" },
		{ "n = [\"a\", \"b\";",
		  "1: n: syntax error: expected a comma or the ] that ends the list from "
		  "line 1, found ;" },
		{ "s = ( { a = 1; } { a = 2; } );", "expected a comma or the )" },
		{ "s = ( { a = 1; },\n { b = x; } );", "2: s[1].b: " },
		{ "n = [ { } ];", "write ( ) around" },
		{ "n = [ 1, \"a\" ];", "all texts, all numbers" },
		{ "a = 1;\nphp = {\n b = 2;\n",
		  "2: php: syntax error: the group that begins here has no end: "
		  "a } is missing" },
		{ "};", "found }, which ends nothing" },
		{ "php = { a = 1; );", "expected the } that ends the group from line 1, found )" },
		{ "a = 1;\nb = 2;\na = 3;", "3: a: syntax error: a is a duplicate of line 1" },
		{ "php = { a = 1; };\nphp = { b = 1; };",
		  "2: php: syntax error: php is a duplicate of line 1" },
		{ "n = [,];", "expected a value, found ," },
		{ "n = [1,,2];", "expected a value, found ," },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++)
		if (!strstr(fault_of(cases[i].text), cases[i].says))
			fail_msg("%s\n→ %s\n≠ %s", cases[i].text, fault_of(cases[i].text),
				 cases[i].says);
}

static void what_is_right_is_taken(void **state)
{
	static const char *const cases[] = {
		"",
		"a = 1",
		"a = 1 b = 2",
		"a : 1, b = 2;",
		"a = -5; b = +7; c = 0x1F; d = 5L; e = 1.5e3; f = .5;",
		"a = TRUE; b = False;",
		"n = []; m = (); g = { };",
		"n = [\"a\", \"b\",];",
		"s = ( { a = 1 }, { }, );",
		"s = ( 1, \"a\", ( 2 ), [ ], { } );",
		"/* x */ a = 1; # y\n// z\n",
		"a = \"\\\"\\\\\";",
		"a = \"x // y # z /* \";",
		"a-b_c = 1; *x = 2;",
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++)
		assert_string_equal(fault_of(cases[i]), "");
}

/* Texts of random tokens, most of them nearly right. */
static void whatever_is_taken_libconfig_takes_too(void **state)
{
	static const char *const tokens[] = { "a",     "b",     "c",    "=",  "=",   "=",    ":",
					      ";",     ";",     ",",    ",",  "{",   "}",    "(",
					      ")",     "[",     "]",    "1",  "-2L", "0x1f", "1.5",
					      "\"x\"", "\"y\"", "true", "\n", "." };
	unsigned taken = 0;

	(void)state;
	srandom(4711);
	for (unsigned round = 0; round < 200000; round++) {
		autobuf struct buf text = { 0 };
		autofree char *copy = NULL;
		struct problems p = { 0 };
		config_t c;

		buf_adds(&text, "a = ");
		for (long n = random() % 9; n >= 0; n--)
			buf_printf(&text, "%s ", tokens[(size_t)random() % ELEMENTS(tokens)]);
		buf_adds(&text, "\n");
		copy = strdup(buf_text(&text));
		if (syntax_check("f", copy, strlen(copy), &p)) {
			taken++;
			config_init(&c);
			if (!config_read_string(&c, copy))
				fail_msg("%s: %s", buf_text(&text), config_error_text(&c));
			config_destroy(&c);
		}
		problems_clear(&p);
	}
	assert_true(taken > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wrong_is_said_with_what_to_write),
		cmocka_unit_test(what_is_right_is_taken),
		cmocka_unit_test(whatever_is_taken_libconfig_takes_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
