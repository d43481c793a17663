/*
 * Calls wait in one list, in order, until all they need is there: the CA open,
 * its directory and our account known, a nonce. What is missing is asked for
 * once, on behalf of all, by a call that goes before them.
 *
 * A call whose answer is none goes back to the list and is signed anew. After four
 * of those the breaker opens for everybody, unless the CA answers others meanwhile:
 * then it is this request that it cannot deal with, and whoever asked is told so.
 */
#include "acme/client/call.h"

#include <stdlib.h>
#include <string.h>

#include "acme/client/client.h"
#include "acme/client/jws.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define NONCE_TRIES     10
#define TRIES           4
#define TRIES_ALONE     8 /* over a line that is bad, but carries the answers of others */
#define BREAKS          6 /* of the CA, by one and the same call: some hours */
#define TRY_AGAIN_FIRST (250 * USEC_PER_MSEC)
#define SKEW_WAIT       (600 * USEC_PER_SEC)
#define SIGN_AGAIN      (60 * USEC_PER_SEC)

struct call {
	struct ca *ca;
	struct call *before, *after;
	struct call_spec spec; /* its texts are owned */
	uint32_t id;           /* of the exchange under way; 0: it waits */
	uint64_t round;        /* of the last look at it */
	uint64_t sent_usec, not_before_usec;
	uint64_t failed_usec; /* first, since it was last given up; 0: it has not */
	unsigned tries, breaks, nonce_tries, key_number;
	bool moved; /* its address was asked for again */
};

/* The list ---------------------------------------------------------------- */

/* It asks for what others wait for. */
static bool goes_first(const struct call *c)
{
	return c->spec.with_key || c->spec.resource == RESOURCE_DIRECTORY ||
	       c->spec.resource == RESOURCE_NEW_NONCE || c->spec.resource == RESOURCE_KEY_CHANGE;
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

/* Answers ----------------------------------------------------------------- */

static bool clock_is_right(struct ca *ca, const struct reply *r)
{
	int64_t ahead = r->date ? (int64_t)clock_wall() - r->date : 0;
	autofree char *why = NULL;

	if (ahead <= CLOCK_SKEW_MAX_S && ahead >= -CLOCK_SKEW_MAX_S)
		return true;
	why = memory_printf("the clock of this host is %lld s %s its own",
			    (long long)(ahead < 0 ? -ahead : ahead),
			    ahead > 0 ? "ahead of" : "behind");
	ca_close_for(ca, SKEW_WAIT, "ClockWrong", why);
	return false;
}

/* Then somebody's certificate ends with it, and is tried again in its own time. */
static bool is_of_certificate(const struct call *c)
{
	enum request_kind kind = c->spec.kind;

	return kind == REQUEST_ORDER || kind == REQUEST_AUTHORIZATION ||
	       kind == REQUEST_CHALLENGE || kind == REQUEST_CHAIN || kind == REQUEST_RENEWAL_INFO;
}

/* It alone gets no answer: not what the CA has trouble with, but what it has trouble with in us. */
static bool is_own_fault(const struct call *c, const struct reply *r)
{
	if (!is_of_certificate(c) || r->error == REPLY_UNREACHABLE)
		return false;
	return c->breaks >= BREAKS || c->ca->answered_usec > c->failed_usec;
}

static bool is_line_trouble(const struct reply *r)
{
	return r->error == REPLY_BROKEN;
}

/* Not at once, and signed anew. False: it has been tried often enough. */
static bool try_again(struct call *c, const struct reply *r, const struct failure *f)
{
	uint64_t now = clock_usec();

	if (f->class == FAILURE_BUSY) {
		ca_be_patient(c->ca, f->wait, f->text);
		return true;
	}
	if (!c->tries++)
		c->failed_usec = now;
	if (c->tries < TRIES ||
	    (c->tries < TRIES_ALONE && is_line_trouble(r) && is_own_fault(c, r))) {
		c->not_before_usec = now + (TRY_AGAIN_FIRST << c->tries);
		ca_note(c->ca, failure_reason(f->class), f->text);
		return true;
	}
	c->tries = 0;
	if (is_own_fault(c, r))
		return false;
	c->breaks += ca_break(c->ca, f->text);
	return true;
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

/* A plain "not there" (or "no more", or "not twice") is for whoever asked. */
static bool is_plain_refusal(const struct reply *r)
{
	return r->error == REPLY_OK && !*r->problem.type &&
	       (r->http == 404 || r->http == 409 || r->http == 410);
}

/* It met a CA that did not know the account's old key any more, or it may have. */
static bool key_was_changed(const struct call *c, const struct reply *r)
{
	if (!reply_is_bad(r) || c->spec.with_key || c->spec.unsigned_get ||
	    c->spec.resource == RESOURCE_KEY_CHANGE)
		return false;
	return c->ca->next_key || c->key_number != c->ca->key_number;
}

/* What the directory names is not there any more: it may name another by now. */
static bool has_moved(struct call *c, const struct reply *r)
{
	if (c->moved || c->spec.resource == RESOURCE_NONE ||
	    c->spec.resource == RESOURCE_DIRECTORY || c->spec.resource == RESOURCE_RENEWAL_INFO)
		return false;
	if (r->error != REPLY_OK || (r->http != 404 && r->http != 405 && r->http != 410))
		return false;
	c->moved = true;
	if (c->ca->directory_known == KNOWN_YES)
		c->ca->directory_known = KNOWN_NOT;
	return true;
}

/* The CA means us, and has said something. That it says hello proves nothing. */
static void count_answer(struct call *c)
{
	if (!is_of_certificate(c))
		return;
	ca_mend(c->ca);
	c->ca->answered_usec = clock_usec();
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
	if (f.class == FAILURE_PROTOCOL && !is_of_certificate(c))
		f.class = FAILURE_TRANSPORT;
	if (f.class == FAILURE_BUSY || (f.class == FAILURE_TRANSPORT && !is_plain_refusal(r)))
		return try_again(c, r, &f);
	if (!clock_is_right(c->ca, r) || has_moved(c, r))
		return true;
	count_answer(c);
	if (key_was_changed(c, r))
		return true;
	if (f.class != FAILURE_ACCOUNT || c->spec.with_key || c->spec.about_account)
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
	nonce_keep(ca, r->nonce);
	/* The quick ones count: others had to wait for the worker to start, or for a connection. */
	if (r->error == REPLY_OK)
		ca->round_trip_usec = ca->round_trip_usec && took > ca->round_trip_usec
					      ? (ca->round_trip_usec * 7 + took) / 8
					      : took;
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

	c->key_number = ca->key_number;
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

/* Not while the account's key is being changed, but for that very change. */
static bool may_sign(const struct call *c)
{
	return c->spec.with_key || c->ca->account_known == KNOWN_YES ||
	       (c->spec.resource == RESOURCE_KEY_CHANGE && c->ca->kid);
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
	} else if (!may_sign(c)) {
		account_begin(ca);
		return false;
	} else if ((nonce = nonce_take(ca))) {
		send_signed(c, url, nonce);
	} else {
		nonce_ask(ca);
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
