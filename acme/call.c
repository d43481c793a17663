/*
 * Calls wait in one list, in order, until all they need is there: the CA open,
 * its directory and our account known, a nonce. What is missing is asked for
 * once, on behalf of all, by a call that goes before them. A call whose answer is
 * none goes back to the list and is signed anew; after four of those the breaker
 * opens for everybody.
 *
 * Nonces come back with every answer, so there are about as many as orders in
 * flight, and only these first ones cost a request.
 */
#include "acme/call.h"

#include <stdlib.h>
#include <string.h>

#include "acme/client.h"
#include "acme/jws.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define NONCE_LIFETIME  (600 * USEC_PER_SEC)
#define NONCE_TRIES     10
#define TRIES           4
#define TRY_AGAIN_FIRST (250 * USEC_PER_MSEC)
#define CIRCULATING     16
#define CIRCULATING_LE  8 /* Let's Encrypt takes 250 requests a second */
#define NAMES_PER_NONCE 25
#define BUSY_MAX_S      86400
#define SKEW_MAX        3600
#define SKEW_WAIT       (600 * USEC_PER_SEC)
#define SIGN_AGAIN      (60 * USEC_PER_SEC)

struct call {
	struct ca *ca;
	struct call *before, *after;
	struct call_spec spec; /* its texts are owned */
	uint32_t id;           /* of the exchange under way; 0: it waits */
	uint64_t round;        /* of the last look at it */
	uint64_t sent_usec, not_before_usec;
	unsigned tries, nonce_tries;
};

/* The list ---------------------------------------------------------------- */

/* It asks for what others wait for. */
static bool goes_first(const struct call *c)
{
	return c->spec.with_key || c->spec.resource == RESOURCE_DIRECTORY ||
	       c->spec.resource == RESOURCE_NEW_NONCE;
}

static bool needs_nonce(const struct call *c)
{
	return !c->spec.unsigned_get && c->spec.resource != RESOURCE_DIRECTORY &&
	       c->spec.resource != RESOURCE_NEW_NONCE;
}

static void list_add(struct ca *ca, struct call *c)
{
	if (goes_first(c)) {
		c->after = ca->first;
		*(ca->first ? &ca->first->before : &ca->last) = c;
		ca->first = c;
	} else {
		c->before = ca->last;
		*(ca->last ? &ca->last->after : &ca->first) = c;
		ca->last = c;
	}
}

struct call *ca_call(struct ca *ca, const struct call_spec *spec)
{
	struct call *c = memory_new(sizeof *c);

	c->ca = ca;
	c->spec = *spec;
	c->spec.url = memory_dup(spec->url);
	c->spec.payload = memory_dup(spec->payload);
	list_add(ca, c);
	ca_go_on(ca);
	return c;
}

static void spec_clear(struct call_spec *spec)
{
	free((char *)(uintptr_t)spec->url);
	free((char *)(uintptr_t)spec->payload);
}

/* No answer is awaited any more. */
static void ended(struct call *c)
{
	c->ca->n_signed -= needs_nonce(c);
	c->id = 0;
}

void ca_drop(struct call *c)
{
	if (!c)
		return;
	*(c->before ? &c->before->after : &c->ca->first) = c->after;
	*(c->after ? &c->after->before : &c->ca->last) = c->before;
	if (c->id) {
		link_drop(c->ca->a->link, c->id);
		ended(c);
	}
	spec_clear(&c->spec);
	free(c);
}

/* The call's end comes first: whoever is called may drop any other. */
static void answer(struct call *c, const struct reply *r)
{
	struct call_spec spec = c->spec;

	c->spec.url = c->spec.payload = NULL;
	ca_drop(c);
	spec.fn(r, spec.data);
	spec_clear(&spec);
}

static const struct reply nothing = {
	.text = "", .nonce = "", .location = "", .retry_after = -1, .problem = { "", "", "" }
};

static void answer_not_there(struct call *c)
{
	struct reply reply = nothing;

	reply.http = 404;
	answer(c, &reply);
}

void ca_fail_waiting(struct ca *ca, const char *why)
{
	struct reply reply = nothing;
	struct call *c = ca->first;

	reply.http = 403;
	reply.problem = (struct problem){ "userActionRequired", why, "" };
	while (c) {
		if (c->id || goes_first(c) || c->spec.unsigned_get) {
			c = c->after;
			continue;
		}
		answer(c, &reply);
		c = ca->first;
	}
}

/* Nonces ------------------------------------------------------------------ */

static void nonces_keep_newest(struct ca *ca, size_t n)
{
	size_t drop = ca->n_nonces > n ? ca->n_nonces - n : 0;

	for (size_t i = 0; i < drop; i++)
		free(ca->nonces[i]);
	ca->n_nonces -= drop;
	memmove(ca->nonces, ca->nonces + drop, ca->n_nonces * sizeof *ca->nonces);
	memmove(ca->nonce_usec, ca->nonce_usec + drop, ca->n_nonces * sizeof *ca->nonce_usec);
}

