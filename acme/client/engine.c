/*
 * The certificates, and whose turn it is. Each knows when something is to be
 * done about it; one timer waits for the first of these times. Turns are taken by
 * need: what has nothing good yet, or not for long, comes before what is merely
 * due, and what ends first comes first.
 *
 * Times are wall times, for they outlive us. So everything is looked at again
 * with every full pass: a clock that jumped or a machine that slept is then no
 * special case.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/client/account_key.h"
#include "acme/client/job.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define SLEEP_LONGEST_S 3600
#define WINDOWS_AT_ONCE 8
#define SOON_S          10
#define SOON_TRIES      5

void acme_tell(struct acme *a, enum acme_news news, const char *webspace, const char *format, ...)
{
	char text[800];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (!a->closing)
		a->config.told(news, webspace, text, a->config.data);
}

void acme_take_turn(struct acme *a)
{
	a->turn_due = true;
	loop_idle_set(a->turn);
}

/* Turns ----------------------------------------------------------------------------- */

static bool comes_before(const struct cert *a, const struct cert *b)
{
	if (!b || a->urgent != b->urgent)
		return !b || a->urgent;
	return a->ends < b->ends;
}

/* Is it this one's turn, as far as its CA goes? If not, when. */
static bool may_begin(struct cert *c, time_t *ret_until)
{
	const char *active[WIRE_NAMES_MAX], *reason;
	struct limits_order order;
	struct failure f;
	char text[480];
	uint64_t until_usec, now_usec = clock_usec();
	time_t now = clock_wall();

	*ret_until = 0;
	if (!ca_takes_orders(c->ca, &reason, text, &until_usec)) {
		if (until_usec != UINT64_MAX) {
			cert_note(c, reason, text);
			*ret_until = now + (time_t)((until_usec - now_usec) / USEC_PER_SEC) + 1;
		}
		return false;
	}
	/* An order says what the directory allows; what is asked now answers by a turn. */
	if (!directory_is_known(c->ca)) {
		directory_ask(c->ca);
		return false;
	}
	if (cert_may_order(
		    c, active,
		    record_active(cert_record(c), c->want.names, c->want.n_names, now, active),
		    &order, &f))
		return true;
	cert_note(c, failure_reason(f.class), f.text);
	*ret_until = now + f.wait;
	return false;
}

struct turn {
	struct cert *best;
	time_t now, next;
};

static void wait_until(struct turn *t, time_t at)
{
	if (at && (!t->next || at < t->next))
		t->next = at;
}

static void consider(struct cert *c, struct turn *t)
{
	time_t until;

	if (c->ask && c->ask <= t->now && !c->window && !c->ca->why_closed &&
	    c->a->n_asked_windows < WINDOWS_AT_ONCE)
		window_ask(c);
	if (c->ask > t->now)
		wait_until(t, c->ask);
	if (c->job)
		return;
	if (c->due > t->now)
		wait_until(t, c->due);
	else if (!comes_before(c, t->best))
		return; /* the dearer question is asked of few */
	else if (may_begin(c, &until))
		t->best = c;
	else
		wait_until(t, until);
}

/* The one whose turn it is, or NULL; and when to look again. */
static struct cert *next_turn(struct acme *a, time_t *ret_next)
{
	struct turn t = { .now = clock_wall() };
	struct table_entry *it;

	table_each (&a->owners, it) {
		const struct owner *o = it->value;

		for (size_t i = 0; i < o->n; i++)
			consider(o->certs[i], &t);
	}
	*ret_next = t.next;
	return t.best;
}

static void on_turn(void *data)
{
	struct acme *a = data;
	time_t next, now;
	struct cert *c;

	a->turn_due = false;
	while ((c = next_turn(a, &next)))
		job_begin(c);
	now = clock_wall();
	if (!next || next > now + SLEEP_LONGEST_S)
		next = now + SLEEP_LONGEST_S;
	loop_timer_set(a->timer,
		       clock_usec() + (uint64_t)(next > now ? next - now : 1) * USEC_PER_SEC);
}

/* What is wanted ---------------------------------------------------------------------- */

struct owner *acme_owner(const struct acme *a, const char *webspace)
{
	return table_get(&a->owners, webspace);
}

static struct ca *find_ca(struct acme *a, const char *directory, struct err *e)
{
	struct ca *ca = table_get(&a->cas, directory);

	if (!ca && ca_open(a, directory, &ca, e) == 0)
		(void)table_set(&a->cas, directory, ca);
	return ca;
}

