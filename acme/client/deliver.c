/*
 * From the proofs to the installed certificate. Before the CA is asked to make
 * it, its key and the order's address are on disk, so that a certificate that was
 * made is never lost, whenever we die. Before anything is installed it is
 * checked (chain.h); the live one stays until then.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/client/job.h"
#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/random.h"

#define LONGEST_USEC   (900 * USEC_PER_SEC) /* of a job's waiting for one thing */
#define ASK_WINDOW_MAX 21600
#define FINALIZED_MAX  3

/* Looking at the order ------------------------------------------------------------ */

static bool is_decided(enum wait_kind what, enum acme_status status)
{
	return status != STATUS_PENDING && (what == WAIT_VALIDATION || status != STATUS_PROCESSING);
}

static void look(struct job *j);

static void on_look(struct job *j, const struct reply *r)
{
	bool decided = is_decided(j->waiting, r->status);

	if (reply_is_bad(r)) {
		job_refused(j, r);
		return;
	}
	if (!job_takes_order(j, r))
		return;
	if (decided) {
		ca_learn(j->cert->ca, j->waiting, j->too_early_usec);
		j->after_poll(j, r);
		return;
	}
	j->polls++;
	j->too_early_usec = j->looked_usec - j->began_usec;
	/* The order stays, and is looked at again by the next job. */
	if (clock_usec() > j->began_usec + LONGEST_USEC)
		job_fail_text(j, FAILURE_PROTOCOL, "the order does not get on: it is still %s",
			      r->status == STATUS_PENDING ? "pending" : "processing");
	else
		job_wait(j, ca_patience(j->cert->ca, j->waiting, j->polls, r->retry_after), look);
}

static void look(struct job *j)
{
	j->looked_usec = clock_usec();
	job_call(j, &(struct call_spec){ .kind = REQUEST_ORDER, .url = j->order.url }, on_look);
}

void job_poll(struct job *j, enum wait_kind what, int64_t retry_after,
	      void (*fn)(struct job *j, const struct reply *r))
{
	j->waiting = what;
	j->polls = 0;
	j->too_early_usec = 0;
	j->after_poll = fn;
	j->began_usec = clock_usec();
	job_wait(j, ca_patience(j->cert->ca, what, 0, retry_after), look);
}

/* Installing ------------------------------------------------------------------------ */

static void remember(struct job *j)
{
	struct cert *c = j->cert;
	struct record *r = cert_record(c);
	struct certificate live;
	time_t now = clock_wall();

	if (store_read(c->a->config.store, c->webspace, c->want.site, c->want.names,
		       c->want.n_names, &live, NULL) == 0)
		r->content = live.content;
	record_set_text(&r->ca, c->ca->directory);
	record_set_text(&r->issuer, j->facts.issuer);
	record_set_text(&r->serial, j->facts.serial);
	record_set_text(&r->ari, j->facts.ari);
	record_set_text(&r->key, key_type_words[j->facts.key]);
	record_set_text(&r->order, j->order.url);
	record_set_text(&r->served_problem, NULL);
	record_set_problem(r, NULL, NULL);
	r->success = now;
	r->failures = 0;
	r->next_try = r->failed_since = 0;
	r->window_start = r->window_end = r->chosen = 0;
	r->ask_window = now + (time_t)(random_number() % ASK_WINDOW_MAX);
	r->replaced = r->forced = r->new_key = false;
	for (size_t i = 0; i < j->order.n_names; i++)
		record_release(r, j->order.names[i]);
}

/*
 * Whoever looks at the certificate from now on finds a record that knows it: a site whose certificate
 * is nobody's for a moment would be served in another way for that moment, by two reloads.
 */
static void install(struct job *j)
{
	struct cert *c = j->cert;
	char ended[21];
	struct err e = { 0 };

	if (store_put_chain(c->a->config.store, &c->place, j->order.generation, &j->chain, &e) <
	    0) {
		job_fail_text(j, FAILURE_HOST, "%s", e.text);
		return;
	}
	remember(j);
	j->spent.n_names = 0;
	j->installed = true;
	c->ca->proven = true;
	c->a->issued++;
	clock_rfc3339(c->ends, ended);
	acme_tell(c->a, ACME_ISSUED, c->webspace, "%s: certificate of %s for %zu name%s%s%s",
		  c->want.site, j->facts.issuer, j->order.n_names, j->order.n_names == 1 ? "" : "s",
		  c->ends ? ", after one until " : "", c->ends ? ended : "");
	served_check(c);
	cert_done(c, NULL);
}

/* Fetching ------------------------------------------------------------------------- */

