/*
 * By the table of keys: a new key is told as soon as it has a row. Sites have no
 * name of their own; the first of their names tells which is which, so that a site
 * put before the others is one new site and not a change of all.
 */
#include "agent/model/difference.h"

#include <stdint.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/own.h"
#include "agent/model/manual.h"
#include "agent/model/option.h"

#define SENTENCE_MAX 6  /* differences that the sentence has in full */
#define VALUE_SHOWN  64 /* bytes of a value in the sentence */
#define NAMES_SHOWN  8

/* A value as in a file ------------------------------------------------- */

static void write_quoted(const char *text, struct buf *b)
{
	buf_addc(b, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *text);
	}
	buf_addc(b, '"');
}

static void write_flag(const struct option *o, const void *field, struct buf *b)
{
	(void)o;
	buf_adds(b, *(const bool *)field ? "true" : "false");
}

static void write_number(const struct option *o, const void *field, struct buf *b)
{
	uint32_t n = *(const uint32_t *)field;

	if (n == (uint32_t)ID_UNSET)
		buf_adds(b, "unset");
	else
		buf_printf(b, "%lld", o->min < 0 ? (long long)(int32_t)n : (long long)n);
}

/* In the units that people use, which make it a text. */
static void write_units(const struct option *o, long long n, struct buf *b)
{
	buf_addc(b, '"');
	manual_number(o, n, b);
	buf_addc(b, '"');
}

static void write_size(const struct option *o, const void *field, struct buf *b)
{
	write_units(o, (long long)*(const uint64_t *)field, b);
}

static void write_duration(const struct option *o, const void *field, struct buf *b)
{
	write_units(o, *(const uint32_t *)field, b);
}

static void write_word(const struct option *o, const void *field, struct buf *b)
{
	write_quoted(o->words[*(const uint32_t *)field], b);
}

static void write_text(const struct option *o, const void *field, struct buf *b)
{
	(void)o;
	write_quoted(*(const char *const *)field, b);
}

static void write_list(const struct option *o, const void *field, struct buf *b)
{
	const struct text_list *list = field;

	(void)o;
	buf_addc(b, '[');
	for (size_t i = 0; i < list->count; i++) {
		buf_adds(b, i ? ", " : "");
		write_quoted(list->items[i], b);
	}
	buf_addc(b, ']');
}

static void write_binds(const struct option *o, const void *field, struct buf *b)
{
	const struct bind *items = *(const struct bind *const *)field;
	size_t count;

	(void)o;
	memcpy(&count, (const char *)field + sizeof(void *), sizeof(count));
	buf_addc(b, '[');
	for (size_t i = 0; i < count; i++)
		buf_printf(b, "%s\"%s:%s%s%s%s%s\"", i ? ", " : "", items[i].source,
			   items[i].target, items[i].writable ? ":rw" : "",
			   items[i].exec ? ":exec" : "", items[i].dev ? ":dev" : "",
			   items[i].suid ? ":suid" : "");
	buf_addc(b, ']');
}

static const struct {
	const struct option_kind *kind;
	void (*write)(const struct option *o, const void *field, struct buf *b);
} writers[] = {
	{ &kind_flag, write_flag }, { &kind_number, write_number },
	{ &kind_size, write_size }, { &kind_duration, write_duration },
	{ &kind_word, write_word }, { &kind_text, write_text },
	{ &kind_list, write_list }, { &kind_binds, write_binds },
};

/* False: a kind whose values are not written. */
static bool write_value(const struct option *o, const void *field, struct buf *b)
{
	for (size_t i = 0; i < ELEMENTS(writers); i++)
		if (writers[i].kind == o->kind) {
			writers[i].write(o, field, b);
			return true;
		}
	return false;
}

/* Differences ---------------------------------------------------------- */

/* Cut between characters, not within one (UTF-8). */
static void add_short(struct buf *b, const char *value)
{
	size_t len = strlen(value), at = VALUE_SHOWN;

	if (len <= VALUE_SHOWN) {
		buf_adds(b, value);
		return;
	}
	while (at > 0 && ((unsigned char)value[at] & 0xc0) == 0x80)
		at--;
	buf_add(b, value, at);
	buf_adds(b, "…");
}

/* True: it is one that the sentence has in full. */
static bool begin(struct difference *d)
{
	if (d->count++ >= SENTENCE_MAX)
		return false;
	if (d->count > 1)
		buf_adds(&d->sentence, "; ");
	return true;
}

static void add_field(struct buf *to, const char *key, const char *value)
{
	buf_printf(to, "%s%s = %s;", to->len ? " " : "", key, value);
}

