/*
 * Both files are small JSON objects that root alone reads. Whatever is odd in
 * them is passed over: the worst that an empty record leads to is that the CA is
 * asked once more.
 */
#include "acme/store/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/store/store.h"
#include "agent/base/json.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define FILE_MAX  65536
#define NAMES_MAX 100
#define AHEAD_MAX ((time_t)8 * 86400)

/* Fields of state.json that are read and written alike. */
struct text_row {
	const char *key;
	size_t offset;
};
static const struct text_row texts[] = {
	{ "ca", offsetof(struct record, ca) },
	{ "issuer", offsetof(struct record, issuer) },
	{ "serial", offsetof(struct record, serial) },
	{ "ari", offsetof(struct record, ari) },
	{ "key", offsetof(struct record, key) },
	{ "wanted", offsetof(struct record, wanted) },
	{ "order", offsetof(struct record, order) },
	{ "reason", offsetof(struct record, reason) },
	{ "problem", offsetof(struct record, problem) },
	{ "served_problem", offsetof(struct record, served_problem) },
};
static const struct text_row times[] = {
	{ "success", offsetof(struct record, success) },
	{ "next_try", offsetof(struct record, next_try) },
	{ "failed_since", offsetof(struct record, failed_since) },
	{ "window_start", offsetof(struct record, window_start) },
	{ "window_end", offsetof(struct record, window_end) },
	{ "chosen", offsetof(struct record, chosen) },
	{ "ask_window", offsetof(struct record, ask_window) },
};
static const struct text_row flags[] = {
	{ "replaced", offsetof(struct record, replaced) },
	{ "forced", offsetof(struct record, forced) },
	{ "new_key", offsetof(struct record, new_key) },
};

static void *at(const struct record *r, size_t offset)
{
	return (char *)(uintptr_t)r + offset;
}

void record_set_text(char **field, const char *text)
{
	char *copy = text && *text ? memory_dup(text) : NULL;

	free(*field);
	*field = copy;
}

void record_set_problem(struct record *r, const char *reason, const char *problem)
{
	record_set_text(&r->reason, reason);
	record_set_text(&r->problem, problem);
}

static int read_json(int dir, const char *name, struct json **ret)
{
	autofree char *text = NULL;
	size_t len;
	int r = path_read(dir, name, FILE_MAX, &text, &len, NULL);

	return r < 0 ? r : json_parse(text, len, ret, NULL);
}

static int write_json(int dir, const char *name, const struct json *j, struct err *e)
{
	autofree char *text = json_write(j, true);
	int r = put_file(dir, name, 0600, text, strlen(text), PUT_BEGUN, e);

	return r < 0 ? r : 0;
}

static void read_held(const struct json *list, struct record *ret)
{
	for (size_t i = 0; i < json_count(list) && i < NAMES_MAX; i++) {
		const struct json *row = json_at(list, i);
		const char *name = json_text(row, "name"), *why = json_text(row, "why");
		struct held_name *h;

		if (!name)
			continue;
		h = record_hold(ret, name, (time_t)json_number(row, "until", 0), why);
		h->failures = (unsigned)json_number(row, "failures", 0);
		h->tried = (time_t)json_number(row, "tried", 0);
	}
}

void record_read(int dir, struct record *ret)
{
	autojson struct json *j = NULL;
	const char *content;

	*ret = (struct record){ 0 };
	if (read_json(dir, "state.json", &j) < 0)
		return;
	for (size_t i = 0; i < ELEMENTS(texts); i++)
		record_set_text(at(ret, texts[i].offset), json_text(j, texts[i].key));
	for (size_t i = 0; i < ELEMENTS(times); i++)
		*(time_t *)at(ret, times[i].offset) = (time_t)json_number(j, times[i].key, 0);
	for (size_t i = 0; i < ELEMENTS(flags); i++)
		*(bool *)at(ret, flags[i].offset) = json_bool(j, flags[i].key, false);
	ret->failures = (unsigned)json_number(j, "failures", 0);
	content = json_text(j, "content");
	ret->content = content ? strtoull(content, NULL, 16) : 0;
	read_held(json_get(j, "held"), ret);
}

