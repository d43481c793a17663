/* A CA's directory (RFC 8555, 7.1.1): asked for at first use and once a day, and believed only if it stays within its own host. */
#include <stdlib.h>
#include <string.h>

#include "acme/client.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define OLD (86400 * USEC_PER_SEC)

static void texts_clear(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

static char **texts_copy(const struct text_array *from)
{
	char **ret = memory_new((from->count + 1) * sizeof *ret);

	for (size_t i = 0; i < from->count; i++)
		ret[i] = memory_dup(from->items[i]);
	return ret;
}

void directory_clear(struct ca *ca)
{
	for (size_t i = 0; i < RESOURCES; i++)
		free(take_ptr(ca->resources[i]));
	texts_clear(take_ptr(ca->caa_identities), ca->n_caa_identities);
	texts_clear(take_ptr(ca->profiles), ca->n_profiles);
	ca->n_caa_identities = ca->n_profiles = 0;
}

bool directory_is_known(struct ca *ca)
{
	if (ca->directory_known == KNOWN_YES && ca->n_jobs == 0 &&
	    clock_usec() > ca->directory_usec + OLD)
		ca->directory_known = KNOWN_NOT;
	return ca->directory_known == KNOWN_YES;
}

/* NULL, or the first URL that is not within the CA's own host; then nothing of it is taken. */
static const char *take_resources(struct ca *ca, const struct reply *r)
{
	const char *const urls[RESOURCES] = {
		[RESOURCE_NEW_NONCE] = r->directory.new_nonce,
		[RESOURCE_NEW_ACCOUNT] = r->directory.new_account,
		[RESOURCE_NEW_ORDER] = r->directory.new_order,
		[RESOURCE_REVOKE_CERT] = r->directory.revoke_cert,
		[RESOURCE_KEY_CHANGE] = r->directory.key_change,
		[RESOURCE_RENEWAL_INFO] = r->directory.renewal_info,
	};

	for (size_t i = RESOURCE_NEW_NONCE; i < RESOURCES; i++) {
		if (!*urls[i])
			continue;
		if (!ca_owns(ca, urls[i]))
			return urls[i];
		ca->resources[i] = memory_dup(urls[i]);
	}
	return NULL;
}

static void on_directory(const struct reply *r, void *data)
{
	struct ca *ca = data;
	const char *elsewhere;

	ca->directory_known = KNOWN_NOT;
	directory_clear(ca);
	if (reply_is_bad(r)) {
		ca_break(ca, "there is no directory at this address");
		return;
	}
	elsewhere = take_resources(ca, r);
	if (elsewhere) {
		autofree char *why = memory_printf(
			"its directory names another host, %.300s: where it moved there, give its "
			"new address as acme.directory",
			elsewhere);

		directory_clear(ca);
		ca_break(ca, why);
		return;
	}
	ca->caa_identities = texts_copy(&r->directory.caa_identities);
	ca->n_caa_identities = r->directory.caa_identities.count;
	ca->profiles = texts_copy(&r->directory.profiles);
	ca->n_profiles = r->directory.profiles.count;
	ca->eab_required = r->directory.external_account_required;
	ca->directory_usec = clock_usec();
	ca->directory_known = KNOWN_YES;
	acme_take_turn(ca->a);
}

void directory_ask(struct ca *ca)
{
	if (ca->directory_known == KNOWN_ASKED)
		return;
	ca->directory_known = KNOWN_ASKED;
	(void)ca_call(ca, &(struct call_spec){ .kind = REQUEST_DIRECTORY,
					       .resource = RESOURCE_DIRECTORY,
					       .unsigned_get = true,
					       .fn = on_directory,
					       .data = ca });
}
