#include "agent/base/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/own.h"

static struct json *parsed(const char *text)
{
	struct json *j = NULL;
	struct err e = { 0 };

	if (json_parse(text, strlen(text), &j, &e) < 0)
		fail_msg("%s", e.text);
	return j;
}

static void writes(const struct json *j, const char *expected)
{
	autofree char *text = json_write(j, false);

	assert_string_equal(text, expected);
}

static void what_is_put_is_written_in_order(void **state)
{
	autojson struct json *j = json_new_object();
	struct json *list = json_new_array();

	(void)state;
	json_put_text(j, "z", "line\n\"quoted\"");
	json_put_number(j, "n", INT64_MIN);
	json_put_bool(j, "yes", true);
	json_put_text(j, "none", NULL);
	json_put(j, "list", list);
	json_add_text(list, "a");
	json_add_text(list, NULL);
	json_add(list, json_new_object());
	json_put(j, "nothing", NULL);
	json_put_text(j, "z", "again");
	writes(j, "{\"z\":\"again\",\"n\":-9223372036854775808,\"yes\":true,\"none\":null,"
		  "\"list\":[\"a\",null,{}],\"nothing\":null}");

	autofree char *pretty = json_write(list, true);
	assert_string_equal(pretty, "[\n  \"a\",\n  null,\n  {}\n]");
}

static void bytes_that_are_not_utf8_do_not_spoil_the_rest(void **state)
{
	static const struct {
		const char *text, *written;
	} cases[] = {
		{ "z\xc3\xbcrich", "[\"z\xc3\xbcrich\"]" },
		{ "a\xff-b", "[\"a\xef\xbf\xbd-b\"]" },
		{ "\xc3", "[\"\xef\xbf\xbd\"]" },
		{ "\xe2\x82", "[\"\xef\xbf\xbd\xef\xbf\xbd\"]" },
		{ "\xc0\xaf", "[\"\xef\xbf\xbd\xef\xbf\xbd\"]" },
		{ "\xed\xa0\x80", "[\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"]" },
		{ "\xff\xf0\x9f\x98\x80", "[\"\xef\xbf\xbd\xf0\x9f\x98\x80\"]" },
		{ "\xf4\x90\x80\x80", "[\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"]" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autojson struct json *j = json_new_array();

		json_add_text(j, cases[i].text);
		writes(j, cases[i].written);
	}
}

static void what_is_read_is_found_by_its_type(void **state)
{
	autojson struct json *j = parsed("{\"t\":\"x\",\"n\":7,\"b\":true,\"r\":1.5,\"z\":null,"
					 "\"l\":[\"a\",3,{\"k\":\"v\"}]}");

	(void)state;
	assert_string_equal(json_text(j, "t"), "x");
	assert_null(json_text(j, "n"));
	assert_null(json_text(j, "missing"));
	assert_int_equal(json_number(j, "n", 1), 7);
	assert_int_equal(json_number(j, "r", 1), 1);
	assert_int_equal(json_number(j, "t", -1), -1);
	assert_true(json_bool(j, "b", false));
	assert_true(json_bool(j, "z", true));
	assert_false(json_bool(j, "n", false));
	assert_int_equal(json_count(json_get(j, "l")), 3);
	assert_int_equal(json_count(json_get(j, "t")), 0);
	assert_string_equal(json_text_at(json_get(j, "l"), 0), "a");
	assert_null(json_text_at(json_get(j, "l"), 1));
	assert_null(json_text_at(json_get(j, "l"), 9));
	assert_string_equal(json_text(json_at(json_get(j, "l"), 2), "k"), "v");
	assert_null(json_get(NULL, "t"));
	assert_null(json_text(NULL, "t"));
	assert_int_equal(json_count(NULL), 0);
	json_free(NULL);
}

static void a_value_says_what_it_is_and_an_object_which_keys_it_has(void **state)
{
	autojson struct json *j = parsed("{\"t\":\"x\",\"n\":7,\"r\":0.5,\"y\":true,\"f\":false,"
					 "\"z\":null,\"l\":[],\"o\":{}}");
	static const struct {
		const char *key;
		enum json_form form;
	} cases[] = {
		{ "t", JSON_IS_TEXT },  { "n", JSON_IS_NUMBER }, { "r", JSON_IS_NUMBER },
		{ "y", JSON_IS_BOOL },  { "f", JSON_IS_BOOL },   { "z", JSON_IS_NULL },
		{ "l", JSON_IS_ARRAY }, { "o", JSON_IS_OBJECT },
	};
	const char *key = NULL;

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		key = json_key_after(j, key);
		assert_string_equal(key, cases[i].key);
		assert_int_equal(json_form(json_get(j, key)), cases[i].form);
	}
	assert_null(json_key_after(j, key));
	assert_null(json_key_after(json_get(j, "o"), NULL));
	assert_null(json_key_after(json_get(j, "l"), NULL));
	assert_null(json_key_after(NULL, NULL));
	assert_int_equal(json_form(NULL), JSON_IS_NULL);
}

static void refused_is_what_is_not_plain_json(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{ "{}", 0 },
		{ " [ ] ", 0 },
		{ "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[\"}", 0 },
		{ "", -EINVAL },
		{ "7", -EINVAL },
		{ "{\"a\":1,\"a\":2}", -EINVAL },
		{ "{} {}", -EINVAL },
		{ "{\"a\":1,}", -EINVAL },
		{ "{'a':1}", -EINVAL },
		{ "[99999999999999999999]", -EINVAL },
		{ "[\"\xff\"]", -EINVAL },
		{ "[\"\\u0000\"]", -EINVAL },
		{ "[\"", -EINVAL },
		{ "[\"\\", -EINVAL },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 0 },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autojson struct json *j = NULL;
		struct err e = { 0 };
		int r = json_parse(cases[i].text, strlen(cases[i].text), &j, &e);

		if (r != cases[i].result)
			fail_msg("%s: %d: %s", cases[i].text, r, e.text);
		assert_true(r == 0 ? j != NULL : !j && strncmp(e.text, "JSON: ", 6) == 0);
	}
}

static void refused_is_what_is_too_long(void **state)
{
	autojson struct json *j = NULL;
	const size_t len = 1048577;
	autofree char *text = malloc(len);

	(void)state;
	memset(text, ' ', len);
	memcpy(text, "[]", 2);
	assert_int_equal(json_parse(text, len, &j, NULL), -EFBIG);
	assert_int_equal(json_parse(text, len - 1, &j, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_written_in_order),
		cmocka_unit_test(bytes_that_are_not_utf8_do_not_spoil_the_rest),
		cmocka_unit_test(what_is_read_is_found_by_its_type),
		cmocka_unit_test(a_value_says_what_it_is_and_an_object_which_keys_it_has),
		cmocka_unit_test(refused_is_what_is_not_plain_json),
		cmocka_unit_test(refused_is_what_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
