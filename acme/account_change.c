/*
 * Changes of the account that only a person asks for: another key (RFC 8555,
 * 7.3.5), and its end (7.3.6). The new key is on disk before the CA hears of it:
 * should we end in between, the CA is asked which of the two it knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/account_key.h"
#include "acme/client.h"
#include "acme/jws.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

int account_take_key(struct ca *ca, struct key *k, struct err *e)
{
	if (renameat(ca->dir, "next.key", ca->dir, "account.key") < 0) {
		key_free(k);
		return err_sys(e, "take the new key of the account");
	}
	key_free(ca->key);
	ca->key = k;
	return jws_thumbprint(k, ca->thumbprint, e);
}

/* It comes first, and is asked without an account. */
static void on_settled(const struct reply *r, void *data)
{
	struct ca *ca = data;
	struct key *next = take_ptr(ca->next_key);
	struct err e = { 0 };

	ca->account_known = KNOWN_NOT;
	if (reply_is_bad(r)) {
		key_free(next);
		(void)unlinkat(ca->dir, "next.key", 0);
	} else if (account_take_key(ca, next, &e) < 0) {
		account_refuse(ca, e.text);
	} else if (ca_owns(ca, r->location)) {
		free(ca->kid);
		ca->kid = memory_dup(r->location);
	}
	if (ca->kid) {
		ca->account_known = KNOWN_YES;
		account_save(ca);
	}
	ca_go_on(ca);
}

void account_settle_key(struct ca *ca)
{
	ca->account_known = KNOWN_ASKED;
	(void)ca_call(ca, &(struct call_spec){ .kind = REQUEST_ACCOUNT,
					       .resource = RESOURCE_NEW_ACCOUNT,
					       .payload = "{\"onlyReturnExisting\":true}",
					       .with_key = true,
					       .key = ca->next_key,
					       .fn = on_settled,
					       .data = ca });
}

/* Another key --------------------------------------------------------------------------- */

static void on_changed(const struct reply *r, void *data)
{
	struct ca *ca = data;
	struct key *next = take_ptr(ca->next_key);
	struct err e = { 0 };

	if (reply_is_bad(r)) {
		key_free(next);
		(void)unlinkat(ca->dir, "next.key", 0);
		acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: the account keeps its key: %s: %s",
			  ca->origin, r->problem.type, r->problem.detail);
		return;
	}
	if (account_take_key(ca, next, &e) < 0) {
		account_refuse(ca, e.text);
		return;
	}
	account_save(ca);
	acme_tell(ca->a, ACME_ACCOUNT, NULL,
		  "%s: our account has another key; nginx answers for it after the next start of "
		  "the agent, until then by files",
		  ca->origin);
}

static int change_key(struct ca *ca, struct err *e)
{
	autobuf struct buf payload = { 0 };
	const char *url = ca->resources[RESOURCE_KEY_CHANGE];
	int r;

	if (ca->account_known != KNOWN_YES || ca->next_key || !url)
		return err_set(e, EAGAIN, "%s: not in touch with the CA yet, or it changes no keys",
			       ca->origin);
	r = key_new(KEY_P256, &ca->next_key, e);
	if (r == 0)
		r = account_key_put(ca->dir, "next.key", ca->next_key, e);
	if (r == 0)
		r = jws_key_change(ca->key, ca->next_key, ca->kid, url, &payload, e);
	if (r < 0) {
		key_free(take_ptr(ca->next_key));
		return r;
	}
	(void)ca_call(ca, &(struct call_spec){ .kind = REQUEST_PLAIN,
					       .resource = RESOURCE_KEY_CHANGE,
					       .payload = buf_text(&payload),
					       .fn = on_changed,
					       .data = ca });
	return 0;
}

/* For all CAs; what each says is told by itself. -ENOENT: there is no account. */
static int each_ca(struct acme *a, int (*fn)(struct ca *ca, struct err *e), const char *done,
		   struct buf *ret_message)
{
	struct table_entry *it;
	struct err e = { 0 };
	size_t n = 0;
	int r = 0;

	table_each (&a->cas, it) {
		int one = fn(it->value, &e);

		n += one == 0;
		if (one < 0)
			r = one;
	}
	if (r < 0)
		buf_adds(ret_message, e.text);
	else if (n == 0)
		buf_adds(ret_message, "no account: no webspace asks for a certificate of a CA");
	else
		buf_printf(ret_message, "%s (%zu account%s); the journal tells how it went", done,
			   n, n == 1 ? "" : "s");
	return r < 0 ? r : n == 0 ? -ENOENT : 0;
}

int acme_change_key(struct acme *a, struct buf *ret_message)
{
	if (*a->config.account_key) {
		buf_printf(ret_message,
			   "the account's key is shared by a fleet (%s): change it there",
			   a->config.account_key);
		return -EPERM;
	}
	return each_ca(a, change_key, "asked for another key", ret_message);
}

/* Its end ------------------------------------------------------------------------------- */

static void on_deactivated(const struct reply *r, void *data)
{
	struct ca *ca = data;

	if (reply_is_bad(r)) {
		acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: the account was not deactivated: %s: %s",
			  ca->origin, r->problem.type, r->problem.detail);
		return;
	}
	ca->deactivated = true;
	account_save(ca);
	acme_tell(ca->a, ACME_ACCOUNT, NULL,
		  "%s: our account is deactivated; remove state_dir/acme/… to begin with another",
		  ca->origin);
	ca_go_on(ca);
}

static int deactivate(struct ca *ca, struct err *e)
{
	if (ca->account_known != KNOWN_YES || !ca->kid)
		return err_set(e, EAGAIN, "%s: not in touch with the CA yet", ca->origin);
	(void)ca_call(ca, &(struct call_spec){ .kind = REQUEST_ACCOUNT,
					       .url = ca->kid,
					       .payload = "{\"status\":\"deactivated\"}",
					       .fn = on_deactivated,
					       .data = ca });
	return 0;
}

int acme_deactivate(struct acme *a, struct buf *ret_message)
{
	return each_ca(a, deactivate, "asked to deactivate", ret_message);
}
