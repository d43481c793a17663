/*
 * JSON by jansson. struct json is jansson's value under a name of ours: never
 * defined, only cast, so nothing is wrapped and nothing but this file needs the
 * library.
 *
 * Read are at most 1 MiB and 32 levels (jansson itself stops at 2048), since a
 * tree of values is many times the size of its text. Text that is not UTF-8
 * (file names, output of programs) is not refused in what we write: its bytes
 * that are wrong become U+FFFD.
 */
#include "agent/base/json.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/memory.h"
#include "agent/base/shown.h"
#include "agent/base/utf8.h"

#define SIZE_MAX_BYTES 1048576
#define DEPTH_MAX      32

static json_t *own(struct json *j)
{
	return (json_t *)j;
}

/* For reading: jansson's functions take what they do not change without const. */
static json_t *borrow(const struct json *j)
{
	return (json_t *)(uintptr_t)j;
}

static json_t *require(json_t *value)
{
	if (!value)
		abort(); /* no memory, as in memory.h */
	return value;
}

struct json *json_new_object(void)
{
	return (struct json *)require(json_object());
}

struct json *json_new_array(void)
{
	return (struct json *)require(json_array());
}

static json_t *repaired(const char *text)
{
	autobuf struct buf good = { 0 };
	size_t len;

	while (*text) {
		len = utf8_sequence(text, NULL);
		if (len > 0)
			buf_add(&good, text, len);
		else
			buf_adds(&good, "\xef\xbf\xbd");
		text += len > 0 ? len : 1;
	}
	return json_string(buf_text(&good));
}

static json_t *text_value(const char *text)
{
	json_t *value;

	if (!text)
		return json_null();
	value = json_string(text);
	return require(value ? value : repaired(text));
}

/* Takes the child, also when it fails. */
static void put(struct json *object, const char *key, json_t *child)
{
	if (json_object_set_new(own(object), key, child) < 0)
		abort(); /* no memory, not an object, or a key that is not UTF-8 */
}

void json_put_text(struct json *object, const char *key, const char *text)
{
	put(object, key, text_value(text));
}

void json_put_number(struct json *object, const char *key, int64_t number)
{
	put(object, key, require(json_integer(number)));
}

void json_put_bool(struct json *object, const char *key, bool value)
{
	put(object, key, json_boolean(value));
}

void json_put(struct json *object, const char *key, struct json *child)
{
	put(object, key, child ? own(child) : json_null());
}

void json_add(struct json *array, struct json *child)
{
	if (json_array_append_new(own(array), child ? own(child) : json_null()) < 0)
		abort();
}

void json_add_text(struct json *array, const char *text)
{
	json_add(array, (struct json *)text_value(text));
}

/* Before jansson sees it: how deep do brackets nest, those in strings aside? */
static size_t depth_of(const char *text, size_t len)
{
	size_t depth = 0, deepest = 0;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == '{' || text[i] == '[') && ++depth > deepest)
			deepest = depth;
		else if (!in_string && (text[i] == '}' || text[i] == ']') && depth > 0)
			depth--;
	}
	return deepest;
}

int json_parse(const char *text, size_t len, struct json **ret, struct err *e)
{
	json_error_t error;
	json_t *value;

	if (len > SIZE_MAX_BYTES)
		return err_set(e, EFBIG, "JSON: longer than %d bytes", SIZE_MAX_BYTES);
	if (depth_of(text, len) > DEPTH_MAX)
		return err_set(e, EINVAL, "JSON: nested deeper than %d levels", DEPTH_MAX);
	value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!value)
		return err_set(e, EINVAL, "JSON: line %d: %s", error.line, error.text);
	*ret = (struct json *)value;
	return 0;
}

static void add_escape(struct buf *b, uint32_t code)
{
	if (code < 0x10000)
		buf_printf(b, "\\u%04x", (unsigned)code);
	else
		buf_printf(b, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (code >> 10)),
			   (unsigned)(0xdc00 + (code & 0x3ff)));
}

/* It may be read on a terminal; jansson escapes what is below a blank, others are within texts only. */
static char *without_orders(const char *text)
{
	struct buf b = { 0 };

	while (*text) {
		uint32_t code = 0;
		size_t len = utf8_sequence(text, &code);

		if (code > ' ' && shown_as_bytes(code))
			add_escape(&b, code);
		else
			buf_add(&b, text, len ? len : 1);
		text += len ? len : 1;
	}
	buf_addc(&b, '\0');
	return b.data;
}

char *json_write(const struct json *j, bool pretty)
{
	size_t flags = pretty ? JSON_INDENT(2) : JSON_COMPACT;
	char *text = json_dumps(borrow(j), flags | JSON_ENCODE_ANY), *safe;

	if (!text)
		abort();
	safe = without_orders(text);
	free(text);
	return safe;
}

void json_free(struct json *j)
{
	json_decref(own(j));
}

void json_free_at(struct json **j)
{
	json_free(*j);
	*j = NULL;
}

struct json *json_get(const struct json *object, const char *key)
{
	return (struct json *)json_object_get(borrow(object), key);
}

const char *json_text(const struct json *object, const char *key)
{
	return json_string_value(json_object_get(borrow(object), key));
}

int64_t json_number(const struct json *object, const char *key, int64_t otherwise)
{
	json_t *value = json_object_get(borrow(object), key);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool json_bool(const struct json *object, const char *key, bool otherwise)
{
	json_t *value = json_object_get(borrow(object), key);

	return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

size_t json_count(const struct json *array)
{
	return json_array_size(borrow(array));
}

struct json *json_at(const struct json *array, size_t i)
{
	return (struct json *)json_array_get(borrow(array), i);
}

const char *json_text_at(const struct json *array, size_t i)
{
	return json_string_value(json_array_get(borrow(array), i));
}

enum json_form json_form(const struct json *value)
{
	static const enum json_form forms[] = {
		[JSON_OBJECT] = JSON_IS_OBJECT, [JSON_ARRAY] = JSON_IS_ARRAY,
		[JSON_STRING] = JSON_IS_TEXT,   [JSON_INTEGER] = JSON_IS_NUMBER,
		[JSON_REAL] = JSON_IS_NUMBER,   [JSON_TRUE] = JSON_IS_BOOL,
		[JSON_FALSE] = JSON_IS_BOOL,    [JSON_NULL] = JSON_IS_NULL,
	};

	return value ? forms[json_typeof(borrow(value))] : JSON_IS_NULL;
}

const char *json_key_after(const struct json *object, const char *key)
{
	json_t *o = borrow(object);

	if (!key)
		return json_object_iter_key(json_object_iter(o));
	return json_object_iter_key(json_object_iter_next(o, json_object_iter_at(o, key)));
}