static int check(struct job *j, const struct reply *r, struct buf *ret, struct chain_facts *facts,
		 struct err *e)
{
	return chain_check((struct pem){ r->chain, strlen(r->chain) }, j->key,
			   (const char *const *)j->order.names, j->order.n_names, clock_wall(), ret,
			   facts, e);
}

static void fetch_alternate(struct job *j);

static void on_alternate(struct job *j, const struct reply *r)
{
	autobuf struct buf chain = { 0 };
	struct chain_facts facts;

	if (!reply_is_bad(r) && check(j, r, &chain, &facts, NULL) == 0 &&
	    chain_leads_to((struct pem){ buf_text(&chain), chain.len },
			   j->cert->want.preferred_chain)) {
		buf_clear(&j->chain);
		j->chain = chain;
		j->facts = facts;
		chain = (struct buf){ 0 };
		install(j);
		return;
	}
	fetch_alternate(j);
}

/* Until one leads where it shall; the one that the CA gives by itself otherwise. */
static void fetch_alternate(struct job *j)
{
	if (j->next_alternate == j->alternates.count) {
		install(j);
		return;
	}
	job_call(j,
		 &(struct call_spec){ .kind = REQUEST_CHAIN,
				      .url = j->alternates.items[j->next_alternate++] },
		 on_alternate);
}

static void on_chain(struct job *j, const struct reply *r)
{
	const char *preferred = j->cert->want.preferred_chain;
	struct err e = { 0 };

	if (reply_is_bad(r)) {
		job_refused(j, r);
		return;
	}
	if (check(j, r, &j->chain, &j->facts, &e) < 0) {
		job_doubt_order(j);
		job_fail_text(j, FAILURE_PROTOCOL, "what the CA gave cannot be used: %s", e.text);
		return;
	}
	if (!*preferred ||
	    chain_leads_to((struct pem){ buf_text(&j->chain), j->chain.len }, preferred)) {
		install(j);
		return;
	}
	for (size_t i = 0; i < r->alternates.count; i++)
		if (ca_owns(j->cert->ca, r->alternates.items[i]))
			j->alternates.items[j->alternates.count++] =
				memory_dup(r->alternates.items[i]);
	fetch_alternate(j);
}

void job_download(struct job *j, const struct reply *order)
{
	if (!*order->certificate) {
		order_drop(j->dir);
		job_fail_text(j, FAILURE_PROTOCOL, "a valid order without its certificate");
		return;
	}
	job_call(j, &(struct call_spec){ .kind = REQUEST_CHAIN, .url = order->certificate },
		 on_chain);
}

/* Finalizing ------------------------------------------------------------------------ */

static void on_made(struct job *j, const struct reply *r)
{
	if (r->status == STATUS_VALID)
		job_download(j, r);
	else if (r->status == STATUS_READY && j->finalized < FINALIZED_MAX)
		job_finalize(j); /* what we asked for never got there */
	else if (r->status == STATUS_READY)
		job_fail_text(j, FAILURE_PROTOCOL,
			      "the order was finalized %u times and waits for it again",
			      j->finalized);
	else
		job_find_fault(j, r);
}

void job_await_certificate(struct job *j, int64_t retry_after)
{
	job_poll(j, WAIT_ISSUANCE, retry_after, on_made);
}

static void on_finalized(struct job *j, const struct reply *r)
{
	/* An answer was lost, and this is the second time that we ask; or the CA is not so far. */
	if (strcmp(r->problem.type, "orderNotReady") == 0)
		job_await_certificate(j, r->retry_after);
	else if (reply_is_bad(r))
		job_refused(j, r);
	else if (!job_takes_order(j, r))
		return;
	else if (r->status == STATUS_VALID)
		job_download(j, r);
	else if (r->status == STATUS_INVALID)
		job_find_fault(j, r);
	else
		job_await_certificate(j, r->retry_after);
}

void job_finalize(struct job *j)
{
	autobuf struct buf csr = { 0 };
	autojson struct json *payload = json_new_object();
	autofree char *text = NULL;
	struct err e = { 0 };

	authorizations_clear(j); /* records and files have done their duty */
	if (store_settle(j->cert->a->config.store, &j->cert->place, j->order.generation, &e) < 0 ||
	    key_request(j->key, (const char *const *)j->order.names, j->order.n_names, &csr, &e) <
		    0) {
		job_fail_text(j, FAILURE_HOST, "%s", e.text);
		return;
	}
	j->finalized++;
	json_put_text(payload, "csr", buf_text(&csr));
	text = json_write(payload, false);
	job_call(j,
		 &(struct call_spec){
			 .kind = REQUEST_ORDER, .url = j->order.finalize, .payload = text },
		 on_finalized);
}