static void tell_value(struct difference *d, const char *key, const char *was, const char *is)
{
	add_field(&d->was, key, was);
	add_field(&d->is, key, is);
	if (!begin(d))
		return;
	buf_printf(&d->sentence, "%s ", key);
	add_short(&d->sentence, was);
	buf_adds(&d->sentence, " → ");
	add_short(&d->sentence, is);
}

static void tell_word(struct difference *d, const char *key, const char *word)
{
	if (begin(d))
		buf_printf(&d->sentence, "%s %s", key, word);
}

static const char *pair_value(const struct pair_list *list, const char *key)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].key, key) == 0)
			return list->items[i].value;
	return NULL;
}

/* Those of one list that are not, or not the same, in the other. */
static void tell_pairs(struct difference *d, const char *key, const struct pair_list *was,
		       const struct pair_list *is)
{
	autobuf struct buf name = { 0 };

	for (size_t i = 0; i < is->count; i++) {
		const char *before = pair_value(was, is->items[i].key);

		buf_reset(&name);
		buf_printf(&name, "%s.%s", key, is->items[i].key);
		if (!before)
			tell_word(d, buf_text(&name), "is new");
		else if (strcmp(before, is->items[i].value) != 0)
			tell_word(d, buf_text(&name), "is another");
	}
	for (size_t i = 0; i < was->count; i++) {
		buf_reset(&name);
		buf_printf(&name, "%s.%s", key, was->items[i].key);
		if (!pair_value(is, was->items[i].key))
			tell_word(d, buf_text(&name), "is gone");
	}
}

static void compare_option(struct difference *d, const struct option *o, const char *prefix,
			   const void *before, const void *now)
{
	const void *was = (const char *)before + o->offset, *is = (const char *)now + o->offset;
	autobuf struct buf key = { 0 }, old = { 0 }, new = { 0 };

	if (!o->kind->hash || o->kind->hash(was, HASH_START) == o->kind->hash(is, HASH_START))
		return;
	buf_printf(&key, "%s%s", prefix, o->path);
	if (o->kind == &kind_pairs)
		tell_pairs(d, buf_text(&key), was, is);
	else if (write_value(o, was, &old) && write_value(o, is, &new))
		tell_value(d, buf_text(&key), buf_text(&old), buf_text(&new));
}

static void compare_scope(struct difference *d, enum option_scope scope, const char *prefix,
			  const void *before, const void *now)
{
	for (size_t i = 0; i < n_options; i++) {
		const struct option *o = &options[i];

		if (o->scope == scope && o->offset != OPTION_NOWHERE && o->kind != &kind_sites)
			compare_option(d, o, prefix, before, now);
	}
}

static const char *site_name(const struct site *site)
{
	return site->names.count ? site->names.items[0] : "without a name";
}

static const struct site *site_of(const struct webspace *w, const char *name)
{
	for (size_t i = 0; i < w->n_sites; i++)
		if (strcmp(site_name(&w->sites[i]), name) == 0)
			return &w->sites[i];
	return NULL;
}

static void compare_sites(struct difference *d, const struct webspace *before,
			  const struct webspace *now)
{
	autobuf struct buf prefix = { 0 };

	for (size_t i = 0; i < now->n_sites; i++) {
		const char *name = site_name(&now->sites[i]);
		const struct site *was = site_of(before, name);

		buf_reset(&prefix);
		buf_printf(&prefix, "site %s", name);
		if (!was) {
			tell_word(d, buf_text(&prefix), "is new");
			continue;
		}
		buf_adds(&prefix, ": ");
		compare_scope(d, SCOPE_SITE, buf_text(&prefix), was, &now->sites[i]);
	}
	for (size_t i = 0; i < before->n_sites; i++) {
		const char *name = site_name(&before->sites[i]);

		buf_reset(&prefix);
		buf_printf(&prefix, "site %s", name);
		if (!site_of(now, name))
			tell_word(d, buf_text(&prefix), "is gone");
	}
}

void difference_find(const struct webspace *before, const struct webspace *now,
		     struct difference *ret)
{
	*ret = (struct difference){ 0 };
	compare_scope(ret, SCOPE_WEBSPACE, "", before, now);
	compare_sites(ret, before, now);
	if (ret->count > SENTENCE_MAX)
		buf_printf(&ret->sentence, "; and %zu more", ret->count - SENTENCE_MAX);
}

void difference_clear(struct difference *d)
{
	buf_clear(&d->sentence);
	buf_clear(&d->was);
	buf_clear(&d->is);
}

void difference_names(const struct webspace *w, struct buf *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_sites; i++)
		for (size_t j = 0; j < w->sites[i].names.count; j++)
			if (n++ < NAMES_SHOWN)
				buf_printf(ret, "%s%s", n > 1 ? ", " : "",
					   w->sites[i].names.items[j]);
	if (n > NAMES_SHOWN)
		buf_printf(ret, " and %zu more", n - NAMES_SHOWN);
}
