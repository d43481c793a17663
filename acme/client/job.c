/*
 * From the need to the order. First what costs the CA nothing: an order that is
 * in flight already, a look at our own listeners and at DNS, the limits. A name
 * that cannot be proved now is held back and the others go on: one dead name
 * does not take a certificate from the rest.
 *
 * A job never waits on the loop and never logs; it ends in cert_done.
 */
#include "acme/client/job.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "acme/client/renew.h"
#include "acme/store/room.h"
#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define LOOK_AGAIN_S 600 /* at a name that DNS or CAA speaks against */
#define LOOK_SOON_S  60  /* … that our own nginx does not answer for */
#define DAY          ((time_t)86400)

/* Ending ------------------------------------------------------------------ */

void job_free(struct job *j)
{
	if (!j)
		return;
	j->cert->ca->n_jobs--;
	j->cert->ca->n_names -= j->order.n_names;
	ca_drop(j->call);
	authorizations_clear(j);
	preflight_drop(j->preflight);
	program_drop(j->program);
	loop_drop(j->timer);
	key_free(j->key);
	order_clear(&j->order);
	buf_clear(&j->chain);
	for (size_t i = 0; i < j->alternates.count; i++)
		free((char *)(uintptr_t)j->alternates.items[i]);
	if (j->dir >= 0)
		close(j->dir);
	free(j);
}

void job_fail(struct job *j, const struct failure *f)
{
	cert_done(j->cert, f);
}

void job_fail_text(struct job *j, enum failure_class class, const char *format, ...)
{
	struct failure f = { .class = class };
	va_list ap;

	va_start(ap, format);
	vsnprintf(f.text, sizeof f.text, format, ap);
	va_end(ap);
	job_fail(j, &f);
}

/* A CA may spell a name its own way: in capitals, or with a dot at its end. */
const char *job_name(const struct job *j, const char *name)
{
	size_t len = strlen(name);

	if (len > 1 && name[len - 1] == '.')
		len--;
	for (size_t i = 0; i < j->order.n_names; i++)
		if (strlen(j->order.names[i]) == len &&
		    strncasecmp(j->order.names[i], name, len) == 0)
			return j->order.names[i];
	return NULL;
}

void job_hold_name(struct job *j, const char *any, const struct failure *f)
{
	const char *name = job_name(j, any);
	struct record *r = cert_record(j->cert);
	time_t now = clock_wall(), left = j->cert->ends ? j->cert->ends - now : 0;
	struct held_name *h;

	if (!name)
		return;
	h = record_hold(r, name, now, f->text);
	h->until += failure_wait(f, ++h->failures, left, hash_text(HASH_START, name));
}

void job_names_failed(struct job *j)
{
	const struct record *r = cert_record(j->cert);
	time_t now = clock_wall();
	bool any = false;

	for (size_t i = 0; i < j->order.n_names; i++) {
		const struct held_name *h = record_held(r, j->order.names[i]);

		any |= h && h->until > now;
	}
	order_drop(j->dir);
	if (any)
		cert_done(j->cert, NULL);
	else /* or the same would begin again at once */
		job_fail_text(j, FAILURE_PROTOCOL,
			      "names failed, and none of those that were ordered");
}

/* Sub-steps ----------------------------------------------------------------- */

static void on_call(const struct reply *r, void *data)
{
	struct job *j = data;
	void (*fn)(struct job *, const struct reply *) = j->after_call;

	j->call = NULL;
	fn(j, r);
}

void job_call(struct job *j, const struct call_spec *spec,
	      void (*fn)(struct job *j, const struct reply *r))
{
	struct call_spec mine = *spec;

	mine.fn = on_call;
	mine.data = j;
	j->after_call = fn;
	j->call = ca_call(j->cert->ca, &mine);
}

static void on_timer(void *data)
{
	struct job *j = data;

	j->after_wait(j);
}

void job_wait(struct job *j, uint64_t usec, void (*fn)(struct job *j))
{
	j->after_wait = fn;
	if (!j->timer)
		j->timer = loop_timer(j->cert->a->config.loop, UINT64_MAX, on_timer, j);
	loop_timer_set(j->timer, clock_usec() + usec);
}

/* A look before the order -------------------------------------------------------- */

static void set_names(struct job *j, const char *const *names, size_t n)
{
	j->order.names = memory_new((n + 1) * sizeof *j->order.names);
	for (size_t i = 0; i < n; i++)
		j->order.names[i] = memory_dup(names[i]);
	j->order.n_names = n;
	j->cert->ca->n_names += n;
}

static bool lists(const struct text_array *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->items[i], name) == 0)
			return true;
	return false;
}

/*
 * Where the name's traffic goes to, we cannot know behind NAT or a load balancer: once a day the CA
 * is asked all the same.
 */
