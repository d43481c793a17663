/*
 * JSON, read and written. The only file that knows jansson. Values form a tree
 * that its root owns; json_free ends the root.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"

struct json;

/* Not json_object, json_array: jansson has functions of these names, which ours would replace in it. */
struct json *json_new_object(void);
struct json *json_new_array(void);
/* Each of these puts a copy (of text) or takes ownership (of child). NULL text or child is null. */
void json_put_text(struct json *object, const char *key, const char *text);
void json_put_number(struct json *object, const char *key, int64_t number);
void json_put_bool(struct json *object, const char *key, bool value);
void json_put(struct json *object, const char *key, struct json *child);
void json_add(struct json *array, struct json *child);
void json_add_text(struct json *array, const char *text);

/* Depth and size are limited; duplicate keys are refused. */
int json_parse(const char *text, size_t len, struct json **ret, struct err *e);
/* The text, owned by the caller; pretty: with line breaks. */
char *json_write(const struct json *j, bool pretty);
void json_free(struct json *j);
void json_free_at(struct json **j);
#define autojson __attribute__((cleanup(json_free_at)))

/* Reading: NULL, the given default or 0 where the key is not there or of another type. Borrowed. */
const char *json_text(const struct json *object, const char *key);
int64_t json_number(const struct json *object, const char *key, int64_t otherwise);
bool json_bool(const struct json *object, const char *key, bool otherwise);
struct json *json_get(const struct json *object, const char *key);
size_t json_count(const struct json *array);
struct json *json_at(const struct json *array, size_t i);
const char *json_text_at(const struct json *array, size_t i);

/* What a value is; NULL is null. */
enum json_form {
	JSON_IS_NULL,
	JSON_IS_TEXT,
	JSON_IS_NUMBER,
	JSON_IS_BOOL,
	JSON_IS_ARRAY,
	JSON_IS_OBJECT,
};
enum json_form json_form(const struct json *value);
/* The object's key after this one, in order; NULL: its first. NULL: there is none, or no object. */
const char *json_key_after(const struct json *object, const char *key);
