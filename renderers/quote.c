/*
 * How a value is said in another program's language. Each quoter answers one
 * question: can this text be put here so that the other side reads exactly it,
 * and nothing else? If not it refuses; none drops or replaces a character.
 *
 * nginx has no way to write a dollar sign where it takes variables; so one of
 * our maps holds it, as $ws_dollar. php-fpm's ini reads 'single quotes' raw, but
 * in "double quotes" it puts ${VARIABLES} in and each PHP has changed its
 * escapes: a value is therefore said in single quotes, and a single quote
 * itself as "'" between two of them. Plain paths go without: php-fpm reads bytes
 * one by one, and there are many.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "renderers/template.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

/* Neither language has a use for control characters, and a newline ends a line in both. */
static bool has_control(const char *value)
{
	for (; *value; value++)
		if ((unsigned char)*value < 0x20 || *value == 0x7f)
			return true;
	return false;
}

static int add_plain(struct buf *ret, const char *value, const char *allowed)
{
	if (!*value || value[strspn(value, allowed)])
		return -EINVAL;
	buf_adds(ret, value);
	return 0;
}

int quote_nginx_part(struct buf *ret, const char *value)
{
	if (has_control(value))
		return -EINVAL;
	for (; *value; value++) {
		if (*value == '$') {
			buf_adds(ret, "${ws_dollar}");
			continue;
		}
		if (*value == '"' || *value == '\\')
			buf_addc(ret, '\\');
		buf_addc(ret, *value);
	}
	return 0;
}

int quote_nginx(struct buf *ret, const char *value)
{
	int r;

	if (add_plain(ret, value, LETTERS DIGITS "/._-+:=,[]") == 0)
		return 0;
	buf_addc(ret, '"');
	r = quote_nginx_part(ret, value);
	buf_addc(ret, '"');
	return r;
}

int quote_nginx_name(struct buf *ret, const char *value)
{
	size_t star = strncmp(value, "*.", 2) == 0 ? 2 : 0;

	/* ".example.org" would mean the name and all below it. */
	if (value[star] == '.')
		return -EINVAL;
	buf_add(ret, value, star);
	return add_plain(ret, value + star, LETTERS DIGITS "-._");
}

/*
 * `default`, `hostnames`, `include` and `volatile` are words of map itself, and a user or a host may
 * be called so. map takes one backslash off a key, after it has looked for its words. nginx's lexer
 * has read that before: to it "\n", "\r" and "\t" are single characters, and a backslash is "\\".
 */
int quote_nginx_key(struct buf *ret, const char *value)
{
	size_t star = strncmp(value, "*.", 2) == 0 ? 2 : 0;

	/* In a map of host names ".example.org" would mean the name and all below it. */
	if (value[star] == '.')
		return -EINVAL;
	if (!strpbrk(value, "./"))
		buf_adds(ret, "\\\\");
	buf_add(ret, value, star);
	return add_plain(ret, value + star, LETTERS DIGITS "-._/");
}

int quote_extension(struct buf *ret, const char *value)
{
	return add_plain(ret, value, LETTERS DIGITS "-_");
}

/* Words like "yes" or E_ALL mean something else without quotes; paths and file extensions never do. */
static int add_bare(struct buf *ret, const char *value)
{
	if (*value != '/' && *value != '.')
		return -EINVAL;
	return add_plain(ret, value, LETTERS DIGITS "/._-:");
}

int quote_ini(struct buf *ret, const char *value)
{
	if (has_control(value))
		return -EINVAL;
	if (!*value) {
		buf_adds(ret, "\"\"");
		return 0;
	}
	if (add_bare(ret, value) == 0)
		return 0;
	while (*value) {
		size_t plain = strcspn(value, "'"), quotes;

		if (plain > 0) {
			buf_addc(ret, '\'');
			buf_add(ret, value, plain);
			buf_addc(ret, '\'');
			value += plain;
		}
		quotes = strspn(value, "'");
		if (quotes > 0) {
			buf_addc(ret, '"');
			buf_add(ret, value, quotes);
			buf_addc(ret, '"');
			value += quotes;
		}
	}
	return 0;
}

int quote_word(struct buf *ret, const char *value)
{
	return add_plain(ret, value, LETTERS DIGITS "-_.");
}

int quote_number(struct buf *ret, const char *value)
{
	if (*value == '-') {
		buf_addc(ret, '-');
		value++;
	}
	return add_plain(ret, value, DIGITS);
}

int quote_path(struct buf *ret, const char *value)
{
	if (*value != '/' || strstr(value, "/../"))
		return -EINVAL;
	return add_plain(ret, value, LETTERS DIGITS "/._-+,:@");
}

int quote_none(struct buf *ret, const char *value)
{
	buf_adds(ret, value);
	return 0;
}
