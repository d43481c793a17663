/*
 * The order (RFC 8555, 7.4): within the limits, with a key that lies on disk,
 * and with what a CA may say to it. A refusal holds up whom it is about, a name,
 * a domain, an account, and nobody else.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "acme/client/job.h"
#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/base/own.h"

#define KEY_TIMEOUT_S 60
#define DOUBTS        2 /* failures in a row that an order survives */

/* Refusals ------------------------------------------------------------------ */

/* Each name that a subproblem speaks of is held. True: there were some. */
static bool hold_by_subproblems(struct job *j, const struct reply *r)
{
	bool any = false;

	for (size_t i = 0; i < r->n_subproblems; i++) {
		struct failure f;

		if (!job_name(j, r->subproblems[i].name))
			continue;
		failure_of_problem(&r->subproblems[i], &f);
		job_hold_name(j, r->subproblems[i].name, &f);
		any = true;
	}
	return any;
}

static void hold_all(struct job *j, const struct failure *f)
{
	for (size_t i = 0; i < j->order.n_names; i++)
		job_hold_name(j, j->order.names[i], f);
}

static bool is_of_name(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '*';
}

/* As a word of its own, be it followed by a full stop. */
static bool mentions(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = text; (at = strcasestr(at, name)); at++) {
		bool begins = at == text || !is_of_name(at[-1]);
		bool ends = !is_of_name(at[len]) || (at[len] == '.' && !is_of_name(at[len + 1]));

		if (begins && ends)
			return true;
	}
	return false;
}

/* Those that the CA's sentence speaks of; all, if it is about none of ours. */
static void hold_mentioned(struct job *j, const struct failure *f)
{
	bool any = false;

	for (size_t i = 0; i < j->order.n_names; i++) {
		if (!mentions(f->text, j->order.names[i]))
			continue;
		job_hold_name(j, j->order.names[i], f);
		any = true;
	}
	if (!any)
		hold_all(j, f);
}

/* A limit or a pause holds up whom it is about; the job ends, and whose turn it is shows anew. */
static void keep_limit(struct job *j, const struct failure *f)
{
	struct ca *ca = j->cert->ca;
	time_t now = clock_wall();
	time_t until = now + failure_wait(f, 1, 0, hash_text(HASH_START, j->cert->place.site));
	struct err e;

	switch (f->scope) {
	case SCOPE_ACCOUNT:
		limits_drain_account(&ca->limits, until, now);
		break;
	case SCOPE_DOMAIN:
		limits_drain_domain(&ca->limits, f->name, until, now);
		break;
	case SCOPE_SET:
		limits_drain_set(&ca->limits, (const char *const *)j->order.names, j->order.n_names,
				 until, now);
		break;
	case SCOPE_NAME:
		hold_mentioned(j, f);
		break;
	case SCOPE_CERTIFICATE:
		break;
	}
	if (limits_write(&ca->limits, ca->dir, now, &e) < 0)
		acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: limits: %s", ca->origin, e.text);
}

void job_doubt_order(struct job *j)
{
	if (cert_record(j->cert)->failures >= DOUBTS)
		order_drop(j->dir);
}

void job_failed(struct job *j, const struct failure *f)
{
	struct failure mine = *f;
	bool is_limit = f->class == FAILURE_LIMITED || f->class == FAILURE_PAUSED;

	if (is_limit)
		keep_limit(j, f);
	else if (f->class == FAILURE_NAMES)
		hold_all(j, f);
	if (f->class == FAILURE_NAMES || (is_limit && f->scope == SCOPE_NAME)) {
		job_names_failed(j);
		return;
	}
	if (f->class == FAILURE_NONE || f->class == FAILURE_TRANSPORT)
		mine.class = FAILURE_PROTOCOL;
	job_fail(j, &mine);
}

