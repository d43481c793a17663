/*
 * All looks of all names at once; each is an exchange of the worker, none goes
 * to the CA. The first thing that is wrong with a name is its verdict. A look
 * that comes to nothing (our resolver does not answer) counts against the name:
 * the CA would not get further, and it costs nothing to look again.
 */
#include "acme/client/preflight.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "acme/client/reach.h"
#include "acme/crypto/digest.h"
#include "agent/base/address.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/random.h"

#define TOKEN_BYTES 24

struct look {
	struct preflight *p;
	struct look *next;
	size_t name; /* which */
	uint32_t id;
	char at[REACH_MAX]; /* a listener; "": DNS */
};

struct preflight {
	struct ca *ca;
	struct acme *a;
	struct verdict *verdicts;
	size_t n, n_open;
	bool dns_01;
	struct look *looks;
	struct loop_source *none; /* there was nothing to look at */
	void (*fn)(const struct verdict *verdicts, size_t n, void *data);
	void *data;
};

void preflight_drop(struct preflight *p)
{
	if (!p)
		return;
	while (p->looks) {
		struct look *l = p->looks;

		p->looks = l->next;
		if (l->id)
			link_drop(p->a->link, l->id);
		free(l);
	}
	for (size_t i = 0; i < p->n; i++)
		free(p->verdicts[i].name);
	free(p->verdicts);
	loop_drop(p->none);
	free(p);
}

static void done(void *data)
{
	struct preflight *p = data;

	/* Whoever is called may drop us: it does so by the pointer that it has, so that is kept until then. */
	p->fn(p->verdicts, p->n, p->data);
}

__attribute__((format(printf, 4, 5))) static void
against(struct preflight *p, size_t name, enum verdict_kind kind, const char *format, ...)
{
	struct verdict *v = &p->verdicts[name];
	va_list ap;

	if (v->kind != VERDICT_GOOD)
		return;
	v->kind = kind;
	va_start(ap, format);
	vsnprintf(v->text, sizeof v->text, format, ap);
	va_end(ap);
}

static void ended(struct look *l)
{
	struct preflight *p = l->p;

	l->id = 0;
	if (--p->n_open == 0)
		done(p);
}

static void ask(struct preflight *p, size_t name, struct request *r, const char *at, link_fn *fn)
{
	struct look *l = memory_new(sizeof *l);

	l->p = p;
	l->name = name;
	l->next = p->looks;
	p->looks = l;
	snprintf(l->at, sizeof l->at, "%s", at);
	p->n_open++;
	l->id = link_ask(p->a->link, r, fn, l);
}

/* Listeners ---------------------------------------------------------------- */

static void on_listener(const struct reply *r, void *data)
{
	struct look *l = data;

	if (r->error != REPLY_OK || !r->found)
		against(l->p, l->name, VERDICT_LISTENER,
			"our own nginx at %s does not answer the CA's question: %s", l->at,
			*r->text ? r->text : "another text came");
	ended(l);
}

static void look_at_listeners(struct preflight *p, size_t name)
{
	const struct acme_config *c = &p->a->config;
	autobuf struct buf token = { 0 }, url = { 0 }, expect = { 0 };
	unsigned char random[TOKEN_BYTES];
	char at[REACH_MAX];

	random_bytes(random, sizeof random);
	base64url_write(random, sizeof random, &token);
	buf_printf(&url, "http://%s/.well-known/acme-challenge/%s", p->verdicts[name].name,
		   buf_text(&token));
	buf_printf(&expect, "%s.%s", buf_text(&token), c->thumbprint);
	for (size_t i = 0; i < c->n_http; i++) {
		struct request r = {
			.kind = REQUEST_LISTENER,
			.url = buf_text(&url),
			.connect = at,
			.expect = buf_text(&expect),
		};

		reach_of(c->http[i], at);
		ask(p, name, &r, at, on_listener);
	}
}

/* Addresses ---------------------------------------------------------------- */

static bool is_of_interface(const char *address)
{
	struct ifaddrs *all = NULL;
	bool found;

	if (getifaddrs(&all) < 0)
		return false;
	found = address_is_among(all, address);
	freeifaddrs(all);
	return found;
}

static bool is_ours(const struct acme_config *c, const char *address)
{
	for (size_t i = 0; i < c->n_addresses; i++)
		if (strcasecmp(c->addresses[i], address) == 0)
			return true;
	return is_of_interface(address);
}

static bool any_is_ours(const struct acme_config *c, const struct text_array *addresses)
{
	for (size_t i = 0; i < addresses->count; i++)
		if (is_ours(c, addresses->items[i]))
			return true;
	return false;
}