static void cert_free(struct cert *c)
{
	job_free(c->job);
	if (c->window) {
		ca_drop(c->window);
		c->a->n_asked_windows--;
	}
	ca_drop(c->revocation);
	served_drop(c);
	arena_clear(&c->arena);
	c->a->n_certs--;
	free(c);
}

static bool has_name(const struct acme_want *w, const char *name)
{
	for (size_t i = 0; i < w->n_names; i++)
		if (strcmp(w->names[i], name) == 0)
			return true;
	return false;
}

/* In whatever order. */
static bool same_names(const struct acme_want *a, const struct acme_want *b)
{
	if (a->n_names != b->n_names)
		return false;
	for (size_t i = 0; i < a->n_names; i++)
		if (strcmp(a->names[i], b->names[i]) != 0 && !has_name(b, a->names[i]))
			return false;
	return true;
}

static bool same_want(const struct acme_want *a, const struct acme_want *b)
{
	return strcmp(a->site, b->site) == 0 && strcmp(a->directory, b->directory) == 0 &&
	       strcmp(a->profile, b->profile) == 0 &&
	       strcmp(a->preferred_chain, b->preferred_chain) == 0 && a->key == b->key &&
	       a->dns_01 == b->dns_01 && a->key_lifetime == b->key_lifetime && same_names(a, b);
}

static void copy_want(struct cert *c, const struct acme_want *want)
{
	const char **names = arena_new(&c->arena, (want->n_names + 1) * sizeof *names);

	for (size_t i = 0; i < want->n_names; i++)
		names[i] = arena_dup(&c->arena, want->names[i]);
	c->want = *want;
	c->want.names = names;
	c->want.site = arena_dup(&c->arena, want->site);
	c->want.directory = arena_dup(&c->arena, want->directory);
	c->want.profile = arena_dup(&c->arena, want->profile);
	c->want.preferred_chain = arena_dup(&c->arena, want->preferred_chain);
}

/* Garbage, or of an agent that ended when its record told of the certificate already. */
static void drop_order_that_is_over(const struct cert *c)
{
	struct store *s = c->a->config.store;
	const char *over = cert_record(c)->order;
	struct order_record left = { 0 };
	autofd int dir = path_open(s->certs, c->place.site, O_RDONLY | O_DIRECTORY, NULL);

	if (dir < 0)
		return;
	if (order_read(dir, &left) < 0) {
		order_drop(dir);
	} else if (over && strcmp(left.url, over) == 0) {
		(void)store_settle(s, &c->place, left.generation, NULL);
		order_drop(dir);
	}
	order_clear(&left);
}

static int cert_new(struct acme *a, const char *webspace, const struct acme_want *want,
		    struct cert **ret, struct err *e)
{
	struct place place;
	struct ca *ca = NULL;
	struct cert *c;
	int r = store_place(webspace, want->site, &place, e);

	if (r == 0 && (want->n_names == 0 || want->n_names > WIRE_NAMES_MAX))
		r = err_set(e, EINVAL, "%zu names; a certificate has 1 to %d", want->n_names,
			    WIRE_NAMES_MAX);
	if (r == 0 && !(ca = find_ca(a, want->directory, e)))
		r = -EIO;
	if (r < 0)
		return r;
	c = memory_new(sizeof *c);
	c->a = a;
	c->ca = ca;
	c->place = place;
	c->webspace = arena_dup(&c->arena, webspace);
	copy_want(c, want);
	a->n_certs++;
	drop_order_that_is_over(c);
	*ret = c;
	return 0;
}

static struct cert **find_cert(const struct owner *o, const char *site)
{
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->certs[i]->want.site, site) == 0)
			return &o->certs[i];
	return NULL;
}

static void owner_want(struct acme *a, struct owner *o, const char *webspace,
		       const struct acme_want *want)
{
	struct cert **at = find_cert(o, want->site), *c;
	struct err e = { 0 };

	if (at && same_want(&(*at)->want, want)) {
		(*at)->wanted = true;
		cert_look(*at);
		return;
	}
	if (cert_new(a, webspace, want, &c, &e) < 0) {
		acme_tell(a, ACME_PROBLEM, webspace, "%s: %s", want->site, e.text);
		return;
	}
	if (at) {
		cert_free(*at);
		*at = c;
	} else {
		o->certs = memory_resize(o->certs, o->n + 1, sizeof *o->certs);
		o->certs[o->n++] = c;
	}
	c->wanted = true;
	cert_compare(c);
	cert_look(c);
}