static struct json *write_held(const struct record *r)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < r->n_held; i++) {
		struct json *row = json_new_object();

		json_put_text(row, "name", r->held[i].name);
		json_put_text(row, "why", r->held[i].why);
		json_put_number(row, "until", r->held[i].until);
		if (r->held[i].failures)
			json_put_number(row, "failures", r->held[i].failures);
		if (r->held[i].tried)
			json_put_number(row, "tried", r->held[i].tried);
		json_add(list, row);
	}
	return list;
}

int record_write(int dir, const struct record *r, struct err *e)
{
	autojson struct json *j = json_new_object();
	char content[20];

	for (size_t i = 0; i < ELEMENTS(texts); i++)
		if (*(char **)at(r, texts[i].offset))
			json_put_text(j, texts[i].key, *(char **)at(r, texts[i].offset));
	for (size_t i = 0; i < ELEMENTS(times); i++)
		if (*(time_t *)at(r, times[i].offset))
			json_put_number(j, times[i].key, *(time_t *)at(r, times[i].offset));
	for (size_t i = 0; i < ELEMENTS(flags); i++)
		if (*(bool *)at(r, flags[i].offset))
			json_put_bool(j, flags[i].key, true);
	if (r->failures)
		json_put_number(j, "failures", r->failures);
	snprintf(content, sizeof content, "%" PRIx64, r->content);
	json_put_text(j, "content", content);
	if (r->n_held)
		json_put(j, "held", write_held(r));
	return write_json(dir, "state.json", j, e);
}

static void held_clear(struct held_name *h)
{
	free(h->name);
	free(h->why);
}

void record_clear(struct record *r)
{
	for (size_t i = 0; i < ELEMENTS(texts); i++)
		free(*(char **)at(r, texts[i].offset));
	for (size_t i = 0; i < r->n_held; i++)
		held_clear(&r->held[i]);
	free(r->held);
	*r = (struct record){ 0 };
}

const struct held_name *record_held(const struct record *r, const char *name)
{
	for (size_t i = 0; i < r->n_held; i++)
		if (strcmp(r->held[i].name, name) == 0)
			return &r->held[i];
	return NULL;
}

size_t record_active(const struct record *r, const char *const *names, size_t n, time_t now,
		     const char **ret)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		const struct held_name *h = record_held(r, names[i]);

		if (!h || h->until <= now)
			ret[count++] = names[i];
	}
	return count;
}

struct held_name *record_hold(struct record *r, const char *name, time_t until, const char *why)
{
	struct held_name *h = NULL;

	for (size_t i = 0; i < r->n_held && !h; i++)
		if (strcmp(r->held[i].name, name) == 0)
			h = &r->held[i];
	if (!h) {
		r->held = memory_resize(r->held, r->n_held + 1, sizeof *r->held);
		h = &r->held[r->n_held++];
		*h = (struct held_name){ .name = memory_dup(name) };
	}
	h->until = until;
	record_set_text(&h->why, why);
	return h;
}

void record_mend_times(struct record *r, time_t now)
{
	time_t *const ahead[] = { &r->success, &r->next_try, &r->failed_since, &r->ask_window };

	for (size_t i = 0; i < ELEMENTS(ahead); i++)
		if (*ahead[i] > now + AHEAD_MAX)
			*ahead[i] = 0;
	for (size_t i = 0; i < r->n_held; i++) {
		if (r->held[i].until > now + AHEAD_MAX)
			r->held[i].until = now;
		if (r->held[i].tried > now)
			r->held[i].tried = now;
	}
}

void record_release(struct record *r, const char *name)
{
	for (size_t i = 0; i < r->n_held; i++) {
		if (strcmp(r->held[i].name, name) != 0)
			continue;
		held_clear(&r->held[i]);
		r->held[i] = r->held[--r->n_held];
		return;
	}
}

