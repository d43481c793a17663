/*
 * The grammar of libconfig, read once before libconfig does: it says "syntax
 * error" and a line, often the next one. Here the key is known, what was
 * expected and what was found instead. Stricter in one thing: two texts that
 * stand side by side are a missing comma, not one text. traps.c has been here
 * before: comments, texts and numbers are whole, and nesting is not too deep.
 */
#include "agent/model/syntax.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buf.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/table.h"

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define NUMBER  LETTERS DIGITS ".+-" /* numbers and what was meant to be one */

enum token { TOKEN_END, TOKEN_NAME, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_MARK };

struct syntax {
	const char *file;
	char *text, *end;
	struct problems *problems;
	struct buf path; /* of the key at hand: "sites[0].names" */
	/* The token at hand. */
	enum token token;
	char *at;
	size_t len;
	unsigned line;
	unsigned before_line; /* where the token before ended */
	bool broken;
};

/* tokens -------------------------------------------------------------------- */

static void skip_blank(struct syntax *s)
{
	for (;;) {
		char *p = s->at;

		if (p < s->end && strchr(" \t\r\n\f", *p)) {
			s->line += *p == '\n';
			s->at++;
		} else if (p < s->end && (*p == '#' || strncmp(p, "//", 2) == 0)) {
			while (s->at < s->end && *s->at != '\n')
				s->at++;
		} else if (p < s->end && strncmp(p, "/*", 2) == 0) {
			for (s->at += 2; strncmp(s->at, "*/", 2) != 0; s->at++)
				s->line += *s->at == '\n';
			s->at += 2;
		} else {
			return;
		}
	}
}

static size_t text_length(const char *at)
{
	size_t n = 1;

	while (at[n] != '"')
		n += at[n] == '\\' && (at[n + 1] == '"' || at[n + 1] == '\\') ? 2 : 1;
	return n + 1;
}

static void token_next(struct syntax *s)
{
	char c;

	s->before_line = s->line;
	s->at += s->len;
	s->len = 0;
	skip_blank(s);
	c = s->at < s->end ? *s->at : '\0';
	s->token = TOKEN_MARK;
	s->len = 1;
	if (!c) {
		s->token = TOKEN_END;
		s->len = 0;
	} else if (c == '"') {
		s->token = TOKEN_TEXT;
		s->len = text_length(s->at);
	} else if (strchr(LETTERS "*", c)) {
		s->token = TOKEN_NAME;
		s->len = strspn(s->at, LETTERS DIGITS "-_*");
	} else if (strchr(DIGITS ".+-", c) &&
		   strspn(s->at, NUMBER) > (size_t)(strchr(".+-", c) != NULL)) {
		s->token = TOKEN_NUMBER;
		s->len = strspn(s->at, NUMBER);
	}
}

static bool is_mark(const struct syntax *s, char mark)
{
	return s->token == TOKEN_MARK && *s->at == mark;
}

/* faults --------------------------------------------------------------------- */

static const char *found(const struct syntax *s, struct buf *b)
{
	buf_reset(b);
	if (s->token == TOKEN_END)
		buf_adds(b, "the end of the file");
	else if (s->token == TOKEN_TEXT)
		buf_printf(b, "the text %.*s", s->len > 40 ? 40 : (int)s->len, s->at);
	else
		buf_printf(b, "%.*s", s->len > 40 ? 40 : (int)s->len, s->at);
	return buf_text(b);
}

__attribute__((format(printf, 3, 4))) static void fault(struct syntax *s, unsigned line,
							const char *format, ...)
{
	char text[500];
	va_list arguments;

	if (s->broken)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	problems_add(s->problems, s->file, line, buf_text(&s->path), "syntax error: %s", text);
	s->broken = true;
}

/* Where the text should have gone on: behind what came before, if this is on a later line. */
static unsigned fault_line(const struct syntax *s)
{
	return s->token == TOKEN_END ? s->before_line : s->line;
}

/* values --------------------------------------------------------------------- */

static void value_parse(struct syntax *s);

static bool word_is(const struct syntax *s, const char *word)
{
	return s->len == strlen(word) && strncasecmp(s->at, word, s->len) == 0;
}

static bool is_switch(const struct syntax *s)
{
	return word_is(s, "true") || word_is(s, "false");
}

