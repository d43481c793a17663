/*
 * Our account at a CA (RFC 8555, 7.3). newAccount with a key that the CA knows
 * gives back what is there, so nothing is lost if its answer is: the URL is kept
 * in account.json, and asked for again where that is missing.
 */
#include <stdlib.h>
#include <string.h>

#include "acme/client/account_key.h"
#include "acme/client/client.h"
#include "acme/client/jws.h"
#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define FILE_MAX     65536
#define REFUSED_USEC (86400 * USEC_PER_SEC)
#define REPAIR_USEC  (3600 * USEC_PER_SEC)

static struct json *contacts_of(const struct acme_config *c)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < c->n_contacts; i++)
		json_add_text(list, c->contacts[i]);
	return list;
}

void account_save(const struct ca *ca)
{
	autojson struct json *j = json_new_object();
	autofree char *text = NULL;
	struct err e = { 0 };

	json_put_text(j, "kid", ca->kid);
	json_put_text(j, "directory", ca->directory);
	json_put_text(j, "thumbprint", ca->thumbprint);
	json_put_bool(j, "deactivated", ca->deactivated);
	json_put(j, "contacts", contacts_of(&ca->a->config));
	text = json_write(j, true);
	if (put_file(ca->dir, "account.json", 0600, text, strlen(text), PUT_SYNC, &e) < 0)
		acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: account: %s", ca->origin, e.text);
}

static bool same_contacts(const struct acme_config *c, const struct json *list)
{
	if (json_count(list) != c->n_contacts)
		return false;
	for (size_t i = 0; i < c->n_contacts; i++)
		if (!json_text_at(list, i) || strcmp(json_text_at(list, i), c->contacts[i]) != 0)
			return false;
	return true;
}

static void on_updated(const struct reply *r, void *data)
{
	struct ca *ca = data;

	if (!reply_is_bad(r))
		account_save(ca);
	else
		acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: the contacts were not taken: %s",
			  ca->origin, r->problem.detail);
}

static void update_contacts(struct ca *ca)
{
	autojson struct json *j = json_new_object();
	autofree char *payload = NULL;

	json_put(j, "contact", contacts_of(&ca->a->config));
	payload = json_write(j, false);
	(void)ca_call(ca, &(struct call_spec){ .kind = REQUEST_ACCOUNT,
					       .url = ca->kid,
					       .payload = payload,
					       .about_account = true,
					       .fn = on_updated,
					       .data = ca });
}

/* What is on disk is of another key, of another CA, or damaged: then it is as if there were nothing. */
static void read_account(struct ca *ca)
{
	autojson struct json *j = NULL;
	autofree char *text = NULL;
	const char *kid, *thumbprint;
	size_t len;

	if (path_read(ca->dir, "account.json", FILE_MAX, &text, &len, NULL) < 0 ||
	    json_parse(text, len, &j, NULL) < 0)
		return;
	kid = json_text(j, "kid");
	thumbprint = json_text(j, "thumbprint");
	if (!kid || !ca_owns(ca, kid) || !thumbprint || strcmp(thumbprint, ca->thumbprint) != 0)
		return;
	ca->kid = memory_dup(kid);
	ca->deactivated = json_bool(j, "deactivated", false);
	ca->account_known = KNOWN_YES;
	if (ca->deactivated)
		return;
	if (!same_contacts(&ca->a->config, json_get(j, "contacts")))
		update_contacts(ca);
}

int account_open(struct ca *ca, struct err *e)
{
	int r = account_key(ca->dir, ca->a->config.account_key, true, &ca->key, e);

	if (r == 0)
		r = jws_thumbprint(ca->key, ca->thumbprint, e);
	if (r < 0)
		return r;
	read_account(ca);
	if (account_key_next(ca->dir, &ca->next_key) == 0)
		ca->account_known = KNOWN_NOT;
	return 0;
}

bool account_is_refused(const struct ca *ca)
{
	return ca->deactivated || (ca->refused && ca->refused_until_usec > clock_usec());
}

