/*
 * One certificate: whether the live one is what is wanted, when its time comes,
 * and what came of the last try. What is decided here is decided from the
 * certificate itself and its record; nothing is remembered that could differ.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "acme/client/job.h"
#include "acme/client/standing.h"
#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/own.h"

#define STARTING_TRIES 3

struct record *cert_record(const struct cert *c)
{
	return store_record_of(c->a->config.store, &c->place);
}

int cert_dir(const struct cert *c, struct err *e)
{
	return store_site_dir(c->a->config.store, &c->place, e);
}

void cert_save(struct cert *c)
{
	struct err e = { 0 };
	autofd int dir = cert_dir(c, &e);

	if (dir < 0 || record_write(dir, cert_record(c), &e) < 0)
		acme_tell(c->a, ACME_PROBLEM, c->webspace, "%s: %s", c->want.site, e.text);
}

void cert_note(struct cert *c, const char *reason, const char *text)
{
	struct record *r = cert_record(c);

	if (r->reason && strcmp(r->reason, reason) == 0 && r->problem &&
	    strcmp(r->problem, text) == 0)
		return;
	record_set_problem(r, reason, text);
	cert_save(c);
	c->a->config.changed(c->webspace, c->a->config.data);
}

/* Reads the live certificate. True: it is the CA's, and covers these names. */
static bool read_live(struct cert *c, const char *const *names, size_t n)
{
	struct certificate live;

	c->ends = 0;
	if (store_read(c->a->config.store, c->webspace, c->want.site, names, n, &live, NULL) < 0 ||
	    !standing_is_of_ca(cert_record(c), &live, c->ca->directory, c->want.key))
		return false;
	c->life = (struct lifetime){ live.not_before, live.not_after };
	c->ends = live.not_after;
	return live.covers;
}

/*
 * When the live certificate, which covers these names, is to be renewed for them alone. While it
 * also covers names that are held back now, these are waited for, or a passing fault of DNS would
 * take from them what they have.
 */
static time_t renewal_of(struct cert *c, size_t n)
{
	const struct record *r = cert_record(c);
	time_t at = renew_at(&c->life, c->place.site, r->chosen, r->success);
	time_t latest = renew_latest(&c->life);

	if (n < c->want.n_names && at < latest && read_live(c, c->want.names, c->want.n_names)) {
		at += renew_patience(&c->life);
		return at < latest ? at : latest;
	}
	return at;
}

bool cert_needs(const struct cert *c, const char *const *names, size_t n)
{
	struct cert now = *c;

	return !read_live(&now, names, n) || cert_record(c)->forced ||
	       clock_wall() >= renewal_of(&now, n);
}

bool cert_replaces(const struct cert *c)
{
	const struct record *r = cert_record(c);

	return r->ari && !r->replaced && c->ends && c->ca->resources[RESOURCE_RENEWAL_INFO];
}

bool cert_may_order(const struct cert *c, const char *const *names, size_t n,
		    struct limits_order *ret_order, struct failure *ret)
{
	time_t now = clock_wall(), until;
	const char *what;

	*ret_order = (struct limits_order){
		.names = names,
		.n_names = n,
		.renewal = c->ends != 0,
		.replaces = cert_replaces(c),
	};
	if (limits_allow(&c->ca->limits, ret_order, now, &until, &what))
		return true;
	*ret = (struct failure){ .class = FAILURE_LIMITED, .wait = until - now };
	snprintf(ret->text, sizeof ret->text, "kept back within the CA's limit of %s", what);
	return false;
}

static void tell_urgency(struct cert *c, time_t now)
{
	unsigned urgency = c->ends ? renew_urgency(&c->life, now) : 0;
	const struct record *r = cert_record(c);
	char ends[21];

	if (urgency > c->told_urgency) {
		clock_rfc3339(c->ends, ends);
		acme_tell(c->a, ACME_EXPIRING, c->webspace,
			  "%s: the certificate %s %s, and no other has come%s%s", c->want.site,
			  urgency == 3 ? "ended" : "ends", ends, r->problem ? ": " : "",
			  r->problem ? r->problem : "");
	}
	c->told_urgency = urgency;
}

static time_t first_release(const struct cert *c, time_t now)
{
	const struct record *r = cert_record(c);
	time_t first = 0;

	for (size_t i = 0; i < c->want.n_names; i++) {
		const struct held_name *h = record_held(r, c->want.names[i]);

		if (h && h->until > now && (!first || h->until < first))
			first = h->until;
	}
	return first;
}

void cert_look(struct cert *c)
{
	struct record *r = cert_record(c);
	const char *active[WIRE_NAMES_MAX];
	time_t now = clock_wall(), release;
	size_t n;
	bool good;

	record_mend_times(r, now);
	release = first_release(c, now);
	n = record_active(r, c->want.names, c->want.n_names, now, active);
	good = n ? read_live(c, active, n) : read_live(c, c->want.names, c->want.n_names);
	c->due = good && !r->forced ? renewal_of(c, n) : now;
	if (n == 0)
		c->due = release;
	else if (release && release < c->due)
		c->due = release;
	if (c->due < r->next_try)
		c->due = r->next_try;
	c->urgent = !c->ends || now >= renew_latest(&c->life);
	c->ask = good && r->ari ? (r->ask_window ? r->ask_window : now) : 0;
	tell_urgency(c, now);
	acme_take_turn(c->a);
}