static void owner_sweep(struct acme *a, struct owner *o, const char *webspace)
{
	size_t kept = 0;

	for (size_t i = 0; i < o->n; i++) {
		if (o->certs[i]->wanted)
			o->certs[kept++] = o->certs[i];
		else
			cert_free(o->certs[i]);
	}
	o->n = kept;
	if (kept)
		return;
	free(o->certs);
	free(table_take(&a->owners, webspace));
}

void acme_set(struct acme *a, const char *webspace, const struct acme_want *wants, size_t n)
{
	struct owner *o = acme_owner(a, webspace);

	if (!o && n == 0)
		return;
	if (!o) {
		o = memory_new(sizeof *o);
		(void)table_set(&a->owners, webspace, o);
	}
	for (size_t i = 0; i < o->n; i++)
		o->certs[i]->wanted = false;
	for (size_t i = 0; i < n; i++)
		owner_want(a, o, webspace, &wants[i]);
	owner_sweep(a, o, webspace);
}

void acme_look(struct acme *a)
{
	struct table_entry *it;

	table_each (&a->cas, it)
		ca_go_on(it->value);
	table_each (&a->owners, it) {
		const struct owner *o = it->value;

		for (size_t i = 0; i < o->n; i++)
			cert_look(o->certs[i]);
	}
}

/* Opening and closing -------------------------------------------------------------------- */

/* Soon again: nginx was only starting. */
static bool is_busy(const struct cert *c)
{
	if (c->ca->why_closed || account_is_refused(c->ca))
		return false;
	return c->job ||
	       (c->urgent && c->due <= clock_wall() + SOON_S && c->host_failures < SOON_TRIES);
}

bool acme_busy(const struct acme *a)
{
	struct table_entry *it;

	table_each (&a->owners, it) {
		const struct owner *o = it->value;

		for (size_t i = 0; i < o->n; i++)
			if (is_busy(o->certs[i]))
				return true;
	}
	return a->turn_due;
}

struct acme_figures acme_figures(const struct acme *a)
{
	struct link_figures l = link_figures(a->link);
	struct acme_figures ret = {
		.wanted = a->n_certs,
		.issued = a->issued,
		.failed = a->failed,
		.requests = l.requests,
		.connections = l.connections,
		.deaths = l.deaths,
	};
	struct table_entry *it;

	table_each (&a->cas, it)
		ret.orders += ((const struct ca *)it->value)->n_jobs;
	return ret;
}

static const char *const *copy_list(struct acme *a, const char *const *items, size_t n)
{
	const char **ret = arena_new(&a->arena, (n + 1) * sizeof *ret);

	for (size_t i = 0; i < n; i++)
		ret[i] = arena_dup(&a->arena, items[i]);
	return ret;
}

static void copy_config(struct acme *a)
{
	struct acme_config *c = &a->config;
	const char **texts[] = { &c->run_dir, &c->directory,    &c->thumbprint,  &c->eab_kid,
				 &c->eab_key, &c->eab_key_file, &c->account_key, &c->ca_file,
				 &c->user,    &c->hook };

	for (size_t i = 0; i < ELEMENTS(texts); i++)
		*texts[i] = arena_dup(&a->arena, *texts[i]);
	c->contacts = copy_list(a, c->contacts, c->n_contacts);
	c->http = copy_list(a, c->http, c->n_http);
	c->https = copy_list(a, c->https, c->n_https);
	c->addresses = copy_list(a, c->addresses, c->n_addresses);
}

static void on_timer(void *data)
{
	acme_look(data);
}

int acme_open(const struct acme_config *config, struct acme **ret, struct err *e)
{
	struct acme *a = memory_new(sizeof *a);

	(void)e;
	a->config = *config;
	copy_config(a);
	link_open(&(struct link_config){ .loop = config->loop,
					 .user = config->user,
					 .ca_file = config->ca_file },
		  &a->link);
	if (*config->hook)
		a->hooks = hooks_open(config->loop, config->hook, config->hook_timeout_s);
	a->timer = loop_timer(config->loop, UINT64_MAX, on_timer, a);
	a->turn = loop_idle(config->loop, on_turn, a);
	*ret = a;
	return 0;
}

void acme_close(struct acme *a)
{
	struct table_entry *it;

	if (!a)
		return;
	a->closing = true;
	table_each (&a->owners, it) {
		struct owner *o = it->value;

		for (size_t i = 0; i < o->n; i++)
			cert_free(o->certs[i]);
		free(o->certs);
		free(o);
	}
	table_clear(&a->owners);
	table_each (&a->cas, it)
		ca_close(it->value);
	table_clear(&a->cas);
	hooks_close(a->hooks);
	link_close(a->link);
	loop_drop(a->timer);
	loop_drop(a->turn);
	arena_clear(&a->arena);
	free(a);
}