static bool is_to_be_tried(struct held_name *h, time_t now)
{
	if (!h->tried)
		h->tried = now;
	if (now < h->tried + DAY)
		return false;
	h->tried = now;
	return true;
}

/* It is held back by this. False: it is tried all the same. */
static bool hold_by(struct record *record, const struct verdict *v)
{
	time_t now = clock_wall();
	struct held_name *h = record_hold(
		record, v->name, now + (v->kind == VERDICT_LISTENER ? LOOK_SOON_S : LOOK_AGAIN_S),
		v->text);

	return v->kind != VERDICT_ELSEWHERE || !is_to_be_tried(h, now);
}

/* That no name at all is answered for is our own fault: nginx is only starting, or down. */
static bool nothing_answers(const struct verdict *verdicts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (verdicts[i].kind != VERDICT_LISTENER)
			return false;
	return n > 0;
}

/* What is left of the names. */
static void on_preflight(const struct verdict *verdicts, size_t n, void *data)
{
	struct job *j = data;
	struct cert *c = j->cert;
	struct text_array good = { 0 };

	if (nothing_answers(verdicts, n)) {
		job_fail_text(j, FAILURE_HOST, "%s", verdicts[0].text);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (!lists(&good, verdicts[i].name) &&
		    (verdicts[i].kind == VERDICT_GOOD || !hold_by(cert_record(c), &verdicts[i])))
			good.items[good.count++] = verdicts[i].name;
	set_names(j, good.items, good.count);
	preflight_drop(take_ptr(j->preflight)); /* and the names in good with it */
	if (j->order.n_names &&
	    cert_needs(c, (const char *const *)j->order.names, j->order.n_names))
		job_order(j);
	else
		cert_done(c, NULL);
}

static void look_first(struct job *j)
{
	struct cert *c = j->cert;
	const char *active[WIRE_NAMES_MAX];
	size_t n =
		record_active(cert_record(c), c->want.names, c->want.n_names, clock_wall(), active);

	j->preflight = preflight_begin(c->ca, active, n, c->want.dns_01, on_preflight, j);
}

/* An order in flight ----------------------------------------------------------- */

/* Its names are wanted, and all that are active are among them. */
static bool is_still_wanted(const struct job *j, const struct order_record *o)
{
	const struct cert *c = j->cert;
	const struct record *record = cert_record(c);
	time_t now = clock_wall();
	size_t found = 0, active = 0;

	for (size_t i = 0; i < c->want.n_names; i++) {
		const struct held_name *h = record_held(record, c->want.names[i]);
		bool ordered = false;

		for (size_t k = 0; k < o->n_names; k++)
			ordered |= strcmp(o->names[k], c->want.names[i]) == 0;
		found += ordered;
		active += !ordered && (!h || h->until <= now);
	}
	return strcmp(o->ca, c->ca->directory) == 0 && ca_owns(c->ca, o->url) &&
	       ca_owns(c->ca, o->finalize) && found == o->n_names && active == 0;
}

/* It is begun anew: what is left of the old order is of no use. */
static void start_over(struct job *j)
{
	order_drop(j->dir);
	j->cert->ca->n_names -= j->order.n_names;
	order_clear(&j->order);
	key_free(take_ptr(j->key));
	j->resumed = false;
	look_first(j);
}

/* A limit or a refused account says nothing of the order: it stays, for later. */
static void on_resumed(struct job *j, const struct reply *r)
{
	struct failure f;

	failure_of(r, clock_wall(), &f);
	if (f.class == FAILURE_LIMITED || f.class == FAILURE_ACCOUNT)
		job_refused(j, r);
	else if (reply_is_bad(r) || r->status == STATUS_INVALID || r->status == STATUS_NONE)
		start_over(j);
	else if (job_takes_order(j, r))
		job_go_on(j, r);
}

static bool resume(struct job *j)
{
	struct cert *c = j->cert;

	if (order_read(j->dir, &j->order) < 0)
		return false;
	c->ca->n_names += j->order.n_names;
	if (!is_still_wanted(j, &j->order) ||
	    store_read_key(c->a->config.store, &c->place, j->order.generation, &j->key, NULL) < 0 ||
	    key_type(j->key) != c->want.key)
		return false;
	j->resumed = true;
	job_call(j, &(struct call_spec){ .kind = REQUEST_ORDER, .url = j->order.url }, on_resumed);
	return true;
}

void job_begin(struct cert *c)
{
	struct job *j = memory_new(sizeof *j);
	struct err e = { 0 };

	j->cert = c;
	j->began_usec = clock_usec();
	c->job = j;
	c->ca->n_jobs++;
	j->dir = cert_dir(c, &e);
	if (j->dir < 0 || room_check(j->dir, &e) < 0)
		job_fail_text(j, FAILURE_HOST, "%s", e.text);
	else if (!resume(j))
		start_over(j);
}
