/*
 * The order (RFC 8555, 7.4): within the limits, and with a key that lies on disk.
 * What a refusal of it means is blame.c's affair.
 */
#include <stdio.h>
#include <string.h>

#include "acme/client/job.h"
#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/own.h"

#define KEY_TIMEOUT_S 60

/* Ordering ------------------------------------------------------------------ */

static struct json *identifiers(const struct name_range *range)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < range->n; i++) {
		struct json *one = json_new_object();

		json_put_text(one, "type", "dns");
		json_put_text(one, "value", range->names[i]);
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
		job_order_refused(j, r);
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
static bool is_ready(struct job *j, const struct name_range *range)
{
	struct cert *c = j->cert;
	struct limits_order order;
	struct failure f = { .class = FAILURE_LIMITED };
	struct err e = { 0 };

	if (!cert_may_order(c, range->names, range->n, &order, &f)) {
		job_fail(j, &f);
		return false;
	}
	if (order_write(j->dir, &j->order, &e) < 0) {
		job_fail_text(j, FAILURE_HOST, "%s", e.text);
		return false;
	}
	order.replaces &= j->order.replaces;
	spend(j, &order);
	return true;
}

static void order_names(struct job *j, const struct name_range *range,
			void (*fn)(struct job *j, const struct reply *r))
{
	const struct cert *c = j->cert;
	autojson struct json *payload = json_new_object();
	autofree char *text = NULL;

	if (!is_ready(j, range))
		return;
	json_put(payload, "identifiers", identifiers(range));
	if (*c->want.profile)
		json_put_text(payload, "profile", c->want.profile);
	if (j->order.replaces)
		json_put_text(payload, "replaces", cert_record(c)->ari);
	text = json_write(payload, false);
	job_call(j,
		 &(struct call_spec){
			 .kind = REQUEST_ORDER, .resource = RESOURCE_NEW_ORDER, .payload = text },
		 fn);
}

static void order_begin(struct job *j)
{
	j->order.replaces = cert_replaces(j->cert);
	order_names(j,
		    &(struct name_range){ (const char *const *)j->order.names, j->order.n_names },
		    on_order);
}

/* It is not gone on with: only whether the CA takes it is asked for. */
void job_probe(struct job *j, const struct name_range *range,
	       void (*fn)(struct job *j, const struct reply *r))
{
	j->order.replaces = false;
	order_names(j, range, fn);
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