static void on_addresses(const struct reply *r, void *data)
{
	struct look *l = data;
	struct preflight *p = l->p;
	const char *name = p->verdicts[l->name].name;

	if (r->error != REPLY_OK)
		against(p, l->name, VERDICT_DNS, "DNS does not answer for %s: %s", name, r->text);
	else if (!r->exists || r->records.count == 0)
		against(p, l->name, VERDICT_DNS, "%s has no address in DNS", name);
	else if (p->a->config.preflight == ACME_LOOK_STRICT &&
		 !any_is_ours(&p->a->config, &r->records))
		against(p, l->name, VERDICT_ELSEWHERE,
			"%s points to %s, which is not an address of this host", name,
			r->records.items[0]);
	ended(l);
}

static void look_at_addresses(struct preflight *p, size_t name)
{
	struct request r = { .kind = REQUEST_ADDRESSES, .name = p->verdicts[name].name };

	ask(p, name, &r, "", on_addresses);
}

/* CAA (RFC 8659) ------------------------------------------------------------ */

static bool names_ca(const struct ca *ca, const char *value)
{
	size_t len = strcspn(value, "; \t");

	for (size_t i = 0; i < ca->n_caa_identities; i++)
		if (strlen(ca->caa_identities[i]) == len &&
		    strncasecmp(ca->caa_identities[i], value, len) == 0)
			return true;
	return false;
}

/* Values for wildcards come with a "*" before them; where there are any, only these count for a wildcard. */
static bool caa_allows(const struct ca *ca, const struct text_array *records, bool wildcard)
{
	bool of_wildcards = false, any = false;

	for (size_t i = 0; i < records->count; i++)
		of_wildcards |= wildcard && records->items[i][0] == '*';
	for (size_t i = 0; i < records->count; i++) {
		const char *value = records->items[i];

		if ((*value == '*') != of_wildcards)
			continue;
		any = true;
		if (names_ca(ca, value + of_wildcards))
			return true;
	}
	return !any;
}

static void on_caa(const struct reply *r, void *data)
{
	struct look *l = data;
	struct preflight *p = l->p;
	const char *name = p->verdicts[l->name].name;

	/* Without an answer the CA will find out. */
	if (r->error == REPLY_OK && r->exists &&
	    !caa_allows(p->ca, &r->records, strncmp(name, "*.", 2) == 0))
		against(p, l->name, VERDICT_CAA,
			"a CAA record of %s does not allow this CA (it would have to name %s)",
			name, p->ca->caa_identities[0]);
	ended(l);
}

static void look_at_caa(struct preflight *p, size_t name)
{
	const char *host = p->verdicts[name].name;
	struct request r = { .kind = REQUEST_CAA };

	r.name = strncmp(host, "*.", 2) == 0 ? host + 2 : host;
	ask(p, name, &r, "", on_caa);
}

/* --------------------------------------------------------------------------- */

static bool is_by_dns(const struct preflight *p, size_t name)
{
	return p->dns_01 || strncmp(p->verdicts[name].name, "*.", 2) == 0;
}

static void look_for_hook(struct preflight *p, size_t name)
{
	if (is_by_dns(p, name) && !p->a->hooks)
		against(p, name, VERDICT_HOOK,
			"only dns-01 can prove %s, and acme.dns_hook is not set",
			p->verdicts[name].name);
}

static void look_at(struct preflight *p, size_t name)
{
	bool dns_01 = is_by_dns(p, name);

	if (!dns_01 && *p->a->config.thumbprint)
		look_at_listeners(p, name);
	if (!dns_01)
		look_at_addresses(p, name);
	if (p->ca->n_caa_identities)
		look_at_caa(p, name);
}

struct preflight *preflight_begin(struct ca *ca, const char *const *names, size_t n, bool dns_01,
				  void (*fn)(const struct verdict *verdicts, size_t n, void *data),
				  void *data)
{
	struct preflight *p = memory_new(sizeof *p);

	*p = (struct preflight){
		.ca = ca, .a = ca->a, .n = n, .dns_01 = dns_01, .fn = fn, .data = data
	};
	p->verdicts = memory_new((n + 1) * sizeof *p->verdicts);
	p->none = loop_timer(ca->a->config.loop, UINT64_MAX, done, p);
	for (size_t i = 0; i < n; i++)
		p->verdicts[i].name = memory_dup(names[i]);
	for (size_t i = 0; i < n; i++) {
		look_for_hook(p, i);
		if (ca->a->config.preflight != ACME_LOOK_OFF && p->verdicts[i].kind == VERDICT_GOOD)
			look_at(p, i);
	}
	if (p->n_open == 0)
		loop_timer_set(p->none, clock_usec());
	return p;
}
