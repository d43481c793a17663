/*
 * One item a site: the certificate it is served with. What is wanted and what
 * stands in for it is decided in site_certificate.c; here it is brought about.
 * A site whose own certificate has to wait is a placeholder: served, not ready.
 *
 * What each look finds is kept, for figures: ten thousand certificates are not
 * read again because somebody asks how long they last.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "reconcile/resource.h"
#include "reconcile/site_certificate.h"

struct state {
	time_t next;       /* the earliest renewal or end seen; 0: none */
	struct table seen; /* webspace → struct seen */
};

/* What the sites of a desired state were served with. */
struct seen {
	uint64_t fingerprint; /* of that state */
	size_t n;
	struct seen_site {
		time_t not_after; /* 0: nothing, or not looked at yet */
		enum certificate_source source;
	} sites[];
};

static int certificate_open(struct world *w, void **state, struct err *e)
{
	(void)w;
	(void)e;
	*state = memory_new(sizeof(struct state));
	return 0;
}

static void certificate_close(void *state)
{
	struct state *s = state;

	table_free_values(&s->seen);
	free(s);
}

static void certificate_desire(struct world *w, void *state, const struct webspace *webspace,
			       struct item_list *ret)
{
	(void)state;
	if (webspace->state == STATE_DISABLED)
		return;
	for (size_t i = 0; i < webspace->n_sites; i++) {
		const struct site *site = &webspace->sites[i];

		if (site->tls.issuer != ISSUER_OFF && site->names.count > 0)
			item_add(w, ret, site->names.items[0], site);
	}
}

static void look_at(struct state *s, time_t at)
{
	if (!s->next || at < s->next)
		s->next = at;
}

/* When it is due; and when it ends, whoever renews it, for it is not ready from then on. */
static void remember_times(struct state *s, const struct site_certificate *c, time_t now)
{
	if (c->renew_at && !c->differs)
		look_at(s, c->renew_at);
	if (c->not_after > now)
		look_at(s, c->not_after);
}

static enum certificate_source source_of(const struct site *site, const struct site_certificate *c)
{
	if (c->internal)
		return c->trusted ? CERTIFICATE_INTERNAL : CERTIFICATE_STAND_IN;
	return site->tls.certificate && *site->tls.certificate ? CERTIFICATE_FILES : CERTIFICATE_CA;
}

/* What was seen of another desired state ends here. */
static struct seen *seen_of(struct state *s, const struct webspace *webspace)
{
	struct seen *seen = table_get(&s->seen, webspace->name);

	if (seen && seen->fingerprint == webspace->fingerprint && seen->n == webspace->n_sites)
		return seen;
	seen = memory_new(sizeof *seen + webspace->n_sites * sizeof *seen->sites);
	seen->fingerprint = webspace->fingerprint;
	seen->n = webspace->n_sites;
	free(table_set(&s->seen, webspace->name, seen));
	return seen;
}

static void remember_served(struct state *s, const struct webspace *webspace,
			    const struct site *site, const struct site_certificate *c)
{
	seen_of(s, webspace)->sites[site - webspace->sites] = (struct seen_site){
		.not_after = c->not_after,
		.source = source_of(site, c),
	};
}

static void certificate_served(const void *state, const struct webspace *webspace,
			       served_certificate_fn *fn, void *data)
{
	const struct state *s = state;
	const struct seen *seen = table_get(&s->seen, webspace->name);

	if (!seen || seen->fingerprint != webspace->fingerprint || seen->n != webspace->n_sites)
		return;
	for (size_t i = 0; i < seen->n; i++) {
		const struct served_certificate c = {
			.webspace = webspace->name,
			.site = webspace->sites[i].names.count ? webspace->sites[i].names.items[0]
							       : "",
			.not_after = seen->sites[i].not_after,
			.source = seen->sites[i].source,
		};

		if (c.not_after)
			fn(&c, data);
	}
}

static void describe(const struct site *site, const struct site_certificate *c, struct finding *ret)
{
	const char *from = c->copy      ? site->tls.certificate
			   : c->inherit ? "a certificate of before"
					: "internal CA";
	char until[21] = "";

	if (c->renew_at)
		clock_rfc3339(c->renew_at, until);
	snprintf(ret->old_value, sizeof ret->old_value, "%s%s",
		 c->missing ? "none"
		 : *until   ? "to be renewed "
			    : "installed",
		 c->missing ? "" : until);
	snprintf(ret->new_value, sizeof ret->new_value, "%s, %zu name%s", from, site->names.count,
		 site->names.count == 1 ? "" : "s");
}

static void certificate_observe(struct world *w, void *state, const struct webspace *webspace,
				const struct item *item, struct finding *ret)
{
	const struct site *site = item->want;
	struct site_certificate c;

	site_certificate_look(w->store, w->host, webspace, site, w->wall, &c);
	remember_times(state, &c, w->wall);
	remember_served(state, webspace, site, &c);
	ret->what = c.differs;
	if (c.differs) {
		ret->state = c.missing ? OBSERVED_MISSING : OBSERVED_DIFFERS;
		describe(site, &c, ret);
	} else if (c.wanted) {
		ret->state = OBSERVED_IN_SYNC;
	} else {
		ret->state = OBSERVED_PLACEHOLDER;
		ret->reason = c.reason;
		snprintf(ret->text, sizeof ret->text, "%s", c.text);
	}
}

static int certificate_apply(struct world *w, void *state, const struct webspace *webspace,
			     const struct item *item, const struct finding *found, struct err *e)
{
	const struct site *site = item->want;
	struct site_certificate c;
	char name[256];

	(void)state;
	(void)found;
	site_certificate_look(w->store, w->host, webspace, site, w->wall, &c);
	store_site(site->names.items[0], name);
	if (c.inherit)
		return site_certificate_inherit(w->store, w->host, webspace, site, w->wall, e);
	if (c.copy)
		return store_install_files(w->store, webspace->name, name, site->tls.certificate,
					   site->tls.key, e);
	return store_issue_internal(w->store, webspace->name, name, site->names.items,
				    site->names.count, w->wall, e);
}

static int certificate_remove(struct world *w, void *state, const char *name, struct err *e)
{
	struct state *s = state;

	free(table_take(&s->seen, name));
	return store_remove(w->store, name, e);
}

static int certificate_list(struct world *w, void *state, struct table *ret_names, struct err *e)
{
	(void)state;
	return store_list(w->store, ret_names, e);
}

/* Once it is due everything is looked at, and the next one is found on the way. */
static time_t certificate_next_look(struct world *w, void *state)
{
	struct state *s = state;
	time_t next = s->next;

	if (next && next <= w->wall)
		s->next = 0;
	return next;
}

const struct resource_type certificate_type = {
	.name = "certificate",
	.condition = CONDITION_CERTIFICATE,
	.open = certificate_open,
	.close = certificate_close,
	.desire = certificate_desire,
	.observe = certificate_observe,
	.apply = certificate_apply,
	.remove = certificate_remove,
	.list = certificate_list,
	.next_look = certificate_next_look,
	.served = certificate_served,
};
