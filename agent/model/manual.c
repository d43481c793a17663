/*
 * One row of options.c becomes one entry in each format, so that what is
 * documented is what is read. The manual pages of packaging include the mdoc
 * form; the sample is a file that loads as it is, all of it commented out.
 */
#include "agent/model/manual.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/own.h"
#include "agent/model/option.h"

/* what a key takes ----------------------------------------------------- */

/* 33554432 → "32M", 90 → "90". */
static void add_size(struct buf *b, long long n)
{
	static const char units[] = "\0KMG";
	size_t i = 0;

	for (; i < 3 && n && n % 1024 == 0; i++)
		n /= 1024;
	buf_printf(b, "%lld%.1s", n, units + i);
}

static void add_duration(struct buf *b, long long n)
{
	static const struct {
		long long seconds;
		char unit;
	} units[] = { { 31536000, 'y' }, { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };

	for (size_t i = 0; i < ELEMENTS(units); i++)
		if (n % units[i].seconds == 0) {
			buf_printf(b, "%lld%c", n / units[i].seconds, n ? units[i].unit : 's');
			return;
		}
}

void manual_number(const struct option *o, long long n, struct buf *b)
{
	if (o->kind == &kind_size)
		add_size(b, n);
	else if (o->kind == &kind_duration)
		add_duration(b, n);
	else
		buf_printf(b, "%lld", n);
}

void manual_range(const struct option *o, struct buf *b)
{
	manual_number(o, o->min, b);
	for (long long n = o->min + o->step; o->step && n < o->max; n += o->step) {
		buf_adds(b, ", ");
		manual_number(o, n, b);
	}
	buf_adds(b, o->step ? ", " : " to ");
	manual_number(o, o->max, b);
}

static void add_range(const struct option *o, struct buf *b)
{
	buf_adds(b, o->kind->name);
	if (o->min == 0 && o->max == INT32_MAX)
		return;
	buf_adds(b, o->step ? ": " : ", ");
	manual_range(o, b);
}

/* "number, 1 to 64", "acl | group", "list of ADDRESS:PORT" */
static void add_type(const struct option *o, struct buf *b)
{
	if (o->kind == &kind_word) {
		for (size_t i = 0; o->words[i]; i++)
			buf_printf(b, "%s%s", i ? " | " : "", o->words[i]);
	} else if (o->max) {
		add_range(o, b);
	} else if (o->form && o->kind == &kind_text) {
		buf_printf(b, "text: %s", o->form);
	} else if (o->form) {
		buf_printf(b, "%s of %s", o->kind->name, o->form);
	} else {
		buf_adds(b, o->kind->name);
	}
}

/* text ----------------------------------------------------------------- */

static const char *const headings[SCOPES] = {
	[SCOPE_HOST] = "The host's file, /etc/webspaces/webspaces.conf",
	[SCOPE_WEBSPACE] = "A webspace's file, /etc/webspaces.d/NAME.conf",
	[SCOPE_SITE] = "A site: each group of `sites` in a webspace's file",
};

/* Words of text in lines of at most 78 columns, each after the indent. */
static void add_wrapped(struct buf *b, const char *indent, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column == 0 || column + 1 + len > 78) {
			buf_printf(b, "%s%s", column ? "\n" : "", indent);
			column = strlen(indent);
		} else {
			buf_addc(b, ' ');
			column++;
		}
		buf_add(b, text, len);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	buf_addc(b, '\n');
}

static void add_text(const struct option *o, struct buf *b)
{
	buf_printf(b, "  %s  (", o->path);
	add_type(o, b);
	buf_adds(b, ")\n");
	if (o->preset)
		buf_printf(b, "      preset: %s\n", o->preset);
	add_wrapped(b, "      ", o->meaning);
}

static void begin_text(enum option_scope scope, struct buf *b)
{
	buf_printf(b, "%s%s\n\n", scope ? "\n" : "", headings[scope]);
}

/* mdoc(7) -------------------------------------------------------------- */

/*
 * Each sentence on a line of its own, as mdoc wants it. A dot or quote at the
 * start of a line would be a request, a backslash an escape, and a macro eats double quotes.
 */
static void add_mdoc(struct buf *b, const char *text)
{
	bool begins = true;

	for (; *text; text++) {
		if (begins && (*text == '.' || *text == '\''))
			buf_adds(b, "\\&");
		begins = text[0] == '.' && text[1] == ' ' && text[2];
		if (*text == '\\')
			buf_adds(b, "\\e");
		else if (*text == '-')
			buf_adds(b, "\\-");
		else if (*text == '"')
			buf_adds(b, "\\(dq");
		else
			buf_addc(b, *text);
		if (begins) {
			buf_addc(b, '\n');
			text++;
		}
	}
	buf_addc(b, '\n');
}

