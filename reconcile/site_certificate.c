/*
 * Three ways to a certificate: the admin's own files, the internal CA, a public
 * CA. Whichever is wanted, a site always has one: what was good before stays
 * until the wanted one is there, and where nothing is good the internal CA
 * stands in. Only then nothing promises the browser more than that (no
 * redirect, no HSTS).
 */
#include "reconcile/site_certificate.h"

#include <stdio.h>
#include <string.h>

#include "reconcile/site_want.h"

struct look {
	struct store *store;
	const struct host *host;
	const struct webspace *webspace;
	const struct site *site;
	time_t now;
	bool present; /* there are files */
	struct certificate live;
};

static bool in_date(const struct look *l)
{
	return l->now >= l->live.not_before && l->now < l->live.not_after;
}

/* What is wrong with the live one, whoever it is from. */
static void find_damage(const struct look *l, struct site_certificate *ret)
{
	ret->missing = !l->present;
	if (!l->present || !l->live.key_matches)
		ret->differs = "key";
	else if (!l->live.covers)
		ret->differs = "names";
	else if (!in_date(l))
		ret->differs = "validity";
}

/* An internal certificate is also kept exact and young. */
static void find_age(const struct look *l, struct site_certificate *ret)
{
	if (ret->differs || !l->live.internal)
		return;
	if (!l->live.exact)
		ret->differs = "names";
	else if (l->now >= ret->renew_at)
		ret->differs = "validity";
}

static void wait_for(struct site_certificate *ret, const char *reason, const char *text)
{
	ret->reason = reason;
	snprintf(ret->text, sizeof ret->text, "%s", text);
}

/* Browsers refuse what an authority issued that is not valid itself. */
static void look_internal(const struct look *l, struct site_certificate *ret)
{
	bool is_ours = l->live.internal && store_ca_is_valid(l->store, l->now);

	ret->wanted = ret->trusted = ret->installed && is_ours;
	find_age(l, ret);
	if (!ret->differs && !is_ours)
		ret->differs = "issuer";
	if (!ret->wanted)
		wait_for(ret, "Pending", "the internal CA has not issued it yet");
}

/* Of the CA, or of another than the internal one while that of the CA is to come. False: neither. */
static bool take_standing(const struct look *l, const struct site_want *w,
			  struct site_certificate *ret)
{
	struct acme_standing first, second = { .good = true, .whole = true };

	acme_standing(l->store, w->webspace, &w->first, l->now, &first);
	if (w->second.site)
		acme_standing(l->store, w->webspace, &w->second, l->now, &second);
	if (!first.whole || !second.whole)
		wait_for(ret, first.whole ? second.reason : first.reason,
			 first.whole ? second.text : first.text);
	if (!first.usable)
		return false;
	ret->installed = true;
	ret->trusted = first.good;
	ret->wanted = first.whole && second.whole;
	ret->differs = NULL;
	ret->missing = false;
	ret->renew_at = 0; /* the client's affair */
	ret->internal = false;
	ret->not_after = first.ends;
	if (second.usable && second.ends < first.ends)
		ret->not_after = second.ends;
	snprintf(ret->dir, sizeof ret->dir, "%s", first.dir);
	if (second.usable)
		snprintf(ret->rsa_dir, sizeof ret->rsa_dir, "%s", second.dir);
	return true;
}

/* One that was wanted for other sites, or under another name, and still is good for these names. */
static bool take_another(const struct look *l, struct site_certificate *ret)
{
	const struct text_list *names = &l->site->names;
	struct acme_standing other;

	if (ret->installed && !l->live.internal)
		return false;
	if (acme_stand_in(l->store, l->webspace->name, names->items, names->count, l->now, &other) <
		    0 &&
	    acme_stand_in(l->store, ACME_HOST, names->items, names->count, l->now, &other) < 0)
		return false;
	snprintf(ret->dir, sizeof ret->dir, "%s", other.dir);
	ret->not_after = other.ends;
	ret->internal = false;
	ret->installed = true;
	ret->differs = NULL;
	ret->missing = false;
	ret->renew_at = 0;
	return true;
}