void job_refused(struct job *j, const struct reply *r)
{
	struct failure f;

	failure_of(r, clock_wall(), &f);
	if (f.class == FAILURE_LIMITED || f.class == FAILURE_PAUSED || f.class == FAILURE_ACCOUNT) {
		job_failed(j, &f); /* which says nothing of the order */
	} else if (hold_by_subproblems(j, r)) {
		job_names_failed(j);
	} else {
		if (*r->problem.type)
			order_drop(j->dir);
		else
			job_doubt_order(j);
		job_failed(j, &f);
	}
}

/* Ordering ------------------------------------------------------------------ */

static struct json *identifiers(const struct job *j)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < j->order.n_names; i++) {
		struct json *one = json_new_object();

		json_put_text(one, "type", "dns");
		json_put_text(one, "value", j->order.names[i]);
		json_add(list, one);
	}
	return list;
}

/* Every URL that we may be asked to sign for is the CA's own. */
bool job_takes_order(struct job *j, const struct reply *r)
{
	const struct ca *ca = j->cert->ca;
	bool good =
		r->status != STATUS_NONE && ca_owns(ca, r->finalize) && r->authorizations.count > 0;

	for (size_t i = 0; i < r->authorizations.count; i++)
		good = good && ca_owns(ca, r->authorizations.items[i]);
	if (*r->certificate)
		good = good && ca_owns(ca, r->certificate);
	if (!good) {
		order_drop(j->dir);
		job_fail_text(j, FAILURE_PROTOCOL,
			      "an order without what it should have, or with addresses elsewhere");
	}
	return good;
}

void job_go_on(struct job *j, const struct reply *r)
{
	switch (r->status) {
	case STATUS_PENDING:
		job_authorize(j, r);
		break;
	case STATUS_READY:
		job_finalize(j);
		break;
	case STATUS_PROCESSING:
		job_await_certificate(j, r->retry_after);
		break;
	case STATUS_VALID:
		job_download(j, r);
		break;
	default:
		job_find_fault(j, r);
	}
}

static void order_begin(struct job *j);

/*
 * "replaces" is a courtesy: a CA that knows a successor already, that does not know the certificate
 * or that dislikes the identifier gets the order again without it, once and for this certificate.
 */
static bool is_about_replacing(const struct job *j, const struct reply *r)
{
	return j->order.replaces &&
	       (r->http == 404 || r->http == 409 ||
		(r->http >= 400 && (strcmp(r->problem.type, "alreadyReplaced") == 0 ||
				    strcmp(r->problem.type, "malformed") == 0)));
}

static void on_order(struct job *j, const struct reply *r)
{
	struct record *record = cert_record(j->cert);
	struct err e = { 0 };

	if (is_about_replacing(j, r)) {
		record->replaced = true;
		order_begin(j);
		return;
	}
	if (reply_is_bad(r)) {
		order_drop(j->dir);
		job_refused(j, r);
		return;
	}
	if (!ca_owns(j->cert->ca, r->location)) {
		order_drop(j->dir);
		job_fail_text(j, FAILURE_PROTOCOL, "an order without an address of its own");
		return;
	}
	if (!job_takes_order(j, r))
		return;
	record_set_text(&j->order.url, r->location);
	record_set_text(&j->order.finalize, r->finalize);
	if (order_write(j->dir, &j->order, &e) < 0) {
		job_fail_text(j, FAILURE_HOST, "%s", e.text);
		return;
	}
	job_go_on(j, r);
}

static void spend(struct job *j, const struct limits_order *order)
{
	struct ca *ca = j->cert->ca;
	time_t now = clock_wall();
	struct err e = { 0 };

	if (!ca->keeps_limits)
		return;
	limits_spend(&ca->limits, order, now);
	j->spent = *order;
	if (limits_write(&ca->limits, ca->dir, now, &e) < 0)
		acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: limits: %s", ca->origin, e.text);
}

/*
 * Limits are asked once more, for other orders were begun since this job's turn came. The record is
 * written without the order's address yet: what cannot be written now could not be after it either.
 */