static void add_man(const struct option *o, struct buf *b)
{
	autobuf struct buf type = { 0 };

	add_type(o, &type);
	buf_printf(b, ".It Ic %s Pq ", o->path);
	add_mdoc(b, buf_text(&type));
	add_mdoc(b, o->meaning);
	if (o->preset) {
		buf_adds(b, "Preset:\n.Li ");
		add_mdoc(b, o->preset);
	}
}

static void begin_man(enum option_scope scope, struct buf *b)
{
	buf_printf(b, ".Ss %s\n.Bl -tag -width Ds\n", headings[scope]);
}

static void end_man(enum option_scope scope, struct buf *b)
{
	(void)scope;
	buf_adds(b, ".El\n");
}

/* a sample ------------------------------------------------------------- */

/* "php.pm" with "x" → "php = { pm = x; };" */
static void add_assignment(const char *path, const char *value, struct buf *b)
{
	const char *dot = strchr(path, '.');

	if (!dot) {
		buf_printf(b, "%s = %s;", path, value);
		return;
	}
	buf_printf(b, "%.*s = { ", (int)(dot - path), path);
	add_assignment(dot + 1, value, b);
	buf_adds(b, " };");
}

static void add_sample(const struct option *o, struct buf *b)
{
	const char *value = o->sample ? o->sample : o->preset;

	add_wrapped(b, "# ", o->meaning);
	if (o->sample && o->preset && *o->preset)
		buf_printf(b, "# Preset: %s\n", o->preset);
	buf_adds(b, "#");
	if (o->scope == SCOPE_SITE)
		buf_adds(b, "sites = ( { ");
	add_assignment(o->path, value ? value : "…", b);
	buf_printf(b, "%s\n\n", o->scope == SCOPE_SITE ? " } );" : "");
}

static void begin_sample(enum option_scope scope, struct buf *b)
{
	buf_printf(b, "# ---- %s\n\n", headings[scope]);
	if (scope == SCOPE_HOST)
		buf_adds(b, "# Keys with a common beginning stand in one group: php = { a = 1; b = "
			    "2; };\n\n");
}

/* JSON ----------------------------------------------------------------- */

static struct json *option_json(const struct option *o)
{
	struct json *j = json_new_object();
	struct json *words = o->kind == &kind_word ? json_new_array() : NULL;

	json_put_text(j, "key", o->path);
	json_put_text(j, "scope", option_scope_names[o->scope]);
	json_put_text(j, "kind", o->kind->name);
	json_put_text(j, "type", o->kind->json_type);
	json_put_text(j, "preset", o->preset);
	json_put_text(j, "meaning", o->meaning);
	json_put_text(j, "form", o->form);
	for (size_t i = 0; words && o->words[i]; i++)
		json_add_text(words, o->words[i]);
	if (words)
		json_put(j, "words", words);
	if (o->max) {
		json_put_number(j, "min", o->min);
		json_put_number(j, "max", o->max);
		if (o->step)
			json_put_number(j, "step", o->step);
	}
	return j;
}

static void write_json(struct buf *ret)
{
	autojson struct json *all = json_new_array();
	autofree char *text = NULL;

	for (size_t i = 0; i < n_options; i++)
		json_add(all, option_json(&options[i]));
	text = json_write(all, true);
	buf_printf(ret, "%s\n", text);
}

/* all ------------------------------------------------------------------ */

void manual_write(enum manual_format format, struct buf *ret)
{
	static const struct {
		void (*begin)(enum option_scope scope, struct buf *b);
		void (*add)(const struct option *o, struct buf *b);
		void (*end)(enum option_scope scope, struct buf *b);
	} formats[] = {
		[MANUAL_TEXT] = { begin_text, add_text, NULL },
		[MANUAL_MAN] = { begin_man, add_man, end_man },
		[MANUAL_SAMPLE] = { begin_sample, add_sample, NULL },
	};

	if (format == MANUAL_JSON) {
		write_json(ret);
		return;
	}
	for (enum option_scope scope = 0; scope < SCOPES; scope++) {
		formats[format].begin(scope, ret);
		for (size_t i = 0; i < n_options; i++)
			if (options[i].scope == scope)
				formats[format].add(&options[i], ret);
		if (formats[format].end)
			formats[format].end(scope, ret);
	}
}
