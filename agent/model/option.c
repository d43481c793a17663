/*
 * How the kinds of keys are read and compared. A kind is a row of functions;
 * what is particular to a key stands in its row in options.c.
 */
#include "agent/model/option.h"

#include <errno.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/hash.h"
#include "agent/base/own.h"
#include "agent/model/mismatch.h"
#include "agent/model/names.h"
#include "agent/model/values.h"
#include "agent/model/webspace.h"

const char *const option_scope_names[SCOPES] = { "host", "webspace", "site" };

/* Texts are capped and have no control characters, whatever they are for. */
static int check_text(const char *text, struct err *e)
{
	if (strlen(text) > OPTION_TEXT_MAX)
		return err_set(e, EINVAL, "the text is longer than %d bytes", OPTION_TEXT_MAX);
	for (; *text; text++)
		if (name_is_control(*text))
			return err_set(
				e, EINVAL,
				"has a control character (a \\n, perhaps): write \\\\ where a "
				"backslash is meant");
	return 0;
}

/* What a check makes on its way is not kept: only the result goes into the arena. */
static int keep_text(const struct option *o, const struct setting *s, struct arena *a,
		     const char **ret, struct err *e)
{
	autoarena struct arena temporary = { 0 };
	const char *text = s->text;
	int r = check_text(text, e);

	if (r == 0 && o->check)
		r = o->check(&temporary, text, &text, e);
	if (r == 0)
		*ret = *text ? arena_dup(a, text) : "";
	return r;
}

/* one value ----------------------------------------------------------- */

static int bool_parse(const struct option *o, const struct setting *s, struct arena *a, void *field,
		      struct err *e)
{
	(void)a;
	if (s->type != SETTING_BOOL)
		return mismatch_type(o, s, e);
	*(bool *)field = s->number;
	return 0;
}

static uint64_t bool_hash(const void *field, uint64_t h)
{
	return hash_bytes(h, field, sizeof(bool));
}

/* The field is an unsigned or an int: 32 bits either way. */
static int number_parse(const struct option *o, const struct setting *s, struct arena *a,
			void *field, struct err *e)
{
	int r;

	(void)a;
	if (s->type != SETTING_NUMBER)
		return mismatch_type(o, s, e);
	r = mismatch_range(o, s, s->number, e);
	if (r == 0)
		*(uint32_t *)field = (uint32_t)s->number;
	return r;
}

static int duration_parse(const struct option *o, const struct setting *s, struct arena *a,
			  void *field, struct err *e)
{
	long long n = s->number;
	int r;

	(void)a;
	if (s->type != SETTING_NUMBER &&
	    (s->type != SETTING_TEXT || value_duration(s->text, &n) < 0))
		return mismatch_type(o, s, e);
	r = mismatch_range(o, s, n, e);
	if (r == 0)
		*(uint32_t *)field = (uint32_t)n;
	return r;
}

static uint64_t number_hash(const void *field, uint64_t h)
{
	return hash_bytes(h, field, sizeof(uint32_t));
}

static int size_parse(const struct option *o, const struct setting *s, struct arena *a, void *field,
		      struct err *e)
{
	long long n = s->number;
	int r;

	(void)a;
	if (s->type != SETTING_NUMBER && (s->type != SETTING_TEXT || value_size(s->text, &n) < 0))
		return mismatch_type(o, s, e);
	r = mismatch_range(o, s, n, e);
	if (r == 0)
		*(uint64_t *)field = (uint64_t)n;
	return r;
}

static uint64_t size_hash(const void *field, uint64_t h)
{
	return hash_bytes(h, field, sizeof(uint64_t));
}

static int word_parse(const struct option *o, const struct setting *s, struct arena *a, void *field,
		      struct err *e)
{
	int r;

	(void)a;
	if (s->type != SETTING_TEXT)
		return mismatch_type(o, s, e);
	r = check_text(s->text, e);
	if (r < 0)
		return r;
	for (uint32_t i = 0; o->words[i]; i++)
		if (strcmp(o->words[i], s->text) == 0) {
			*(uint32_t *)field = i;
			return 0;
		}
	return mismatch_word(o, s->text, e);
}

static int text_parse(const struct option *o, const struct setting *s, struct arena *a, void *field,
		      struct err *e)
{
	if (s->type != SETTING_TEXT)
		return mismatch_type(o, s, e);
	return keep_text(o, s, a, field, e);
}

static uint64_t text_hash(const void *field, uint64_t h)
{
	return hash_text(h, *(const char *const *)field);
}

/* several ------------------------------------------------------------- */