static void fault_word(struct syntax *s)
{
	static const char *const switches[] = { "yes", "no", "on", "off" };

	for (size_t i = 0; i < ELEMENTS(switches); i++)
		if (word_is(s, switches[i])) {
			fault(s, s->line, "found %.*s: write %s, or \"%.*s\" for a text",
			      (int)s->len, s->at, i % 2 ? "false" : "true", (int)s->len, s->at);
			return;
		}
	fault(s, s->line, "found %.*s without quotes: write a text as \"%.*s\"", (int)s->len, s->at,
	      (int)s->len, s->at);
}

/* "128M", "8.2.1": what libconfig takes is digits with a sign, hexadecimal ones, L at the end, or a real. */
static bool number_is_whole(const struct syntax *s)
{
	const char *p = s->at;
	size_t sign = *p == '+' || *p == '-', n = sign, digits;

	if (!sign && s->len > 2 && p[0] == '0' && (p[1] | 32) == 'x') {
		n = 2 + strspn(p + 2, DIGITS "abcdefABCDEF");
		n += n < s->len && p[n] == 'L' ? 1 + (p[n + 1] == 'L') : 0;
		return n == s->len && n > 2;
	}
	digits = strspn(p + n, DIGITS);
	n += digits;
	if (digits && n < s->len && p[n] == 'L')
		return n + 1 + (p[n + 1] == 'L') == s->len;
	if (n < s->len && p[n] == '.') {
		size_t fraction = strspn(p + n + 1, DIGITS);

		digits += fraction;
		n += 1 + fraction;
	}
	if (digits && n < s->len && (p[n] | 32) == 'e') {
		size_t mark = p[n + 1] == '+' || p[n + 1] == '-';
		size_t power = strspn(p + n + 1 + mark, DIGITS);

		n += power ? 1 + mark + power : 0;
	}
	return digits && n == s->len;
}

static void text_parse(struct syntax *s)
{
	token_next(s);
	if (s->token == TOKEN_TEXT) {
		autobuf struct buf b = { 0 };

		fault(s, s->line,
		      "%s follows another text: put a comma between the elements of a list, or "
		      "write "
		      "one text",
		      found(s, &b));
	}
}

static void scalar_parse(struct syntax *s)
{
	autobuf struct buf b = { 0 };

	if (s->token == TOKEN_TEXT) {
		text_parse(s);
	} else if (s->token == TOKEN_NUMBER && number_is_whole(s)) {
		token_next(s);
	} else if (s->token == TOKEN_NUMBER) {
		fault(s, s->line, "%1$s is not a number: write it in quotes, \"%1$s\"",
		      found(s, &b));
	} else if (s->token == TOKEN_NAME && is_switch(s)) {
		token_next(s);
	} else if (s->token == TOKEN_NAME) {
		fault_word(s);
	} else if (is_mark(s, '\'')) {
		fault(s, s->line, "found ': write texts in double quotes, \"like this\"");
	} else {
		fault(s, fault_line(s),
		      "expected a value, found %s: write a \"text\", a number, true or false, [ ], "
		      "( ) "
		      "or { }",
		      found(s, &b));
	}
}

static char kind_of_scalar(const struct syntax *s)
{
	return s->token == TOKEN_TEXT ? 't' : s->token == TOKEN_NUMBER ? 'n' : 'b';
}

/* Between elements: true if another follows. A comma before the end goes. */
static bool element_follows(struct syntax *s, char close, unsigned begin)
{
	autobuf struct buf b = { 0 };
	char *comma = s->at;

	if (s->broken || is_mark(s, close))
		return false;
	if (!is_mark(s, ',')) {
		fault(s, fault_line(s),
		      "expected a comma or the %c that ends the list from line %u, found %s", close,
		      begin, found(s, &b));
		return false;
	}
	token_next(s);
	if (is_mark(s, close)) {
		*comma = ' ';
		return false;
	}
	return true;
}

/* [ ] holds values of one kind, ( ) any. */
static void list_parse(struct syntax *s)
{
	const char close = *s->at == '[' ? ']' : ')';
	size_t len = s->path.len, i = 0;
	unsigned begin = s->line;
	char kind = 0;

	token_next(s);
	if (!is_mark(s, close))
		do {
			buf_printf(&s->path, "[%zu]", i++);
			if (close == ')') {
				value_parse(s);
			} else if (s->token == TOKEN_MARK && strchr("{[(", *s->at)) {
				fault(s, s->line,
				      "%c in a list in [ ]: write ( ) around a list of groups or "
				      "lists",
				      *s->at);
			} else if (kind && s->token != TOKEN_MARK && s->token != TOKEN_END &&
				   kind != kind_of_scalar(s)) {
				fault(s, s->line,
				      "the elements of a list in [ ] are all texts, all numbers or "
				      "all true and false");
			} else {
				kind = kind_of_scalar(s);
				scalar_parse(s);
			}
			if (!s->broken)
				buf_cut(&s->path, len);
		} while (element_follows(s, close, begin));
	if (!s->broken)
		token_next(s);
}

