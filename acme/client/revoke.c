/*
 * What a person asks of certificates: to renew them now, or to revoke them
 * (RFC 8555, 7.6). A revoked one is replaced at once, with another key: the old
 * one's may be known to others.
 */
#include <errno.h>
#include <string.h>

#include "acme/client/client.h"
#include "acme/crypto/chain.h"
#include "agent/base/json.h"
#include "agent/base/own.h"

static struct owner *find(const struct acme *a, const char *webspace, struct buf *ret_message)
{
	struct owner *o = acme_owner(a, webspace);

	if (!o)
		buf_printf(ret_message, "%s has no certificate of a CA that speaks ACME", webspace);
	return o;
}

static void renew_now(struct cert *c)
{
	struct record *r = cert_record(c);

	r->forced = true;
	cert_forgive(c);
	for (size_t i = 0; i < r->n_held; i++)
		r->held[i].until = 0;
	cert_save(c);
	cert_look(c);
}

int acme_renew(struct acme *a, const char *webspace, struct buf *ret_message)
{
	const struct owner *o = find(a, webspace, ret_message);

	if (!o)
		return -ENOENT;
	for (size_t i = 0; i < o->n; i++)
		renew_now(o->certs[i]);
	buf_printf(
		ret_message,
		"asked for %zu new certificate%s; 'webspaces certs list %s' shows how it goes on",
		o->n, o->n == 1 ? "" : "s", webspace);
	return 0;
}

static void on_revoked(const struct reply *r, void *data)
{
	struct cert *c = data;

	c->revocation = NULL;
	if (reply_is_bad(r) && strcmp(r->problem.type, "alreadyRevoked") != 0) {
		acme_tell(c->a, ACME_PROBLEM, c->webspace, "%s: not revoked: %s: %s", c->want.site,
			  r->problem.type, r->problem.detail);
		return;
	}
	acme_tell(c->a, ACME_REVOKED, c->webspace,
		  "%s: its certificate is revoked, another is asked for", c->want.site);
	cert_record(c)->new_key = true;
	renew_now(c);
}

static int revoke_one(struct cert *c, struct err *e)
{
	const struct store *s = c->a->config.store;
	autopair struct pair live = { 0 };
	autobuf struct buf der = { 0 };
	autojson struct json *payload = NULL;
	autofree char *text = NULL;
	int r;

	if (!c->ends || c->revocation)
		return err_set(e, ENOENT, "%s: no certificate of this CA is installed",
			       c->want.site);
	store_load(s, &c->place, store_generation(s, &c->place), &live);
	r = chain_leaf((struct pem){ buf_text(&live.chain), live.chain.len }, &der, e);
	if (r < 0)
		return r;
	payload = json_new_object();
	json_put_text(payload, "certificate", buf_text(&der));
	text = json_write(payload, false);
	c->revocation = ca_call(c->ca, &(struct call_spec){ .kind = REQUEST_PLAIN,
							    .resource = RESOURCE_REVOKE_CERT,
							    .payload = text,
							    .fn = on_revoked,
							    .data = c });
	return 0;
}

int acme_revoke(struct acme *a, const char *webspace, struct buf *ret_message)
{
	const struct owner *o = find(a, webspace, ret_message);
	struct err e = { 0 };
	size_t n = 0;

	if (!o)
		return -ENOENT;
	for (size_t i = 0; i < o->n; i++)
		n += revoke_one(o->certs[i], &e) == 0;
	if (n == 0) {
		buf_adds(ret_message, e.text);
		return -ENOENT;
	}
	buf_printf(ret_message, "asked to revoke %zu certificate%s; the journal says how it went",
		   n, n == 1 ? "" : "s");
	return 0;
}
