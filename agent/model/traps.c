/*
 * libconfig 1.5 by itself
 *   - ends the process on an @include of a directory, and reads any other as root,
 *   - makes 705032704 of 5000000000 and 755 of 0755,
 *   - drops the rest of a file after an unterminated comment or a NUL,
 *   - takes line breaks inside strings (which would end up in other programs' files),
 *   - compares each key with all of its group, and recurses with the depth,
 *   - cuts a text at \x00.
 * So the text is read here first, by the same few lexical rules: "strings" with
 * \" and \\, comments # // and slash-star, names, numbers. syntax.c then reads
 * what they make together.
 */
#include "agent/model/traps.h"

#include <stdbool.h>
#include <stdio.h>
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

/* characters beyond ASCII -------------------------------------------------- */

/* The length of the character in UTF-8 (RFC 3629), and which; 0: it is none. */
static size_t utf8_read(const char *at, const char *end, unsigned *ret)
{
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = (unsigned char)*at;
	size_t n = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;

	*ret = n == 1 ? c : c & (0x7Fu >> n);
	if ((c >= 0x80 && c < 0xC2) || c > 0xF4 || (size_t)(end - at) < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((at[i] & 0xC0) != 0x80)
			return 0;
		*ret = *ret << 6 | (at[i] & 0x3F);
	}
	return *ret < least[n] || (*ret >= 0xD800 && *ret < 0xE000) || *ret > 0x10FFFF ? 0 : n;
}

static const char not_utf8[] = "a byte that is not UTF-8: save the file in UTF-8";

/* What such a character was meant to be, where it stands outside of texts and comments. */
static const char *meant_by(unsigned c)
{
	if (c == 0xA0 || (c >= 0x2000 && c <= 0x200B) || c == 0x202F || c == 0x2060 ||
	    c == 0x3000 || c == 0xFEFF)
		return "a space that is not a plain one: write plain spaces";
	if ((c >= 0x2018 && c <= 0x201F) || c == 0xAB || c == 0xBB || c == 0x2039 || c == 0x203A)
		return "a typographic quote: write plain double quotes, \"like this\"";
	if (c >= 0x2010 && c <= 0x2015)
		return "a typographic dash: write a plain -";
	return "a character outside of quotes that no key can have: keys have a to z, digits, - "
	       "and _, and texts stand in double quotes";
}

static void scan_foreign(struct scan *s)
{
	unsigned c;
	size_t n = utf8_read(s->at, s->end, &c);
	char text[200];

	if (n == 0) {
		stop(s, s->line, not_utf8);
		return;
	}
	(void)snprintf(text, sizeof text, "found \"%.*s\" (U+%04X), %s", (int)n, s->at, c,
		       meant_by(c));
	stop(s, s->line, text);
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
			char text[100];

			(void)snprintf(
				text, sizeof text,
				"has a control character (byte 0x%02x): remove it, or save the "
				"file as plain text in UTF-8",
				(unsigned char)*s->at);
			stop(s, s->line, text);
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
	stop(s, begin, "the comment that begins here has no end: a */ is missing");
}

/* What is wrong with the character at hand of a text, or NULL; *ret_len: how long it is. */
static const char *text_fault(const struct scan *s, size_t *ret_len)
{
	unsigned c;

	*ret_len = utf8_read(s->at, s->end, &c);
	if (*ret_len == 0)
		return not_utf8;
	if (c == '\n' || c == '\r')
		return "a text ends on its line: is a \" missing?";
	if (c == '\t' || (c >= 0x80 && c < 0xA0))
		return "a text has a control character: remove it";
	if (c != '\\' || s->at + 1 == s->end)
		return NULL;
	if (s->at[1] == '"' || s->at[1] == '\\')
		*ret_len = 2;
	if (s->at[1] == 'x' && strncmp(s->at + 2, "00", 2) == 0)
		return "a text has \\x00, a control character that would end it: remove it";
	return NULL;
}

static void skip_string(struct scan *s)
{
	unsigned begin = s->line;
	size_t len;

	for (s->at++; s->at < s->end; s->at += len) {
		const char *fault = text_fault(s, &len);

		if (fault) {
			stop(s, begin, fault);
			return;
		}
		if (*s->at == '"') {
			s->at++;
			return;
		}
	}
	stop(s, begin, "the text that begins here has no end: a \" is missing");
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
		return "the number is too large: write a size as a text like \"5G\"";
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
		trap(s, s->line, "the number is too large: write a size as a text like \"5G\"");
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
		stop(s, s->line,
		     "@include is not allowed: write the settings into the file itself");
	else if (strchr("({[", c) && ++s->depth > DEPTH_MAX)
		stop(s, s->line, "groups and lists are nested too deep (more than 12)");
	else if (strchr(")}]", c) && s->depth > 0)
		s->depth--;
	else if (strchr("=:,", c) && ++s->settings > SETTINGS_MAX)
		stop(s, s->line, "the file has too many settings (more than 2000)");
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
	else if ((unsigned char)c >= 0x80)
		scan_foreign(s);
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