void account_refuse(struct ca *ca, const char *why)
{
	free(ca->refused);
	ca->refused = memory_dup(why);
	ca->refused_until_usec = clock_usec() + REFUSED_USEC;
	acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: our account: %s", ca->origin, why);
	ca_go_on(ca); /* to answer those who wait */
}

bool account_repair(struct ca *ca)
{
	uint64_t now = clock_usec();

	if (ca->repaired_usec && now < ca->repaired_usec + REPAIR_USEC)
		return false;
	ca->repaired_usec = now;
	free(take_ptr(ca->kid));
	ca->account_known = KNOWN_NOT;
	return true;
}

static void on_account(const struct reply *r, void *data)
{
	struct ca *ca = data;

	struct failure f;

	ca->account_known = KNOWN_NOT;
	failure_of(r, clock_wall(), &f);
	if (f.class == FAILURE_LIMITED) {
		ca_close_for(
			ca,
			(uint64_t)failure_wait(&f, 1, 0, hash_text(HASH_START, ca->thumbprint)) *
				USEC_PER_SEC,
			"RateLimited", f.text);
	} else if (r->http >= 400) {
		autofree char *why = memory_printf("%s: %s", r->problem.type, r->problem.detail);

		account_refuse(ca, why);
	} else if (r->status != STATUS_VALID && r->status != STATUS_NONE) {
		account_refuse(ca, "it has been deactivated or revoked");
	} else if (!ca_owns(ca, r->location)) {
		ca_break(ca, "it does not say where our account is, or names another host");
	} else {
		free(ca->kid);
		ca->kid = memory_dup(r->location);
		ca->account_known = KNOWN_YES;
		account_save(ca);
		ca_go_on(ca);
	}
}

/* The key that binds to an account elsewhere, from the configuration or its file; the caller's. */
static char *binding_key(const struct acme_config *c, struct err *e)
{
	autofd int root = -1;
	char *text = NULL;
	size_t len;

	if (*c->eab_key)
		return memory_dup(c->eab_key);
	root = path_open_dir("/", e);
	if (root < 0 || path_read(root, c->eab_key_file + 1, FILE_MAX, &text, &len, e) < 0)
		return NULL;
	text[strcspn(text, " \t\r\n")] = '\0';
	return text;
}

static int add_binding(struct ca *ca, struct json *payload, struct err *e)
{
	const struct acme_config *c = &ca->a->config;
	autofree char *key = binding_key(c, e);
	autobuf struct buf binding = { 0 };
	struct json *j = NULL;
	int r = key ? jws_bind(ca->key, c->eab_kid, key, ca->resources[RESOURCE_NEW_ACCOUNT],
			       &binding, e)
		    : -e->code;

	if (key)
		explicit_bzero(key, strlen(key));
	if (r == 0)
		r = json_parse(buf_text(&binding), binding.len, &j, e);
	if (r < 0)
		return err_in(e, "acme.eab");
	json_put(payload, "externalAccountBinding", j);
	return 0;
}

void account_begin(struct ca *ca)
{
	const struct acme_config *c = &ca->a->config;
	autojson struct json *j = NULL;
	autofree char *payload = NULL;
	struct err e = { 0 };

	if (ca->account_known != KNOWN_NOT || account_is_refused(ca))
		return;
	if (ca->next_key) {
		account_settle_key(ca);
		return;
	}
	if (ca->eab_required && !*c->eab_kid) {
		account_refuse(ca, "the CA takes only accounts that are bound to one of its own "
				   "(set acme.eab)");
		return;
	}
	j = json_new_object();
	json_put_bool(j, "termsOfServiceAgreed", c->agree_tos);
	if (c->n_contacts)
		json_put(j, "contact", contacts_of(c));
	if (*c->eab_kid && add_binding(ca, j, &e) < 0) {
		account_refuse(ca, e.text);
		return;
	}
	ca->account_known = KNOWN_ASKED;
	payload = json_write(j, false);
	(void)ca_call(ca, &(struct call_spec){ .kind = REQUEST_ACCOUNT,
					       .resource = RESOURCE_NEW_ACCOUNT,
					       .payload = payload,
					       .with_key = true,
					       .fn = on_account,
					       .data = ca });
}
