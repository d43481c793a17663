/*
 * Pure: the same for whoever orders a certificate and for whoever serves it, so
 * that both speak of the same place.
 */
#include "reconcile/site_want.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/model/partition.h"

#define ALL_SITES "_all" /* no site's name begins so; of a further part "_all.8" and so on */

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

static bool is_listed(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* A wildcard among them stands for it. CAs refuse an order of both. */
static bool is_redundant(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (names[i][0] == '*' && is_right_below(name, names[i] + 2))
			return true;
	return false;
}

/* Sorts out what need not be ordered. */
static size_t keep_needed(const char **names, size_t n, struct arena *a)
{
	const char **all = arena_new(a, (n + 1) * sizeof *all);
	size_t kept = 0;

	memcpy(all, names, n * sizeof *all);
	for (size_t i = 0; i < n; i++)
		if (!is_redundant(all, n, all[i]))
			names[kept++] = all[i];
	return kept;
}

static void add_names(const struct site *s, const char **names, size_t *n)
{
	for (size_t i = 0; i < s->names.count; i++)
		if (!is_listed(names, *n, s->names.items[i]))
			names[(*n)++] = s->names.items[i];
}

static bool shares(const struct host *host, const struct site *s)
{
	return wants(s) && s->tls.scope == TLS_SCOPE_WEBSPACE && !is_covered_by_host(host, s);
}

/* The sites that share certificates, and which of them each. */
static size_t shared_parts(const struct host *host, const struct webspace *webspace,
			   struct arena *a, struct partition_item **ret)
{
	struct partition_item *items = arena_new(a, (webspace->n_sites + 1) * sizeof *items);
	size_t n = 0, room = SIZE_MAX;

	for (size_t i = 0; i < webspace->n_sites; i++) {
		const struct site *s = &webspace->sites[i];

		if (!shares(host, s))
			continue;
		items[n++] =
			(struct partition_item){ i, s->names.count, partition_hash(&s->names), 0 };
		if (partition_room(s) < room)
			room = partition_room(s);
	}
	partition_divide(items, n, room);
	*ret = items;
	return n;
}

static const char *shared_place(uint64_t part, struct arena *a)
{
	char hex[17];
	size_t len = (size_t)snprintf(hex, sizeof hex, "%016" PRIx64, part);

	while (len > 0 && hex[len - 1] == '0')
		hex[--len] = '\0';
	return len ? arena_printf(a, ALL_SITES ".%s", hex) : ALL_SITES;
}

/* That of all sites of the webspace which are in the same part as this one. */
static void want_shared(const struct host *host, const struct webspace *webspace,
			const struct site *site, struct arena *a, struct acme_want *ret)
{
	bool *is_in = arena_new(a, (webspace->n_sites + 1) * sizeof *is_in);
	struct partition_item *items;
	size_t n = shared_parts(host, webspace, a, &items), room = 0, n_names = 0;
	uint64_t part = 0;
	const char **names;

	for (size_t i = 0; i < n; i++)
		if (&webspace->sites[items[i].index] == site)
			part = items[i].part;
	for (size_t i = 0; i < n; i++) {
		is_in[items[i].index] = items[i].part == part;
		room += items[i].part == part ? items[i].weight : 0;
	}
	names = arena_new(a, (room + 1) * sizeof *names);
	for (size_t i = 0; i < webspace->n_sites; i++)
		if (is_in[i])
			add_names(&webspace->sites[i], names, &n_names);
	ret->site = shared_place(part, a);
	ret->names = names;
	ret->n_names = keep_needed(names, n_names, a);
}

static void want_own(const struct site *site, struct arena *a, struct acme_want *ret)
{
	const char **names = arena_new(a, (site->names.count + 1) * sizeof *names);
	char name[256];

	memcpy(names, site->names.items, site->names.count * sizeof *names);
	store_site(site->names.items[0], name);
	ret->site = arena_dup(a, name);
	ret->names = names;
	ret->n_names = keep_needed(names, site->names.count, a);
}

bool site_want(const struct host *host, const struct webspace *webspace, const struct site *site,
	       struct arena *a, struct site_want *ret)
{
	*ret = (struct site_want){ .webspace = webspace->name };
	if (!wants(site))
		return false;
	if (is_covered_by_host(host, site)) {
		ret->webspace = ACME_HOST;
		return host_want(host, a, &ret->first);
	}
	ret->first = basics(host, site);
	if (site->tls.scope == TLS_SCOPE_WEBSPACE)
		want_shared(host, webspace, site, a, &ret->first);
	else
		want_own(site, a, &ret->first);
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