/* What names are held back by, for the condition. */
static void note_held(struct cert *c)
{
	struct record *r = cert_record(c);
	time_t now = clock_wall();
	autobuf struct buf text = { 0 };

	for (size_t i = 0; i < r->n_held; i++)
		if (r->held[i].until > now)
			buf_printf(&text, "%s%s: %s", text.len ? "; " : "", r->held[i].name,
				   r->held[i].why ? r->held[i].why : "");
	if (text.len)
		record_set_problem(r, "NamesHeld", buf_text(&text));
	else if (r->reason && strcmp(r->reason, "NamesHeld") == 0)
		record_set_problem(r, NULL, NULL);
}

static void note_failure(struct cert *c, const struct failure *f)
{
	struct record *r = cert_record(c);
	time_t now = clock_wall(), left = c->ends ? c->ends - now : 0;

	/* Our own are counted apart: a CA's first is its first, however long nginx took to start. */
	c->host_failures = f->class == FAILURE_HOST ? c->host_failures + 1 : 0;
	if (f->class != FAILURE_LIMITED && !failure_is_of_ca(f->class)) {
		r->failures += f->class != FAILURE_HOST;
		c->a->failed++;
	}
	/* That nginx does not answer is nothing to speak of while it is only starting. */
	if (f->class != FAILURE_HOST || c->host_failures > STARTING_TRIES)
		record_set_problem(r, failure_reason(f->class), f->text);
	if (failure_is_of_ca(f->class))
		return;
	if (!r->failed_since)
		r->failed_since = now;
	r->next_try = now + failure_wait(f, c->host_failures ? c->host_failures : r->failures, left,
					 hash_text(HASH_START, c->place.site));
}

/* An order that is over and came to nothing counts for less than a certificate. */
static void return_spent(struct cert *c, const struct failure *f)
{
	const struct job *j = c->job;
	struct order_record order;

	if (!j->spent.n_names || (f && f->class == FAILURE_LIMITED))
		return;
	if (order_read(j->dir, &order) == 0)
		order_clear(&order);
	else
		limits_return(&c->ca->limits, &j->spent);
}

/*
 * While there is none the condition says what is wrong, and the journal by it; of a renewal only we
 * do. Of the CA's own trouble the CA speaks, once for all.
 */
static void tell_problem(struct cert *c, const struct failure *f)
{
	const struct record *r = cert_record(c);

	if (c->ends && r->problem && !(f && failure_is_of_ca(f->class)))
		acme_tell(c->a, ACME_PROBLEM, c->webspace, "%s: %s", c->want.site, r->problem);
}

void cert_done(struct cert *c, const struct failure *f)
{
	struct err e = { 0 };

	return_spent(c, f);
	if (f) {
		note_failure(c, f);
	} else {
		c->host_failures = 0;
		note_held(c);
	}
	tell_problem(c, f);
	/*
	 * The record is on disk before the order goes: should we end in between, an order that
	 * the record names is over, while a certificate that no record knows would be ordered
	 * once more. It goes also if the record could not be written, or the next renewal would
	 * go on with it.
	 */
	cert_save(c);
	if (c->job->installed) {
		if (store_settle(c->a->config.store, &c->place, c->job->order.generation, &e) < 0)
			acme_tell(c->a, ACME_PROBLEM, c->webspace, "%s: %s", c->want.site, e.text);
		order_drop(c->job->dir);
	}
	job_free(take_ptr(c->job));
	cert_look(c);
	c->a->config.changed(c->webspace, c->a->config.data);
}

void cert_forgive(struct cert *c)
{
	struct record *r = cert_record(c);

	c->host_failures = 0;
	r->failures = 0;
	r->next_try = r->failed_since = 0;
	record_set_problem(r, NULL, NULL);
}

static uint64_t hash_of(const struct cert *c)
{
	const struct acme_want *w = &c->want;
	const uint64_t numbers[] = { w->key, w->dns_01, (uint64_t)w->key_lifetime };
	uint64_t hash = 0;

	for (size_t i = 0; i < w->n_names; i++)
		hash += hash_text(HASH_START, w->names[i]); /* in whatever order */
	hash = hash_text(hash, w->directory);
	hash = hash_text(hash, w->profile);
	hash = hash_text(hash, w->preferred_chain);
	hash = hash_text(hash, c->a->config.hook);
	return hash_bytes(hash, numbers, sizeof numbers);
}

void cert_compare(struct cert *c)
{
	struct record *r = cert_record(c);
	char wanted[17];

	snprintf(wanted, sizeof wanted, "%016" PRIx64, hash_of(c));
	if (r->wanted && strcmp(r->wanted, wanted) == 0)
		return;
	cert_forgive(c);
	record_set_text(&r->wanted, wanted);
}
