/*
 * Changes of the account that only a person asks for: another key (RFC 8555,
 * 7.3.5), and its end (7.3.6). The new key is on disk before the CA hears of it.
 * Whenever it is not certain which of the two the CA knows, because we ended in
 * between or an answer was lost, it is asked; until then nothing is signed, and
 * no key is thrown away.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/client/account_key.h"
#include "acme/client/client.h"
#include "acme/client/jws.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

/* The new key is the account's from now on. */
static int take_next(struct ca *ca, struct err *e)
{
	if (renameat(ca->dir, "next.key", ca->dir, "account.key") < 0)
		return err_sys(e, "take the new key of the account");
	key_free(ca->key);
	ca->key = take_ptr(ca->next_key);
	ca->key_number++;
	return jws_thumbprint(ca->key, ca->thumbprint, e);
}

/* Only this word of the CA says that it does not know the new key. */
static bool is_unknown(const struct reply *r)
{
	return reply_is_bad(r) && strcmp(r->problem.type, "accountDoesNotExist") == 0;
}

static void drop_next(struct ca *ca)
{
	key_free(take_ptr(ca->next_key));
	(void)unlinkat(ca->dir, "next.key", 0);
}

static void tell_changed(const struct ca *ca)
{
	acme_tell(ca->a, ACME_ACCOUNT, NULL,
		  "%s: our account has another key; nginx answers for it after the next start of "
		  "the agent, until then by files",
		  ca->origin);
}

/* It comes first, and is asked without an account. */
static void on_settled(const struct reply *r, void *data)
{
	struct ca *ca = data;
	struct err e = { 0 };

	ca->account_known = KNOWN_NOT;
	if (is_unknown(r)) {
		drop_next(ca);
	} else if (reply_is_bad(r)) {
		account_refuse(ca, r->problem.detail);
		return;
	} else if (take_next(ca, &e) < 0) {
		account_refuse(ca, e.text);
		return;
	} else {
		tell_changed(ca);
		free(ca->kid);
		ca->kid = ca_owns(ca, r->location) ? memory_dup(r->location) : NULL;
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

static void tell_refusal(const struct ca *ca, const struct reply *r)
{
	acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: no other key for the account: %s: %s", ca->origin,
		  r->problem.type, r->problem.detail);
}

static void on_changed(const struct reply *r, void *data)
{
	struct ca *ca = data;
	struct err e = { 0 };

	if (reply_is_bad(r)) {
		/* If this is the second time, for an answer was lost, it may have changed it the first time. */
		tell_refusal(ca, r);
		ca->account_known = KNOWN_NOT;
		account_begin(ca);
		return;
	}
	if (take_next(ca, &e) < 0) {
		account_refuse(ca, e.text);
		return;
	}
	ca->account_known = KNOWN_YES;
	account_save(ca);
	tell_changed(ca);
	ca_go_on(ca);
}

static int send_change(struct ca *ca, struct err *e)
{
	autobuf struct buf payload = { 0 };
	const char *url = ca->resources[RESOURCE_KEY_CHANGE];
	int r = url ? 0 : err_set(e, EOPNOTSUPP, "it changes no keys");

	if (r == 0)
		r = key_new(KEY_P256, &ca->next_key, e);
	if (r == 0)
		r = account_key_put(ca->dir, "next.key", ca->next_key, e);
	if (r == 0)
		r = jws_key_change(ca->key, ca->next_key, ca->kid, url, &payload, e);
	if (r < 0) {
		drop_next(ca);
		return r;
	}
	ca->account_known = KNOWN_ASKED;
	(void)ca_call(ca, &(struct call_spec){ .kind = REQUEST_PLAIN,
					       .resource = RESOURCE_KEY_CHANGE,
					       .payload = buf_text(&payload),
					       .about_account = true,
					       .fn = on_changed,
					       .data = ca });
	return 0;
}

static void on_asked_before_change(const struct reply *r, void *data)
{
	struct ca *ca = data;
	struct err e = { 0 };

	if (reply_is_bad(r))
		tell_refusal(ca, r);
	else if (!ca->next_key && ca->account_known == KNOWN_YES && send_change(ca, &e) < 0)
		acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: no other key for the account: %s",
			  ca->origin, e.text);
}

/* First a look at the account: so the directory is known, and the account is as we think. */
static int change_key(struct ca *ca, struct err *e)
{
	if (!ca->kid || account_is_refused(ca))
		return err_set(e, EAGAIN, "%s: we have no account there that is in order",
			       ca->origin);
	(void)ca_call(ca, &(struct call_spec){ .kind = REQUEST_ACCOUNT,
					       .url = ca->kid,
					       .about_account = true,
					       .fn = on_asked_before_change,
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
					       .about_account = true,
					       .fn = on_deactivated,
					       .data = ca });
	return 0;
}

int acme_deactivate(struct acme *a, struct buf *ret_message)
{
	return each_ca(a, deactivate, "asked to deactivate", ret_message);
}