static int check_list(const struct option *o, const struct setting *s, struct err *e)
{
	if (s->type != SETTING_LIST)
		return mismatch_type(o, s, e);
	if (s->count > OPTION_LIST_MAX)
		return err_set(e, EINVAL, "the list has more than %d elements", OPTION_LIST_MAX);
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i].type != SETTING_TEXT)
			return err_set(e, EINVAL, "element %zu: expected a text, found %s", i + 1,
				       mismatch_found(&s->items[i]));
	return 0;
}

/* An empty list has items too: so a list that is given can be told from a preset. */
static int list_parse(const struct option *o, const struct setting *s, struct arena *a, void *field,
		      struct err *e)
{
	const char **items;
	int r = check_list(o, s, e);

	if (r < 0)
		return r;
	items = arena_new(a, (s->count + !s->count) * sizeof(*items));
	for (size_t i = 0; i < s->count; i++) {
		r = keep_text(o, &s->items[i], a, &items[i], e);
		if (r < 0)
			return err_in(e, "\"%.80s\"", s->items[i].text);
	}
	*(struct text_list *)field = (struct text_list){ .items = items, .count = s->count };
	return 0;
}

static uint64_t list_hash(const void *field, uint64_t h)
{
	const struct text_list *list = field;

	h = hash_bytes(h, &list->count, sizeof(list->count));
	for (size_t i = 0; i < list->count; i++)
		h = hash_text(h, list->items[i]);
	return h;
}

static int binds_parse(const struct option *o, const struct setting *s, struct arena *a,
		       void *field, struct err *e)
{
	struct {
		const struct bind *items;
		size_t count;
	} *list = field;
	int r = check_list(o, s, e);

	if (r < 0)
		return r;
	struct bind *items = arena_new(a, (s->count + !s->count) * sizeof(*items));

	for (size_t i = 0; i < s->count; i++) {
		r = check_text(s->items[i].text, e);
		if (r == 0)
			r = value_bind(a, s->items[i].text, &items[i], e);
		if (r < 0)
			return err_in(e, "\"%.80s\"", s->items[i].text);
	}
	list->items = items;
	list->count = s->count;
	return 0;
}
/* As binds_parse sees the two fields. */
_Static_assert(offsetof(struct webspace, n_binds) ==
		       offsetof(struct webspace, binds) + sizeof(void *),
	       "binds and n_binds lie side by side");

static uint64_t binds_hash(const void *field, uint64_t h)
{
	const struct bind *items = *(const struct bind *const *)field;
	size_t count;

	memcpy(&count, (const char *)field + sizeof(void *), sizeof(count));
	h = hash_bytes(h, &count, sizeof(count));
	for (size_t i = 0; i < count; i++) {
		const bool flags[] = { items[i].writable, items[i].exec, items[i].dev,
				       items[i].suid };

		h = hash_text(hash_text(h, items[i].source), items[i].target);
		h = hash_bytes(h, flags, sizeof(flags));
	}
	return h;
}

/* pairs: names of libconfig have no dots, so groups in groups make them -------- */

struct pairs {
	const struct option *option;
	struct arena *arena;
	struct text_pair *items;
	size_t count;
	struct buf faults; /* of all pairs: one run shows what is to be mended */
};

static int pair_add(struct pairs *p, const char *key, const struct setting *s, struct err *e)
{
	const char *value = s->text;
	int r;

	if (s->type == SETTING_BOOL)
		value = p->option->words[s->number];
	else if (s->type == SETTING_NUMBER)
		value = arena_printf(p->arena, "%lld", s->number);
	else if (s->type != SETTING_TEXT)
		return err_set(e, EINVAL, "%.64s: expected a text, a number, true or false", key);
	else
		value = arena_dup(p->arena, value);

	if (p->count == OPTION_PAIRS_MAX)
		return err_set(e, EINVAL, "the group has more than %d pairs", OPTION_PAIRS_MAX);
	r = check_text(value, e);
	if (r < 0)
		return err_in(e, "%.64s", key);
	r = p->option->check_pair(key, value, e);
	if (r < 0)
		return r;
	p->items[p->count++] =
		(struct text_pair){ .key = arena_dup(p->arena, key), .value = value };
	return 0;
}

/* Groups are at most as deep as load.c lets them be. */
static void pairs_walk(struct pairs *p, const char *prefix, const struct setting *group)
{
	for (size_t i = 0; i < group->count; i++) {
		const struct setting *s = &group->items[i];
		autoarena struct arena temporary = { 0 };
		const char *key =
			arena_printf(&temporary, "%s%s%s", prefix, *prefix ? "." : "", s->name);
		struct err e = { 0 };

		if (s->type == SETTING_GROUP)
			pairs_walk(p, key, s);
		else if (pair_add(p, key, s, &e) < 0)
			buf_printf(&p->faults, "%s%s", p->faults.len ? "; " : "", e.text);
	}
}

