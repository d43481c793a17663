/*
 * Nonces (RFC 8555, 6.5). Each answer brings one, so there are about as many as
 * orders in flight, and only these first ones cost a request.
 *
 * None is used twice, whatever the CA says: what was taken is remembered for a
 * while, for a cache before a CA may give the same answer again.
 */
#include <stdlib.h>
#include <string.h>

#include "acme/client/ca.h"
#include "acme/store/seen.h"
#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define LIFETIME        (600 * USEC_PER_SEC)
#define CIRCULATING     16
#define CIRCULATING_LE  8 /* Let's Encrypt takes 250 requests a second */
#define NAMES_PER_NONCE 25

void nonces_keep_newest(struct ca *ca, size_t n)
{
	size_t drop = ca->n_nonces > n ? ca->n_nonces - n : 0;

	for (size_t i = 0; i < drop; i++)
		free(ca->nonces[i]);
	ca->n_nonces -= drop;
	memmove(ca->nonces, ca->nonces + drop, ca->n_nonces * sizeof *ca->nonces);
	memmove(ca->nonce_usec, ca->nonce_usec + drop, ca->n_nonces * sizeof *ca->nonce_usec);
}

static bool was_used(const struct ca *ca, uint64_t hash)
{
	for (size_t i = 0; i < NONCES_USED; i++)
		if (ca->used_nonces[i] == hash)
			return true;
	return false;
}

void nonce_keep(struct ca *ca, const char *nonce)
{
	if (!*nonce || was_used(ca, hash_text(HASH_START, nonce)))
		return;
	for (size_t i = 0; i < ca->n_nonces; i++)
		if (strcmp(ca->nonces[i], nonce) == 0)
			return;
	nonces_keep_newest(ca, NONCES_MAX - 1);
	ca->nonce_usec[ca->n_nonces] = clock_usec();
	ca->nonces[ca->n_nonces++] = memory_dup(nonce);
}

char *nonce_take(struct ca *ca)
{
	char *nonce;

	if (ca->n_nonces && ca->nonce_usec[ca->n_nonces - 1] + LIFETIME < clock_usec())
		nonces_keep_newest(ca, 0);
	if (!ca->n_nonces)
		return NULL;
	nonce = ca->nonces[--ca->n_nonces];
	ca->used_nonces[ca->next_used++ % NONCES_USED] = hash_text(HASH_START, nonce);
	return nonce;
}

static size_t wanted(const struct ca *ca)
{
	size_t n = (ca->n_jobs ? ca->n_jobs : 1) + ca->n_names / NAMES_PER_NONCE;
	size_t most = ca->keeps_limits ? CIRCULATING_LE : CIRCULATING;

	return n < most ? n : most;
}

static void on_nonce(const struct reply *r, void *data)
{
	struct ca *ca = data;

	ca->n_asked_nonces--;
	if (ca->n_nonces == 0)
		ca_break(ca,
			 *r->nonce ? "it gives a nonce that was used before" : "it gives no nonce");
}

void nonce_ask(struct ca *ca)
{
	/* Each that is under way brings one back. */
	if (ca->n_signed + ca->n_asked_nonces >= wanted(ca))
		return;
	ca->n_asked_nonces++;
	(void)ca_call(ca, &(struct call_spec){ .kind = REQUEST_NONCE,
					       .resource = RESOURCE_NEW_NONCE,
					       .fn = on_nonce,
					       .data = ca });
}