void record_inherit(struct record *r, const struct record *from)
{
	for (size_t i = 0; i < ELEMENTS(texts); i++)
		if (texts[i].offset != offsetof(struct record, wanted))
			record_set_text(at(r, texts[i].offset),
					*(char **)at(from, texts[i].offset));
	for (size_t i = 0; i < ELEMENTS(times); i++)
		*(time_t *)at(r, times[i].offset) = *(time_t *)at(from, times[i].offset);
	for (size_t i = 0; i < ELEMENTS(flags); i++)
		*(bool *)at(r, flags[i].offset) = *(bool *)at(from, flags[i].offset);
	r->content = from->content;
	r->failures = from->failures;
	for (size_t i = 0; i < from->n_held; i++) {
		const struct held_name *was = &from->held[i];
		struct held_name *h = record_hold(r, was->name, was->until, was->why);

		h->failures = was->failures;
		h->tried = was->tried;
	}
}

/* The store's copies ------------------------------------------------------ */

struct record *store_record_of(struct store *s, const struct place *p)
{
	struct record *r = table_get(&s->records, p->site);
	autofd int dir = -1;

	if (r)
		return r;
	r = memory_new(sizeof *r);
	dir = s->certs < 0 ? -1 : path_open(s->certs, p->site, O_RDONLY | O_DIRECTORY, NULL);
	if (dir >= 0)
		record_read(dir, r);
	(void)table_set(&s->records, p->site, r);
	return r;
}

const struct record *store_record(struct store *s, const char *webspace, const char *site)
{
	static const struct record none;
	struct place p;

	return store_place(webspace, site, &p, NULL) < 0 ? &none : store_record_of(s, &p);
}

void store_forget_records(struct store *s, const char *webspace)
{
	size_t len = webspace ? strlen(webspace) : 0;
	struct table_entry *it;

	table_each (&s->records, it) {
		struct record *r = it->value;

		if (webspace && (strncmp(it->key, webspace, len) != 0 || it->key[len] != '/'))
			continue;
		(void)table_take(&s->records, it->key);
		record_clear(r);
		free(r);
	}
	if (!webspace)
		table_clear(&s->records);
}

/* Orders --------------------------------------------------------------- */

void order_clear(struct order_record *o)
{
	free(o->ca);
	free(o->url);
	free(o->finalize);
	for (size_t i = 0; i < o->n_names; i++)
		free(o->names[i]);
	free(o->names);
	*o = (struct order_record){ 0 };
}

int order_read(int dir, struct order_record *ret)
{
	autojson struct json *j = NULL;
	const struct json *names;
	int r = read_json(dir, "order.json", &j);

	*ret = (struct order_record){ 0 };
	if (r < 0)
		return -ENOENT;
	record_set_text(&ret->ca, json_text(j, "ca"));
	record_set_text(&ret->url, json_text(j, "url"));
	record_set_text(&ret->finalize, json_text(j, "finalize"));
	ret->generation = (unsigned)json_number(j, "generation", 0);
	ret->replaces = json_bool(j, "replaces", false);
	names = json_get(j, "names");
	ret->names = memory_new((json_count(names) + 1) * sizeof *ret->names);
	for (size_t i = 0; i < json_count(names) && i < NAMES_MAX; i++)
		if (json_text_at(names, i))
			ret->names[ret->n_names++] = memory_dup(json_text_at(names, i));
	if (ret->ca && ret->url && ret->finalize && ret->generation && ret->n_names)
		return 0;
	order_clear(ret);
	return -ENOENT;
}

int order_write(int dir, const struct order_record *o, struct err *e)
{
	autojson struct json *j = json_new_object();
	struct json *names = json_new_array();

	json_put_text(j, "ca", o->ca);
	if (o->url) {
		json_put_text(j, "url", o->url);
		json_put_text(j, "finalize", o->finalize);
	}
	json_put_number(j, "generation", o->generation);
	json_put_bool(j, "replaces", o->replaces);
	for (size_t i = 0; i < o->n_names; i++)
		json_add_text(names, o->names[i]);
	json_put(j, "names", names);
	return write_json(dir, "order.json", j, e);
}

void order_drop(int dir)
{
	(void)unlinkat(dir, "order.json", 0);
}