static int pairs_parse(const struct option *o, const struct setting *s, struct arena *a,
		       void *field, struct err *e)
{
	struct text_pair found[OPTION_PAIRS_MAX];
	struct pairs p = { .option = o, .arena = a, .items = found };
	struct text_pair *items;

	if (s->type != SETTING_GROUP)
		return mismatch_type(o, s, e);
	pairs_walk(&p, "", s);
	if (p.faults.len) {
		(void)err_set(e, EINVAL, "%s", buf_text(&p.faults));
		buf_clear(&p.faults);
		return -EINVAL;
	}
	items = p.count ? arena_new(a, p.count * sizeof(*items)) : NULL;
	if (items)
		memcpy(items, found, p.count * sizeof(*items));
	*(struct pair_list *)field = (struct pair_list){ .items = items, .count = p.count };
	return 0;
}

static uint64_t pairs_hash(const void *field, uint64_t h)
{
	const struct pair_list *list = field;

	h = hash_bytes(h, &list->count, sizeof(list->count));
	for (size_t i = 0; i < list->count; i++)
		h = hash_text(hash_text(h, list->items[i].key), list->items[i].value);
	return h;
}

/* the kinds ----------------------------------------------------------- */

const struct option_kind kind_flag = { "bool", "true or false", "boolean", bool_parse, bool_hash };
const struct option_kind kind_number = { "number", "a whole number", "integer", number_parse,
					 number_hash };
const struct option_kind kind_size = { "size", "a size like \"32M\"", "string", size_parse,
				       size_hash };
const struct option_kind kind_duration = { "duration", "a duration like \"20s\" or \"1d\"",
					   "string", duration_parse, number_hash };
const struct option_kind kind_word = { "word", "a text in quotes", "string", word_parse,
				       number_hash };
const struct option_kind kind_text = { "text", "a text in quotes", "string", text_parse,
				       text_hash };
const struct option_kind kind_list = { "list", "a list of texts like [\"a\", \"b\"]", "array",
				       list_parse, list_hash };
const struct option_kind kind_pairs = { "pairs", "a group of pairs like { a = \"b\"; }", "object",
					pairs_parse, pairs_hash };
const struct option_kind kind_binds = { "binds", "a list of texts like [\"/srv/media\"]", "array",
					binds_parse, binds_hash };
const struct option_kind kind_sites = { .name = "sites",
					.expects = "a list of groups like ( { … } )",
					.json_type = "array" };
const struct option_kind kind_defaults = { .name = "group",
					   .expects = "a group like { … }",
					   .json_type = "object" };

/* the table ----------------------------------------------------------- */

const struct option *option_find(enum option_scope scope, const char *path)
{
	for (size_t i = 0; i < n_options; i++)
		if (options[i].scope == scope && strcmp(options[i].path, path) == 0)
			return &options[i];
	return NULL;
}

bool option_is_group(enum option_scope scope, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < n_options; i++)
		if (options[i].scope == scope && strncmp(options[i].path, path, len) == 0 &&
		    options[i].path[len] == '.')
			return true;
	return false;
}

#define NEAR_MAX 48

/* Levenshtein's distance, row by row. */
size_t option_distance(const char *a, const char *b)
{
	size_t row[NEAR_MAX + 1], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

static const char *last_part(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? dot + 1 : path;
}

/* A slip of the fingers, or the right key at the wrong level. */
const char *option_nearest(enum option_scope scope, const char *path)
{
	size_t best = strlen(path) / 4 + 2;
	const char *nearest = NULL;

	if (strlen(path) > NEAR_MAX)
		return NULL;
	for (size_t i = 0; i < n_options; i++) {
		if (options[i].scope != scope)
			continue;

		size_t d = option_distance(path, options[i].path);

		if (strcmp(last_part(options[i].path), last_part(path)) == 0 && d > 1)
			d = 1;
		if (d < best) {
			best = d;
			nearest = options[i].path;
		}
	}
	return nearest;
}

int option_parse(const struct option *o, const struct setting *s, struct arena *a, void *target,
		 struct err *e)
{
	uint64_t nowhere[4];
	void *field = o->offset == OPTION_NOWHERE ? (void *)nowhere : (char *)target + o->offset;

	return o->kind->parse(o, s, a, field, e);
}

uint64_t option_hash_all(enum option_scope scope, const void *target, uint64_t h)
{
	for (size_t i = 0; i < n_options; i++)
		if (options[i].scope == scope && options[i].kind->hash &&
		    options[i].offset != OPTION_NOWHERE)
			h = options[i].kind->hash((const char *)target + options[i].offset, h);
	return h;
}