static bool is_ready(struct job *j)
{
	struct cert *c = j->cert;
	struct limits_order order;
	struct failure f = { .class = FAILURE_LIMITED };
	struct err e = { 0 };

	if (!cert_may_order(c, (const char *const *)j->order.names, j->order.n_names, &order, &f)) {
		job_fail(j, &f);
		return false;
	}
	if (order_write(j->dir, &j->order, &e) < 0) {
		job_fail_text(j, FAILURE_HOST, "%s", e.text);
		return false;
	}
	spend(j, &order);
	return true;
}

static void order_begin(struct job *j)
{
	const struct cert *c = j->cert;
	const struct record *record = cert_record(c);
	autojson struct json *payload = json_new_object();
	autofree char *text = NULL;

	if (!is_ready(j))
		return;
	j->order.replaces = cert_replaces(c);
	json_put(payload, "identifiers", identifiers(j));
	if (*c->want.profile)
		json_put_text(payload, "profile", c->want.profile);
	if (j->order.replaces)
		json_put_text(payload, "replaces", record->ari);
	text = json_write(payload, false);
	job_call(j,
		 &(struct call_spec){
			 .kind = REQUEST_ORDER, .resource = RESOURCE_NEW_ORDER, .payload = text },
		 on_order);
}

/* The key ------------------------------------------------------------------- */

static void key_is_there(struct job *j)
{
	record_set_text(&j->order.ca, j->cert->ca->directory);
	order_begin(j);
}

static void key_keep(struct job *j, struct key *k)
{
	struct cert *c = j->cert;
	struct err e = { 0 };

	j->key = k;
	if (store_add_key(c->a->config.store, &c->place, k, &j->order.generation, &e) < 0)
		job_fail_text(j, FAILURE_HOST, "%s", e.text);
	else
		key_is_there(j);
}

static void on_key_made(const char *problem, const struct buf *output, void *data)
{
	struct job *j = data;
	struct key *k;
	struct err e = { 0 };

	j->program = NULL;
	if (problem)
		job_fail_text(j, FAILURE_HOST, "cannot make a key: %s", problem);
	else if (key_parse((struct pem){ buf_text(output), output->len }, &k, &e) < 0)
		job_fail_text(j, FAILURE_HOST, "cannot make a key: %s", e.text);
	else
		key_keep(j, k);
}

/* A long key takes up to a second, and is made beside the loop. */
static void key_make(struct job *j)
{
	enum key_type type = j->cert->want.key;
	const char *const argv[] = { "/proc/self/exe", "make-key", key_type_words[type], NULL };
	struct err e = { 0 };
	struct key *k;

	if (type != KEY_P256)
		j->program = program_start(j->cert->a->config.loop, argv, NULL, KEY_TIMEOUT_S,
					   on_key_made, j);
	else if (key_new(type, &k, &e) < 0)
		job_fail_text(j, FAILURE_HOST, "%s", e.text);
	else
		key_keep(j, k);
}

static void key_begin(struct job *j)
{
	struct cert *c = j->cert;
	time_t life = c->want.key_lifetime;
	time_t not_before = cert_record(c)->new_key ? clock_wall() + 1
			    : life                  ? clock_wall() - life
						    : 0;

	if (store_reuse_key(c->a->config.store, &c->place, c->want.key, not_before, &j->key,
			    &j->order.generation) == 0)
		key_is_there(j);
	else
		key_make(j);
}

/* A CA is asked for no other profiles than those in its directory (draft-ietf-acme-profiles, 3). */
static bool has_profile(struct job *j)
{
	const struct ca *ca = j->cert->ca;
	const char *wanted = j->cert->want.profile;
	autobuf struct buf known = { 0 };

	for (size_t i = 0; i < ca->n_profiles; i++) {
		if (strcmp(ca->profiles[i], wanted) == 0)
			return true;
		buf_printf(&known, "%s%s", i ? ", " : "", ca->profiles[i]);
	}
	if (!*wanted)
		return true;
	job_fail_text(j, FAILURE_CERTIFICATE, "the CA has no profile %s (it has: %s)", wanted,
		      known.len ? buf_text(&known) : "none");
	return false;
}

void job_order(struct job *j)
{
	if (has_profile(j))
		key_begin(j);
}
