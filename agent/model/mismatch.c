/*
 * One sentence for each way in which people miss a type: the unit that is not
 * known, the number in quotes, the word without, the list of one.
 */
#include "agent/model/mismatch.h"

#include <errno.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"
#include "agent/model/manual.h"
#include "agent/model/names.h"

#define DIGITS "0123456789"

static const char *const setting_names[] = {
	[SETTING_BOOL] = "true or false",
	[SETTING_NUMBER] = "a number",
	[SETTING_REAL] = "a number with a point",
	[SETTING_TEXT] = "a text",
	[SETTING_LIST] = "a list",
	[SETTING_GROUP] = "a group",
};

const char *mismatch_found(const struct setting *s)
{
	return setting_names[s->type];
}

static bool is_number(const char *text)
{
	text += *text == '-';
	return *text && text[strspn(text, DIGITS)] == '\0';
}

/* What would have been right, as the end of the sentence, or nothing. */
static void hint(const struct option *o, const struct setting *s, struct buf *b)
{
	bool is_text = s->type == SETTING_TEXT && strlen(s->text) <= 60;

	if (o->kind == &kind_number && is_text && is_number(s->text))
		buf_printf(b, " \"%s\": write %s without quotes", s->text, s->text);
	else if (o->kind == &kind_flag && is_text)
		buf_printf(b, " \"%s\": write it without quotes", s->text);
	else if (strcmp(o->kind->json_type, "array") == 0 && is_text && o->kind->parse)
		buf_printf(b, " \"%s\": write [\"%s\"]", s->text, s->text);
	else if ((o->kind == &kind_text || o->kind == &kind_word) && s->type == SETTING_NUMBER)
		buf_printf(b, ": write \"%lld\"", s->number);
	else if ((o->kind == &kind_text || o->kind == &kind_word) && s->type == SETTING_REAL)
		buf_adds(b, ": write it in quotes");
}

int mismatch_type(const struct option *o, const struct setting *s, struct err *e)
{
	autobuf struct buf more = { 0 };

	if (s->type == SETTING_TEXT && o->kind == &kind_size)
		return err_set(
			e, EINVAL,
			"\"%.40s\" is not a size: expected a size like \"128M\", digits and K, "
			"M or G",
			s->text);
	if (s->type == SETTING_TEXT && o->kind == &kind_duration)
		return err_set(
			e, EINVAL,
			"\"%.40s\" is not a duration: expected a duration like \"20s\", digits "
			"and s, m, h, d, w or y",
			s->text);
	hint(o, s, &more);
	return err_set(e, EINVAL, "expected %s, found %s%s", o->kind->expects, mismatch_found(s),
		       buf_text(&more));
}

int mismatch_range(const struct option *o, const struct setting *s, long long n, struct err *e)
{
	autobuf struct buf text = { 0 };

	if (n >= o->min && n <= o->max && (!o->step || (n - o->min) % o->step == 0))
		return 0;
	manual_number(o, n, &text);
	if (o->kind == &kind_size && s->type == SETTING_NUMBER)
		buf_adds(&text, n == 1 ? " byte" : " bytes");
	buf_adds(&text, o->step ? " is not one of " : " is not from ");
	manual_range(o, &text);
	if (o->kind == &kind_size && n > 0 && n < 1024 * 1024)
		buf_printf(&text, ": a size needs its unit, as in \"%lldM\"",
			   s->type == SETTING_NUMBER || n < 1024 ? n : n / 1024);
	return err_set(e, EINVAL, "%s", buf_text(&text));
}

int mismatch_word(const struct option *o, const char *text, struct err *e)
{
	autobuf struct buf all = { 0 };

	for (size_t i = 0; o->words[i]; i++)
		buf_printf(&all, "%s%s", i ? ", " : "", o->words[i]);
	for (size_t i = 0; o->words[i]; i++)
		if (strcasecmp(o->words[i], text) == 0 || option_distance(text, o->words[i]) <= 1)
			return err_set(e, EINVAL,
				       "\"%.40s\" is not one of %s; did you mean \"%s\"?", text,
				       buf_text(&all), o->words[i]);
	return err_set(e, EINVAL, "\"%.40s\" is not one of %s", text, buf_text(&all));
}
