/*
 * A bucket is the moment at which it will be full again: that one number says
 * how much is in it at any time, and a clock that jumps back fills nothing.
 * The public suffix list, which says what a registered domain is, is known here alone.
 */
#include "acme/client/limits.h"

#include <inttypes.h>
#include <libpsl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/store/seen.h"
#include "agent/base/json.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define FILE_NAME "limits.json"
#define FILE_MAX  (1u << 20)
#define HOUR      ((time_t)3600)
#define DAY       (24 * HOUR)
#define LONGEST   (8 * DAY)

enum { KIND_ACCOUNT };

/* https://letsencrypt.org/docs/rate-limits/ */
static const struct kind {
	const char *prefix;
	const char *what;
	unsigned room;
	time_t seconds; /* in which it refills from empty */
} kinds[] = {
	[KIND_ACCOUNT] = { "account", "300 new orders in 3 hours", 300, 3 * HOUR },
	{ "domain ", "50 certificates of a registered domain in 7 days", 50, 7 * DAY },
	{ "set ", "5 certificates of the same names in 7 days", 5, 7 * DAY },
};

struct bucket {
	const struct kind *kind;
	time_t full_at;
};

static const struct kind *kind_of(const char *name)
{
	for (size_t i = 0; i < ELEMENTS(kinds); i++)
		if (strncmp(name, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return &kinds[i];
	return NULL;
}

static struct bucket *bucket_of(struct limits *l, const char *name)
{
	struct bucket *b = table_get(&l->buckets, name);

	if (b)
		return b;
	b = memory_new(sizeof *b);
	b->kind = kind_of(name);
	(void)table_set(&l->buckets, name, b);
	return b;
}

/* A CA's "not before" goes up to LONGEST; beyond that, a clock that was wrong has written it. */
static bool is_possible(const struct bucket *b, time_t now)
{
	return b->full_at <= now + b->kind->seconds + LONGEST;
}

/* When there will be one to take; in the past: now. */
static time_t next_token(const struct bucket *b)
{
	return b->full_at - b->kind->seconds + b->kind->seconds / b->kind->room;
}

static void take(struct bucket *b, time_t now)
{
	if (b->full_at < now || !is_possible(b, now))
		b->full_at = now;
	b->full_at += b->kind->seconds / b->kind->room;
}

const char *limits_domain(const char *name)
{
	const psl_ctx_t *list = psl_builtin();
	const char *host = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
	const char *found = list ? psl_registrable_domain(list, host) : NULL;

	return found ? found : host;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The set's name does not hang on the order of the names. */
static void set_name(const char *const *names, size_t n, char ret[static 32])
{
	autofree const char **sorted = memory_new((n + 1) * sizeof *sorted);

	for (size_t i = 0; i < n; i++)
		sorted[i] = names[i];
	qsort(sorted, n, sizeof *sorted, by_text);
	snprintf(ret, 32, "set %016" PRIx64, seen_names(sorted, n));
}

#define BUCKETS_MAX 128

/* The names of all buckets that the order takes from, each once; the caller's to free. */
static size_t buckets_of(const struct limits_order *o, char *ret[BUCKETS_MAX])
{
	char set[32];
	size_t n = 0;

	if (o->replaces)
		return 0;
	set_name(o->names, o->n_names, set);
	ret[n++] = memory_dup(set);
	if (o->renewal)
		return n;
	ret[n++] = memory_dup("account");
	for (size_t i = 0; i < o->n_names && n < BUCKETS_MAX; i++) {
		char *name = memory_printf("domain %s", limits_domain(o->names[i]));
		size_t k = 0;

		while (k < n && strcmp(ret[k], name) != 0)
			k++;
		if (k == n)
			ret[n++] = name;
		else
			free(name);
	}
	return n;
}

bool limits_allow(struct limits *l, const struct limits_order *order, time_t now, time_t *ret_until,
		  const char **ret_what)
{
	char *names[BUCKETS_MAX];
	const struct bucket *last = NULL, *b;
	size_t n = l->buckets.count ? buckets_of(order, names) : 0;

	for (size_t i = 0; i < n; i++) {
		b = table_get(&l->buckets, names[i]);
		if (b && is_possible(b, now) && next_token(b) > now &&
		    (!last || next_token(b) > next_token(last)))
			last = b;
		free(names[i]);
	}
	if (!last)
		return true;
	*ret_until = next_token(last);
	*ret_what = last->kind->what;
	return false;
}

void limits_spend(struct limits *l, const struct limits_order *order, time_t now)
{
	char *names[BUCKETS_MAX];
	size_t n = buckets_of(order, names);

	for (size_t i = 0; i < n; i++) {
		take(bucket_of(l, names[i]), now);
		free(names[i]);
	}
	l->changed |= n > 0;
}

void limits_return(struct limits *l, const struct limits_order *order)
{
	char *names[BUCKETS_MAX];
	size_t n = buckets_of(order, names);

	for (size_t i = 0; i < n; i++) {
		struct bucket *b = table_get(&l->buckets, names[i]);

		if (b && b->kind != &kinds[KIND_ACCOUNT])
			b->full_at -= b->kind->seconds / b->kind->room;
		free(names[i]);
	}
	l->changed |= n > 0;
}

static void drain(struct limits *l, const char *bucket, time_t until, time_t now)
{
	struct bucket *b = bucket_of(l, bucket);
	time_t full_at;

	if (until <= now)
		return;
	full_at = until + b->kind->seconds - b->kind->seconds / b->kind->room;
	if (b->full_at >= full_at)
		return;
	b->full_at = full_at;
	l->changed = true;
}

void limits_drain_account(struct limits *l, time_t until, time_t now)
{
	drain(l, "account", until, now);
}

void limits_drain_domain(struct limits *l, const char *domain, time_t until, time_t now)
{
	autofree char *bucket = memory_printf("domain %s", domain);

	drain(l, bucket, until, now);
}

void limits_drain_set(struct limits *l, const char *const *names, size_t n, time_t until,
		      time_t now)
{
	char bucket[32];

	set_name(names, n, bucket);
	drain(l, bucket, until, now);
}

void limits_read(struct limits *l, int dir, time_t now)
{
	autojson struct json *j = NULL;
	autofree char *text = NULL;
	size_t len;

	if (path_read(dir, FILE_NAME, FILE_MAX, &text, &len, NULL) < 0 ||
	    json_parse(text, len, &j, NULL) < 0)
		return;
	for (size_t i = 0; i < json_count(j); i++) {
		const struct json *row = json_at(j, i);
		const char *name = json_text(row, "bucket");
		time_t full_at = (time_t)json_number(row, "full_at", 0);
		const struct kind *kind = name ? kind_of(name) : NULL;

		if (kind && full_at > now && is_possible(&(struct bucket){ kind, full_at }, now))
			bucket_of(l, name)->full_at = full_at;
	}
}

int limits_write(struct limits *l, int dir, time_t now, struct err *e)
{
	autojson struct json *j = json_new_array();
	autofree char *text = NULL;
	struct table_entry *it;
	int r;

	if (!l->changed)
		return 0;
	table_each (&l->buckets, it) {
		const struct bucket *b = it->value;
		struct json *row;

		if (b->full_at <= now) {
			free(table_take(&l->buckets, it->key));
			continue;
		}
		row = json_new_object();
		json_put_text(row, "bucket", it->key);
		json_put_number(row, "full_at", b->full_at);
		json_add(j, row);
	}
	text = json_write(j, false);
	r = put_file(dir, FILE_NAME, 0600, text, strlen(text), PUT_SYNC, e);
	l->changed = r < 0;
	return r < 0 ? r : 0;
}

void limits_clear(struct limits *l)
{
	table_free_values(&l->buckets);
}
