/*
 * libconfig 1.5 by itself
 *   - ends the process on an @include of a directory, and reads any other as root,
 *   - makes 705032704 of 5000000000 and 755 of 0755,
 *   - drops the rest of a file after an unterminated comment or a NUL,
 *   - takes line breaks inside strings (which would end up in other programs' files),
 *   - compares each key with all of its group, and recurses with the depth.
 * So the text is read here first, by the same few lexical rules: "strings" with
 * \" and \\, comments # // and slash-star, names, numbers.
 */
#include "agent/model/traps.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/model/names.h"

#define DEPTH_MAX    12
#define SETTINGS_MAX 2000

#define DIGITS     "0123456789"
#define HEX_DIGITS DIGITS "abcdefABCDEF"
#define LETTERS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

struct scan {
	const char *file, *at, *end;
	unsigned line;
	unsigned depth, settings;
	bool safe;
	struct problems *problems;
};

static void trap(struct scan *s, unsigned line, const char *what)
{
	problems_add(s->problems, s->file, line, "", "%s", what);
	s->safe = false;
}

/* After a trap that makes the rest unreadable. */
static void stop(struct scan *s, unsigned line, const char *what)
{
	trap(s, line, what);
	s->at = s->end;
}

static bool is_bad_byte(const struct scan *s)
{
	char c = *s->at;

	if (c == '\n' || c == '\t')
		return false;
	if (c == '\r')
		return s->at + 1 == s->end || s->at[1] != '\n';
	return name_is_control(c);
}

static void scan_bytes(struct scan *s)
{
	for (; s->at < s->end; s->at++) {
		if (*s->at == '\n')
			s->line++;
		if (is_bad_byte(s)) {
			stop(s, s->line, "has a control character");
			return;
		}
	}
}

static void skip_line(struct scan *s)
{
	while (s->at < s->end && *s->at != '\n')
		s->at++;
}

static void skip_comment(struct scan *s)
{
	unsigned begin = s->line;

	for (s->at += 2; s->at + 1 < s->end; s->at++) {
		if (s->at[0] == '*' && s->at[1] == '/') {
			s->at += 2;
			return;
		}
		if (*s->at == '\n')
			s->line++;
	}
	stop(s, begin, "the comment that begins here has no end");
}

static void skip_string(struct scan *s)
{
	unsigned begin = s->line;

	for (s->at++; s->at < s->end; s->at++) {
		if (*s->at == '"') {
			s->at++;
			return;
		}
		if (*s->at == '\n' || *s->at == '\t' || *s->at == '\r') {
			stop(s, begin,
			     *s->at == '\n' ? "a text ends on its line: is a \" missing?"
					    : "a text has a control character");
			return;
		}
		if (*s->at == '\\' && s->at + 1 < s->end && (s->at[1] == '"' || s->at[1] == '\\'))
			s->at++;
	}
	stop(s, begin, "the text that begins here has no end");
}

/* libconfig has 32 bits for a number, 64 with an L behind it. */
static const char *number_fault(const char *digits, size_t len)
{
	bool hex = len > 2 && digits[0] == '0' && (digits[1] | 32) == 'x';
	size_t n = hex ? 2 + strspn(digits + 2, HEX_DIGITS) : strspn(digits, DIGITS);
	bool wide = n < len && digits[n] == 'L';

	if (strspn(digits, DIGITS ".eE+-") == len && n != len)
		return NULL; /* with a point: the wrong type for any key, which is said elsewhere */
	if (n + (wide ? strspn(digits + n, "L") : 0) != len)
		return NULL; /* not a number: libconfig will say so */
	if (!hex && n > 1 && digits[0] == '0')
		return "a number with a 0 before it is not octal here: write modes as texts, "
		       "\"0755\"";
	if (n > 17)
		return "the number is too large";
	if (!wide && strtoull(digits, NULL, 0) > INT32_MAX)
		return "the number is too large: write a size as a text like \"5G\", or L behind "
		       "the number";
	return NULL;
}

static void scan_number(struct scan *s)
{
	char copy[24] = { 0 };
	const char *begin = s->at, *fault;
	size_t len = *begin == '+' || *begin == '-';

	while (begin + len < s->end && strchr(LETTERS DIGITS ".+-", begin[len]))
		len++;
	s->at += len;
	if (len >= sizeof(copy)) {
		trap(s, s->line, "the number is too large");
		return;
	}
	memcpy(copy, begin, len);
	fault = *copy == '+' || *copy == '-' ? number_fault(copy + 1, len - 1)
					     : number_fault(copy, len);
	if (fault)
		trap(s, s->line, fault);
}

static void scan_punctuation(struct scan *s)
{
	char c = *s->at++;

	if (c == '@')
		stop(s, s->line, "@include is not taken: a file stands for itself");
	else if (strchr("({[", c) && ++s->depth > DEPTH_MAX)
		stop(s, s->line, "groups and lists are too deep");
	else if (strchr(")}]", c) && s->depth > 0)
		s->depth--;
	else if (strchr("=:,", c) && ++s->settings > SETTINGS_MAX)
		stop(s, s->line, "the file has too many settings");
}

static void scan_token(struct scan *s)
{
	char c = *s->at, next = s->at + 1 < s->end ? s->at[1] : '\0';

	if (c == '#' || (c == '/' && next == '/'))
		skip_line(s);
	else if (c == '/' && next == '*')
		skip_comment(s);
	else if (c == '"')
		skip_string(s);
	else if (strchr(DIGITS, c) || (strchr("+-.", c) && strchr(DIGITS ".", next) && next))
		scan_number(s);
	else if (strchr(LETTERS "*", c))
		while (s->at < s->end && strchr(LETTERS DIGITS "-_*", *s->at))
			s->at++;
	else if (c == '\n')
		s->line++, s->at++;
	else if (strchr("({[)}]=:,@", c))
		scan_punctuation(s);
	else
		s->at++;
}

bool traps_scan(const char *file, const char *text, size_t len, struct problems *p)
{
	struct scan s = {
		.file = file, .at = text, .end = text + len, .line = 1, .safe = true, .problems = p
	};

	scan_bytes(&s);
	if (!s.safe)
		return false;
	s.at = text;
	s.line = 1;
	while (s.at < s.end)
		scan_token(&s);
	return s.safe;
}