static bool may_inherit(const struct look *l, const struct site_want *w)
{
	if (strcmp(w->webspace, l->webspace->name) != 0)
		return false;
	return acme_may_inherit(l->store, w->webspace, &w->first, l->now) ||
	       (w->second.site && acme_may_inherit(l->store, w->webspace, &w->second, l->now));
}

/* While there is nothing better an internal one stands in, and is kept in order. */
static void look_acme(const struct look *l, struct site_certificate *ret)
{
	autoarena struct arena a = { 0 };
	struct site_want w;

	bool is_wanted = site_want(l->host, l->webspace, l->site, &a, &w);
	bool stands = is_wanted && take_standing(l, &w, ret);

	if (!stands && !take_another(l, ret))
		find_age(l, ret);
	ret->inherit = is_wanted && !ret->wanted && may_inherit(l, &w);
	if (ret->inherit)
		ret->differs = "place";
	if (stands)
		return;
	if (!l->host->acme.agree_tos)
		wait_for(ret, "TermsNotAgreed",
			 "the CA issues nothing before its terms are agreed to: set acme.agree_tos "
			 "= true "
			 "in webspaces.conf; until then an internal certificate stands in");
}

static void look_own(const struct look *l, struct site_certificate *ret)
{
	struct certificate own;
	struct err e = { 0 };
	const struct site *s = l->site;
	int r = certificate_check_files(l->store, s->tls.certificate, s->tls.key, s->names.items,
					s->names.count, l->now, &own, &e);

	if (r < 0) {
		wait_for(ret, "BadCertificate", e.text);
		find_age(l, ret);
		return;
	}
	ret->renew_at = 0;
	ret->trusted = ret->installed && l->live.content == own.content;
	ret->wanted = ret->trusted && own.complete;
	if (!ret->trusted) {
		wait_for(ret, "Pending", "the files have not been installed yet");
		ret->differs = "files";
		ret->copy = true;
	} else if (!ret->wanted) {
		wait_for(ret, "ChainIncomplete", e.text);
	}
}

void site_certificate_look(struct store *s, const struct host *host,
			   const struct webspace *webspace, const struct site *site, time_t now,
			   struct site_certificate *ret)
{
	struct look l = {
		.store = s, .host = host, .webspace = webspace, .site = site, .now = now
	};
	char name[256];

	*ret = (struct site_certificate){ 0 };
	if (site->tls.issuer == ISSUER_OFF || site->names.count == 0)
		return;

	store_site(site->names.items[0], name);
	l.present = store_read(s, webspace->name, name, site->names.items, site->names.count,
			       &l.live, NULL) == 0;
	find_damage(&l, ret);
	ret->installed = !ret->differs && store_current(s, webspace->name, name, ret->dir) == 0;
	if (ret->installed) {
		ret->not_after = l.live.not_after;
		ret->internal = l.live.internal;
	}
	if (l.present)
		ret->renew_at = certificate_renew_at(&l.live, site->names.items[0]);

	if (site->tls.certificate && *site->tls.certificate)
		look_own(&l, ret);
	else if (site->tls.issuer == ISSUER_INTERNAL)
		look_internal(&l, ret);
	else
		look_acme(&l, ret);
}

int site_certificate_inherit(struct store *s, const struct host *host,
			     const struct webspace *webspace, const struct site *site, time_t now,
			     struct err *e)
{
	autoarena struct arena a = { 0 };
	struct site_want w;
	int r;

	if (!site_want(host, webspace, site, &a, &w) || strcmp(w.webspace, webspace->name) != 0)
		return 0;
	r = acme_inherit(s, w.webspace, &w.first, now, e);
	if (r >= 0 && w.second.site)
		r = acme_inherit(s, w.webspace, &w.second, now, e);
	return r < 0 ? r : 0;
}