static void nonce_keep(struct ca *ca, const char *nonce)
{
	if (!*nonce)
		return;
	for (size_t i = 0; i < ca->n_nonces; i++)
		if (strcmp(ca->nonces[i], nonce) == 0)
			return;
	nonces_keep_newest(ca, NONCES_MAX - 1);
	ca->nonce_usec[ca->n_nonces] = clock_usec();
	ca->nonces[ca->n_nonces++] = memory_dup(nonce);
}

/* The newest; the caller's. NULL: there is none. */
static char *nonce_take(struct ca *ca)
{
	if (ca->n_nonces && ca->nonce_usec[ca->n_nonces - 1] + NONCE_LIFETIME < clock_usec())
		nonces_keep_newest(ca, 0);
	return ca->n_nonces ? ca->nonces[--ca->n_nonces] : NULL;
}

static size_t nonces_wanted(const struct ca *ca)
{
	size_t n = (ca->n_jobs ? ca->n_jobs : 1) + ca->n_names / NAMES_PER_NONCE;
	size_t most = ca->keeps_limits ? CIRCULATING_LE : CIRCULATING;

	return n < most ? n : most;
}

static void on_nonce(const struct reply *r, void *data)
{
	struct ca *ca = data;

	ca->n_asked_nonces--;
	if (!*r->nonce && ca->n_nonces == 0)
		ca_break(ca, "it gives no nonce");
}

static void ask_nonce(struct ca *ca)
{
	/* Each that is under way brings one back. */
	if (ca->n_signed + ca->n_asked_nonces >= nonces_wanted(ca))
		return;
	ca->n_asked_nonces++;
	(void)ca_call(ca, &(struct call_spec){ .kind = REQUEST_NONCE,
					       .resource = RESOURCE_NEW_NONCE,
					       .fn = on_nonce,
					       .data = ca });
}

/* Answers ----------------------------------------------------------------- */

static bool clock_is_right(struct ca *ca, const struct reply *r)
{
	int64_t ahead = r->date ? (int64_t)clock_wall() - r->date : 0;
	autofree char *why = NULL;

	if (ahead <= SKEW_MAX && ahead >= -SKEW_MAX)
		return true;
	why = memory_printf("the clock of this host is %lld s %s its own",
			    (long long)(ahead < 0 ? -ahead : ahead),
			    ahead > 0 ? "ahead of" : "behind");
	ca_close_for(ca, SKEW_WAIT, "ClockWrong", why);
	return false;
}

/* Not at once, and signed anew. */
static void try_again(struct call *c, const struct failure *f)
{
	if (f->class == FAILURE_BUSY) {
		ca_close_for(c->ca,
			     (uint64_t)(f->wait < BUSY_MAX_S ? f->wait : BUSY_MAX_S) * USEC_PER_SEC,
			     "CaBusy", f->text);
	} else if (++c->tries == TRIES) {
		c->tries = 0;
		ca_break(c->ca, f->text);
	} else {
		c->not_before_usec = clock_usec() + (TRY_AGAIN_FIRST << c->tries);
	}
}

/* RFC 8555, 6.5: the answer that refuses a nonce brings another. */
static bool nonce_was_refused(struct call *c, struct failure *f)
{
	if (f->class != FAILURE_NONCE) {
		c->ca->bad_nonces = 0;
		return false;
	}
	if (++c->ca->bad_nonces >= 2)
		nonces_keep_newest(c->ca, 1);
	if (++c->nonce_tries < NONCE_TRIES)
		return true;
	c->nonce_tries = 0;
	f->class = FAILURE_TRANSPORT;
	return false;
}

/* A plain "not there" is for whoever asked. */
static bool is_plain_absence(const struct reply *r)
{
	return r->error == REPLY_OK && !*r->problem.type && (r->http == 404 || r->http == 410);
}

/* True: the call waits again. */
static bool is_to_wait(struct call *c, const struct reply *r)
{
	struct failure f;

	failure_of(r, clock_wall(), &f);
	if (nonce_was_refused(c, &f))
		return true;
	/* Renewal information is advice: without it all goes on as it was, and nobody waits for it. */
	if (c->spec.kind == REQUEST_RENEWAL_INFO && f.class != FAILURE_NONE)
		return false;
	if (f.class == FAILURE_BUSY || (f.class == FAILURE_TRANSPORT && !is_plain_absence(r))) {
		try_again(c, &f);
		return true;
	}
	if (!clock_is_right(c->ca, r))
		return true;
	ca_mend(c->ca);
	if (f.class != FAILURE_ACCOUNT || c->spec.with_key)
		return false;
	if (strcmp(r->problem.type, "accountDoesNotExist") == 0 && account_repair(c->ca))
		return true;
	account_refuse(c->ca, f.text);
	return false;
}

