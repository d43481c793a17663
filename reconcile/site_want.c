/*
 * Pure: the same for whoever orders a certificate and for whoever serves it, so
 * that both speak of the same place.
 */
#include "reconcile/site_want.h"

#include <string.h>

#define ALL_SITES "_all" /* no site's name begins so */

static enum key_type rsa_of(const struct site *site)
{
	return site->tls.rsa_bits >= 4096   ? KEY_RSA4096
	       : site->tls.rsa_bits >= 3072 ? KEY_RSA3072
					    : KEY_RSA2048;
}

static struct acme_want basics(const struct host *host, const struct site *site)
{
	return (struct acme_want){
		.directory = *site->tls.directory ? site->tls.directory : host->acme.directory,
		.profile = site->tls.profile,
		.preferred_chain = site->tls.preferred_chain,
		.key = site->tls.key_type == TLS_KEY_RSA ? rsa_of(site) : KEY_P256,
		.dns_01 = site->tls.challenge == TLS_CHALLENGE_DNS_01,
		.key_lifetime = site->tls.key_lifetime,
	};
}

static bool wants(const struct site *site)
{
	return site->tls.issuer == ISSUER_ACME && !*site->tls.certificate && site->names.count > 0;
}

/* "alice.example.org" for "example.org", but not "www.alice.example.org". */
static bool is_right_below(const char *name, const char *domain)
{
	const char *dot = strchr(name, '.');

	return dot && dot != name && *name != '*' && strcmp(dot + 1, domain) == 0;
}

static bool is_covered_by_host(const struct host *host, const struct site *site)
{
	if (!host->acme.wildcard)
		return false;
	for (size_t i = 0; i < site->names.count; i++)
		if (!is_right_below(site->names.items[i], host->base_domain))
			return false;
	return true;
}

bool host_want(const struct host *host, struct arena *a, struct acme_want *ret)
{
	const char **names;

	if (!host->acme.wildcard)
		return false;
	names = arena_new(a, sizeof *names);
	names[0] = arena_printf(a, "*.%s", host->base_domain);
	*ret = basics(host, host->default_site);
	ret->site = arena_printf(a, "_.%s", host->base_domain);
	ret->names = names;
	ret->n_names = 1;
	ret->dns_01 = true;
	return true;
}

static bool has(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* The names of all sites that share one, in order, each once. */
static void add_names(const struct host *host, const struct webspace *webspace, struct arena *a,
		      struct acme_want *ret)
{
	const char **names;
	size_t room = 0, n = 0;

	for (size_t i = 0; i < webspace->n_sites; i++)
		room += webspace->sites[i].names.count;
	names = arena_new(a, (room + 1) * sizeof *names);
	for (size_t i = 0; i < webspace->n_sites; i++) {
		const struct site *s = &webspace->sites[i];

		if (!wants(s) || s->tls.scope != TLS_SCOPE_WEBSPACE || is_covered_by_host(host, s))
			continue;
		for (size_t k = 0; k < s->names.count; k++)
			if (!has(names, n, s->names.items[k]))
				names[n++] = s->names.items[k];
	}
	ret->names = names;
	ret->n_names = n;
}

bool site_want(const struct host *host, const struct webspace *webspace, const struct site *site,
	       struct arena *a, struct site_want *ret)
{
	char name[256];

	*ret = (struct site_want){ .webspace = webspace->name };
	if (!wants(site))
		return false;
	if (is_covered_by_host(host, site)) {
		ret->webspace = ACME_HOST;
		return host_want(host, a, &ret->first);
	}
	ret->first = basics(host, site);
	if (site->tls.scope == TLS_SCOPE_WEBSPACE) {
		ret->first.site = ALL_SITES;
		add_names(host, webspace, a, &ret->first);
	} else {
		store_site(site->names.items[0], name);
		ret->first.site = arena_dup(a, name);
		ret->first.names = site->names.items;
		ret->first.n_names = site->names.count;
	}
	if (site->tls.key_type == TLS_KEY_BOTH) {
		ret->second = ret->first;
		ret->second.site = arena_printf(a, "%s+rsa", ret->first.site);
		ret->second.key = rsa_of(site);
	}
	return true;
}

static void add(struct acme_want *list, size_t *n, const struct acme_want *want)
{
	if (!want->site)
		return;
	for (size_t i = 0; i < *n; i++)
		if (strcmp(list[i].site, want->site) == 0)
			return;
	list[(*n)++] = *want;
}

size_t site_wants(const struct host *host, const struct webspace *webspace, struct arena *a,
		  struct acme_want **ret)
{
	struct acme_want *list = arena_new(a, (2 * webspace->n_sites + 1) * sizeof *list);
	struct site_want w;
	size_t n = 0;

	for (size_t i = 0; i < webspace->n_sites; i++) {
		if (!site_want(host, webspace, &webspace->sites[i], a, &w) ||
		    strcmp(w.webspace, ACME_HOST) == 0)
			continue;
		add(list, &n, &w.first);
		add(list, &n, &w.second);
	}
	*ret = list;
	return n;
}