static void settings_parse(struct syntax *s, bool in_group, unsigned begin);

static void value_parse(struct syntax *s)
{
	unsigned begin = s->line;

	if (is_mark(s, '{')) {
		token_next(s);
		settings_parse(s, true, begin);
	} else if (is_mark(s, '[') || is_mark(s, '(')) {
		list_parse(s);
	} else {
		scalar_parse(s);
	}
}

/* settings ------------------------------------------------------------------- */

/* Keys of one group, with the line of each, so that a second one is found. */
static bool key_is_new(struct syntax *s, struct table *keys, const char *key)
{
	void *line = table_get(keys, key);

	if (line) {
		fault(s, s->line,
		      "%s is a duplicate of line %zu: keep one of them; keys with a common "
		      "beginning "
		      "stand in one group, a = { b = 1; c = 2; };",
		      key, (size_t)line);
		return false;
	}
	(void)table_set(keys, key, (void *)(size_t)s->line);
	return true;
}

static void fault_after_key(struct syntax *s, const char *key)
{
	autobuf struct buf b = { 0 };

	if (s->token == TOKEN_NUMBER && *s->at == '.' && s->len > 1)
		fault(s, s->line, "keys have no dots: write %s = { %.*s = …; };", key,
		      (int)strspn(s->at + 1, LETTERS DIGITS "-_"), s->at + 1);
	else
		fault(s, fault_line(s), "expected = after %s, found %s: write %s = VALUE;", key,
		      found(s, &b), key);
}

static void setting_parse(struct syntax *s, struct table *keys)
{
	autofree char *key = memory_printf("%.*s", (int)s->len, s->at);
	size_t len = s->path.len;

	buf_printf(&s->path, "%s%s", len ? "." : "", key);
	if (!key_is_new(s, keys, key))
		return;
	token_next(s);
	if (!is_mark(s, '=') && !is_mark(s, ':')) {
		fault_after_key(s, key);
		return;
	}
	token_next(s);
	if (s->token == TOKEN_MARK && *s->at == '=' && s->at[-1] == ':') {
		fault(s, s->line, "found := after %s: write %s = VALUE;", key, key);
		return;
	}
	value_parse(s);
	if (s->broken)
		return;
	if (is_mark(s, ';') || is_mark(s, ','))
		token_next(s);
	buf_cut(&s->path, len);
}

static void fault_key(struct syntax *s, bool in_group, unsigned begin)
{
	autobuf struct buf b = { 0 };

	if (s->token == TOKEN_END)
		fault(s, begin, "the group that begins here has no end: a } is missing");
	else if (s->token == TOKEN_MARK && strchr("}])", *s->at) && in_group)
		fault(s, s->line, "expected the } that ends the group from line %u, found %c",
		      begin, *s->at);
	else if (s->token == TOKEN_MARK && strchr("}])", *s->at))
		fault(s, s->line, "found %c, which ends nothing that began: remove it", *s->at);
	else if (is_mark(s, ';') || is_mark(s, ','))
		fault(s, s->line, "expected a key, found a second %c: remove it", *s->at);
	else if (is_mark(s, '='))
		fault(s, s->line, "expected a key before the =: write KEY = VALUE;");
	else
		fault(s, s->line, "expected a key, found %s: write KEY = VALUE;", found(s, &b));
}

static void settings_parse(struct syntax *s, bool in_group, unsigned begin)
{
	struct table keys = { 0 };

	while (!s->broken && !(in_group ? is_mark(s, '}') : s->token == TOKEN_END)) {
		if (s->token == TOKEN_NAME && !is_switch(s))
			setting_parse(s, &keys);
		else
			fault_key(s, in_group, begin);
	}
	if (!s->broken && in_group)
		token_next(s);
	table_clear(&keys);
}

bool syntax_check(const char *file, char *text, size_t len, struct problems *p)
{
	struct syntax s = {
		.file = file, .text = text, .end = text + len, .at = text, .line = 1, .problems = p
	};

	token_next(&s);
	settings_parse(&s, false, 1);
	buf_clear(&s.path);
	return !s.broken;
}