static void on_reply(const struct reply *r, void *data)
{
	struct call *c = data;
	struct ca *ca = c->ca;
	uint64_t took = clock_usec() - c->sent_usec;

	ended(c);
	if (r->error == REPLY_OK) {
		nonce_keep(ca, r->nonce);
		ca->round_trip_usec =
			ca->round_trip_usec ? (ca->round_trip_usec * 7 + took) / 8 : took;
	}
	ca_go_on(ca);
	if (!is_to_wait(c, r))
		answer(c, r);
}

/* Going on ---------------------------------------------------------------- */

static void send_call(struct call *c, const char *url, const char *body)
{
	const struct request request = { .kind = c->spec.kind, .url = url, .body = body };

	c->sent_usec = clock_usec();
	c->ca->n_signed += needs_nonce(c);
	c->id = link_ask(c->ca->a->link, &request, on_reply, c);
}

static void send_signed(struct call *c, const char *url, char *nonce)
{
	autobuf struct buf body = { 0 };
	autofree char *owned = nonce;
	struct ca *ca = c->ca;
	const struct jws jws = {
		.key = c->spec.key ? c->spec.key : ca->key,
		.kid = c->spec.with_key ? NULL : ca->kid,
		.nonce = owned,
		.url = url,
		.payload = c->spec.payload,
	};
	struct err e = { 0 };

	if (jws_sign(&jws, &body, &e) == 0) {
		send_call(c, url, buf_text(&body));
		return;
	}
	c->not_before_usec = clock_usec() + SIGN_AGAIN;
	acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: cannot sign: %s", ca->origin, e.text);
}

/* The URL in full, the caller's; NULL: the CA has no such resource. */
static char *url_of(const struct call *c)
{
	const char *resource = c->spec.resource == RESOURCE_DIRECTORY
				       ? c->ca->directory
				       : c->ca->resources[c->spec.resource];

	if (c->spec.resource == RESOURCE_NONE)
		return memory_dup(c->spec.url);
	if (!resource)
		return NULL;
	return memory_printf("%s%s", resource, c->spec.url ? c->spec.url : "");
}

/* False: what it lacks, others lack as well; it has been asked for. */
static bool go(struct call *c)
{
	struct ca *ca = c->ca;
	autofree char *url = NULL;
	char *nonce = NULL;

	if (c->spec.resource != RESOURCE_DIRECTORY && !directory_is_known(ca)) {
		directory_ask(ca);
		return false;
	}
	url = url_of(c);
	if (!url) {
		answer_not_there(c);
	} else if (!needs_nonce(c)) {
		send_call(c, url, NULL);
	} else if (!c->spec.with_key && ca->account_known != KNOWN_YES) {
		account_begin(ca);
		return false;
	} else if ((nonce = nonce_take(ca))) {
		send_signed(c, url, nonce);
	} else {
		ask_nonce(ca);
		return false;
	}
	return true;
}

/* The next that may go; once one was stuck, only of those that others wait for. */
static struct call *next_to_go(struct ca *ca, uint64_t now, bool stuck, uint64_t *next_usec)
{
	for (struct call *c = ca->first; c && (!stuck || goes_first(c)); c = c->after) {
		if (c->id || c->round == ca->round)
			continue;
		if (c->not_before_usec <= now)
			return c;
		if (c->not_before_usec < *next_usec)
			*next_usec = c->not_before_usec;
	}
	return NULL;
}

static void pump(void *data)
{
	struct ca *ca = data;
	uint64_t now = clock_usec(), next = UINT64_MAX;
	bool stuck = false;
	struct call *c;

	if (ca->closed_until_usec > now) {
		loop_timer_set(ca->timer, ca->closed_until_usec);
		return;
	}
	if (account_is_refused(ca))
		ca_fail_waiting(ca, ca->refused ? ca->refused : "the account was deactivated");
	ca->round++;
	while ((c = next_to_go(ca, now, stuck, &next))) {
		c->round = ca->round;
		if (!go(c))
			stuck = true;
	}
	loop_timer_set(ca->timer, next);
}

void ca_go_on(struct ca *ca)
{
	loop_idle_set(ca->idle);
}

void call_open(struct ca *ca)
{
	ca->timer = loop_timer(ca->a->config.loop, UINT64_MAX, pump, ca);
	ca->idle = loop_idle(ca->a->config.loop, pump, ca);
}

void call_close(struct ca *ca)
{
	while (ca->first)
		ca_drop(ca->first);
	nonces_keep_newest(ca, 0);
	loop_drop(ca->timer);
	loop_drop(ca->idle);
}
