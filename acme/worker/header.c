/* Values of HTTP headers. What cannot be read was not said: a client lives without any of them. */
#include "acme/worker/header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define YEAR_9999 INT64_C(253402300799)

static int64_t in_range(int64_t t)
{
	return t > 0 && t <= YEAR_9999 ? t : 0;
}

/* The C locale's names: nobody here calls setlocale(3). */
int64_t header_date(const char *text)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

	return end && *end == '\0' ? in_range(timegm(&tm)) : 0;
}

/* "Z", "+01:00": how far the text's clock is ahead of UTC. */
static bool read_offset(const char *text, int64_t *ret)
{
	int hours, minutes, n = 0;
	char sign;

	*ret = 0;
	if (strcasecmp(text, "Z") == 0)
		return true;
	if (sscanf(text, "%c%2d:%2d%n", &sign, &hours, &minutes, &n) != 3 || n != 6 ||
	    text[n] != '\0' || (sign != '+' && sign != '-') || hours < 0 || minutes < 0)
		return false;
	*ret = (hours * 60 + minutes) * (sign == '+' ? 60 : -60);
	return true;
}

int64_t header_rfc3339(const char *text)
{
	struct tm tm = { 0 };
	const char *at = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t offset;

	if (!at)
		return 0;
	if (*at == '.') {
		size_t digits = strspn(at + 1, "0123456789");

		if (digits == 0)
			return 0;
		at += 1 + digits;
	}
	return read_offset(at, &offset) ? in_range(timegm(&tm) - offset) : 0;
}

int64_t header_retry_after(const char *text, int64_t now)
{
	size_t digits = strspn(text, "0123456789");
	int64_t seconds;

	if (digits > 0 && text[digits] == '\0')
		seconds = digits < 10 ? strtoll(text, NULL, 10) : RETRY_AFTER_MAX;
	else if (header_date(text) > 0)
		seconds = header_date(text) - now;
	else if (text[0] == '-' && text[1] && text[1 + strspn(text + 1, "0123456789")] == '\0')
		seconds = 0;
	else
		return -1;
	if (seconds < 0)
		return 0;
	return seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX;
}

bool header_is_base64url(const char *text, size_t max)
{
	size_t len = strlen(text);

	return len > 0 && len <= max &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
		       len;
}

/* Is the word among those of a list that spaces divide? */
static bool has_word(const char *list, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= len; i++)
		if (strncasecmp(list + i, word, n) == 0 && (i == 0 || list[i - 1] == ' ') &&
		    (i + n == len || list[i + n] == ' '))
			return true;
	return false;
}

/* A parameter's value at `at`, quoted or not: where it ends. */
static const char *value_end(const char *at, const char **ret, size_t *ret_len)
{
	if (*at != '"') {
		*ret = at;
		*ret_len = strcspn(at, " ;,");
		return at + *ret_len;
	}
	*ret = ++at;
	while (*at && *at != '"')
		at += *at == '\\' && at[1] ? 2 : 1;
	*ret_len = (size_t)(at - *ret);
	return *at ? at + 1 : at;
}

/* The parameters behind a target, to the comma that ends them. Is rel one of them, and the wanted one? */
static const char *read_parameters(const char *at, const char *relation, bool *ret_wanted)
{
	const char *value;
	size_t len;

	*ret_wanted = false;
	while (*at && *at != ',') {
		size_t name = strcspn(at, " ;,=\"");
		bool is_rel = name == 3 && strncasecmp(at, "rel", 3) == 0;

		at += name;
		if (*at == ',' || *at == '\0')
			break;
		if (*at++ != '=' && at[-1] != '"')
			continue;
		at = value_end(at[-1] == '"' ? at - 1 : at, &value, &len);
		if (is_rel)
			*ret_wanted = has_word(value, len, relation);
	}
	return at;
}

bool header_link(const char **at, const char *relation, char *ret, size_t size)
{
	const char *start, *end;
	bool wanted;

	for (;;) {
		start = *at + strspn(*at, " ,\t");
		end = *start == '<' ? strchr(start, '>') : NULL;
		if (!end)
			return false;
		start++;
		*at = read_parameters(end + 1, relation, &wanted);
		if (wanted && (size_t)(end - start) < size) {
			memcpy(ret, start, (size_t)(end - start));
			ret[end - start] = '\0';
			return true;
		}
	}
}
