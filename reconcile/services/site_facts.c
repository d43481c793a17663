/* See site_facts.h. */
#include "reconcile/services/site_facts.h"

#include "agent/base/hash.h"
#include "reconcile/site_certificate.h"

struct site_facts *site_facts_gather(struct store *store, const struct host *host,
				     const struct webspace *webspace, time_t wall, struct arena *a)
{
	struct site_facts *facts = arena_new(a, webspace->n_sites * sizeof(*facts));

	for (size_t i = 0; i < webspace->n_sites; i++) {
		struct site_certificate c = { 0 };

		site_certificate_look(store, host, webspace, &webspace->sites[i], wall, &c);
		facts[i] = (struct site_facts){
			.certificate = c.installed,
			.trusted = c.trusted,
			.certificate_dir = c.dir[0] ? arena_dup(a, c.dir) : NULL,
			.rsa_dir = c.rsa_dir[0] ? arena_dup(a, c.rsa_dir) : NULL,
		};
	}
	return facts;
}

uint64_t site_facts_hash(const struct webspace *webspace, const struct site_facts *facts)
{
	uint64_t h = hash_bytes(HASH_START, &webspace->fingerprint, sizeof(webspace->fingerprint));

	for (size_t i = 0; i < webspace->n_sites; i++) {
		h = hash_bytes(h, &facts[i].certificate, sizeof(facts[i].certificate));
		h = hash_bytes(h, &facts[i].trusted, sizeof(facts[i].trusted));
		h = hash_text(h, facts[i].certificate_dir ?: "");
		h = hash_text(h, facts[i].rsa_dir ?: "");
	}
	return h;
}
