/*
 * Cross-checks. php-fpm, nginx and the kernel would each notice some of these
 * later, when a whole generation depends on it; here one file is refused.
 */
#include "agent/model/rules.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/model/bundle.h"
#include "agent/model/fill.h"

void rule_broken(const struct rules *r, const char *key, const char *format, ...)
{
	autoarena struct arena temporary = { 0 };
	const char *shown = arena_printf(&temporary, "%s%s", r->shown, key);
	char text[300];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	problems_add(r->problems, r->file, setting_line(r->root, key), shown, "%s", text);
}

/* Two keys that do not fit: the problem is at the one that the file has. */
static const char *said_one(const struct rules *r, const char *key, const char *other)
{
	return setting_is_there(r->root, key) ? key : other;
}

/* Is the path at or below the other? Both without trailing slash. */
static bool is_within(const char *path, const char *other)
{
	size_t len = strlen(other);

	return strncmp(path, other, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* ids ------------------------------------------------------------------ */

#define ID_NOBODY 65534 /* what files of unknown owners show */
#define ID_16_BIT 65535 /* -1 of the system calls with 16 bits */
#define ID_MIN    1000  /* below are the system's own */

static bool is_taboo(id_t id)
{
	return id < ID_MIN || id == ID_NOBODY || id == ID_16_BIT;
}

static void check_ids(const struct rules *r, const struct host *h)
{
	unsigned min = h->accounts.uid_min, max = h->accounts.uid_max;

	if (min > max)
		rule_broken(r, said_one(r, "accounts.uid_max", "accounts.uid_min"),
			    "accounts.uid_max (%u) is less than accounts.uid_min (%u): set both",
			    max, min);
	else if (min <= ID_16_BIT && max >= ID_NOBODY)
		rule_broken(r, said_one(r, "accounts.uid_max", "accounts.uid_min"),
			    "the range holds 65534 or 65535, which mean nobody");
}

/* the host ------------------------------------------------------------- */

static bool has_twice(const struct text_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(list->items[i], list->items[j]) == 0)
				return true;
	return false;
}

#define CONNECTIONS_LEAST 64

static void check_listeners(const struct rules *r, const struct host *h)
{
	const struct text_list *http = &h->nginx.http, *https = &h->nginx.https;

	if (http->count == 0)
		rule_broken(r, "nginx.http",
			    "is empty: ACME and redirects need HTTP; write at least one address, "
			    "as in [\"0.0.0.0:80\"]");
	if (has_twice(http))
		rule_broken(r, "nginx.http", "has an address twice");
	if (has_twice(https))
		rule_broken(r, "nginx.https", "has an address twice");
	for (size_t i = 0; i < http->count; i++)
		for (size_t j = 0; j < https->count; j++)
			if (strcmp(http->items[i], https->items[j]) == 0)
				rule_broken(r, said_one(r, "nginx.https", "nginx.http"),
					    "%s is in nginx.http and in nginx.https",
					    http->items[i]);
	if (h->nginx.worker_connections && h->nginx.worker_connections < CONNECTIONS_LEAST)
		rule_broken(
			r, "nginx.worker_connections",
			"%u are too few to serve anybody: expected 0 (as many as it takes) or at "
			"least %d",
			h->nginx.worker_connections, CONNECTIONS_LEAST);
	if (h->nginx.tls_protocols.count == 0)
		rule_broken(r, "nginx.tls_protocols",
			    "is empty; write [\"TLSv1.2\", \"TLSv1.3\"] or leave it out");
}

/* nginx takes variables and patterns where it takes paths, php-fpm ends words at quotes, blanks and colons. */
#define PATH_HAS_NOT " $:'\"\\*?[]"

static void check_places(const struct rules *r, const struct host *h)
{
	const struct {
		const char *key, *path;
	} places[] = {
		{ "config_dir", h->config_dir }, /* ours alone: it may have any */
		{ "home_root", h->home_root },   { "state_dir", h->state_dir },
		{ "run_dir", h->run_dir },       { "log_root", h->log_root },
	};

	for (size_t i = 0; i < ELEMENTS(places); i++) {
		if (strcmp(places[i].path, "/") == 0)
			rule_broken(r, places[i].key, "cannot be the root of the host");
		if (i > 0 && strpbrk(places[i].path, PATH_HAS_NOT))
			rule_broken(r, places[i].key,
				    "%s has a character that nginx or php-fpm would misread: "
				    "expected a "
				    "path without any of blank %s",
				    places[i].path, PATH_HAS_NOT);
		for (size_t j = 0; j < ELEMENTS(places); j++)
			if (i != j && strcmp(places[j].key, "home_root") == 0 &&
			    is_within(places[i].path, places[j].path))
				rule_broken(r, said_one(r, places[i].key, places[j].key),
					    "%s (%s) lies in home_root (%s), where webspaces are",
					    places[i].key, places[i].path, places[j].path);
	}
	for (size_t i = 0; i < h->base.count; i++)
		if (strcmp(h->base.items[i], "/") == 0)
			rule_broken(r, "base", "the whole host is not to be copied");
}

static void check_binding(const struct rules *r, const struct host *h)
{
	bool key = *h->acme.eab.hmac_key, file = *h->acme.eab.hmac_key_file;

	if (key && file)
		rule_broken(r, "acme.eab.hmac_key_file",
			    "there is acme.eab.hmac_key too: one of them");
	else if (*h->acme.eab.kid && !key && !file)
		rule_broken(r, "acme.eab.kid",
			    "needs its key: acme.eab.hmac_key or acme.eab.hmac_key_file");
	else if (!*h->acme.eab.kid && (key || file))
		rule_broken(r, key ? "acme.eab.hmac_key" : "acme.eab.hmac_key_file",
			    "there is no acme.eab.kid to go with it");
}

/* Root reads or starts these: not from where a user could put another in their place. */
static void check_acme_files(const struct rules *r, const struct host *h)
{
	const struct {
		const char *key, *path;
	} files[] = {
		{ "acme.ca_file", h->acme.ca_file },
		{ "acme.eab.hmac_key_file", h->acme.eab.hmac_key_file },
		{ "acme.account_key", h->acme.account_key },
		{ "acme.dns_hook", h->acme.dns_hook },
	};

	for (size_t i = 0; i < ELEMENTS(files); i++)
		if (*files[i].path && is_within(files[i].path, h->home_root))
			rule_broken(r, files[i].key,
				    "lies in home_root, where users may exchange it");
}

static void check_acme(const struct rules *r, const struct host *h)
{
	check_binding(r, h);
	check_acme_files(r, h);
	if (strcmp(h->acme.user, "root") == 0)
		rule_broken(r, "acme.user", "a user without rights, not root");
	if (strcmp(h->acme.user, h->web_user) == 0)
		rule_broken(r, "acme.user",
			    "the same as web_user, which reads the keys of the sites");
	if (h->acme.wildcard && !*h->base_domain)
		rule_broken(r, "acme.wildcard", "needs base_domain");
	if (h->acme.wildcard && !*h->acme.dns_hook)
		rule_broken(r, "acme.wildcard",
			    "needs acme.dns_hook: only dns-01 certifies *.base_domain");
}

void rules_host(const struct rules *r, const struct host *h)
{
	check_acme(r, h);
	check_ids(r, h);
	check_listeners(r, h);
	check_places(r, h);
}

/* sites ---------------------------------------------------------------- */

static void check_site(const struct rules *r, const struct site *s, const char *prefix)
{
	char key[64];

	if (!*s->tls.certificate == !*s->tls.key)
		return;
	snprintf(key, sizeof(key), "%stls.%s", prefix, *s->tls.key ? "key" : "certificate");
	rule_broken(r, key,
		    *s->tls.key ? "there is no tls.certificate to go with it"
				: "there is no tls.key to go with it");
}

static bool has_wildcard(const struct site *s)
{
	for (size_t i = 0; i < s->names.count; i++)
		if (s->names.items[i][0] == '*')
			return true;
	return false;
}

/* What was said and cannot be done: with auto, a wildcard without a hook has to do without the CA. */
static void check_challenge(const struct rules *r, const struct host *h, const struct site *s,
			    const char *prefix)
{
	char key[64];

	if (s->tls.issuer != ISSUER_ACME || *s->tls.certificate)
		return;
	snprintf(key, sizeof(key), "%stls.challenge", prefix);
	if (s->tls.challenge == TLS_CHALLENGE_DNS_01 && !*h->acme.dns_hook)
		rule_broken(r, key, "dns-01 needs acme.dns_hook of the host");
	if (s->tls.challenge == TLS_CHALLENGE_HTTP_01 && has_wildcard(s))
		rule_broken(r, key, "http-01 certifies no name with *: that takes dns-01");
}

static bool is_named_before(const struct webspace *w, size_t site, size_t name)
{
	const char *wanted = w->sites[site].names.items[name];

	for (size_t i = 0; i <= site; i++)
		for (size_t j = 0; j < (i < site ? w->sites[i].names.count : name); j++)
			if (strcmp(w->sites[i].names.items[j], wanted) == 0)
				return true;
	return false;
}

static void check_names(const struct rules *r, const struct webspace *w)
{
	for (size_t i = 0; i < w->n_sites; i++) {
		char key[64];

		snprintf(key, sizeof(key), "sites[%zu].names", i);
		if (w->sites[i].names.items && w->sites[i].names.count == 0)
			rule_broken(
				r, key,
				"a site needs a name: give one, or leave the key out, which means "
				"NAME.base_domain");
		for (size_t j = 0; j < w->sites[i].names.count; j++) {
			if (!is_named_before(w, i, j))
				continue;
			snprintf(key, sizeof(key), "sites[%zu].names[%zu]", i, j);
			rule_broken(r, key, "%s is named twice", w->sites[i].names.items[j]);
		}
	}
}

/* binds ---------------------------------------------------------------- */

/*
 * Nothing can be put into a copy of the base. A bind may take the place of one, or of
 * several if it brings the host's own: /etc to /etc, but not another directory there.
 */
static bool base_is_hurt(const char *base, const char *source, const char *target)
{
	if (strcmp(base, target) == 0)
		return false;
	return is_within(target, base) || (is_within(base, target) && strcmp(source, target) != 0);
}

static const char *bind_fault(const struct host *h, const struct webspace *w, size_t i)
{
	static const char *const ours[] = { "data", "tmp", "log", ".base", ".passwd", ".group" };
	const char *target = w->binds[i].target, *source = w->binds[i].source;

	for (size_t j = 0; j < ELEMENTS(ours); j++)
		if (is_within(target, ours[j]))
			return "the target is a place of the jail itself";
	for (size_t j = 0; j < h->base.count; j++)
		if (base_is_hurt(h->base.items[j] + 1, source + 1, target))
			return "the target meets what every jail has from the host's `base`";
	for (size_t j = 0; j < i; j++)
		if (strcmp(target, w->binds[j].target) == 0)
			return "the target is there twice";
	for (size_t j = 0; j < w->n_binds; j++)
		if (strcmp(target, w->binds[j].target) != 0 &&
		    is_within(target, w->binds[j].target))
			return "the target lies in that of another bind";
	if (is_within(h->run_dir, w->binds[i].source) ||
	    is_within(h->state_dir, w->binds[i].source))
		return "the source holds this program's own state";
	if (is_within(w->binds[i].source, h->home_root))
		return "the source lies in home_root, where users may exchange it";
	return NULL;
}

/* Root reads these: not from where a user could put a link in their place. */
static void check_own_files(const struct rules *r, const struct host *h, const struct webspace *w)
{
	for (size_t i = 0; i < w->n_sites; i++) {
		const char *const files[] = { w->sites[i].tls.certificate, w->sites[i].tls.key };
		char key[64];

		for (size_t k = 0; k < ELEMENTS(files); k++) {
			snprintf(key, sizeof(key), "sites[%zu].tls.%s", i,
				 k ? "key" : "certificate");
			if (*files[k] && is_within(files[k], h->home_root))
				rule_broken(r, key,
					    "lies in home_root, where users may exchange it");
		}
	}
}

/* Of a bundle's path a bind may take the place, and not lie in it. */
static bool is_inside_bundle(const struct bundle *bundle, const char *target)
{
	for (const struct bundle_path *p = bundle->paths; p->pattern; p++) {
		const char *place = p->target ? p->target : p->pattern + 1;

		if (fnmatch(place, target, FNM_PATHNAME | FNM_LEADING_DIR) == 0 &&
		    fnmatch(place, target, FNM_PATHNAME) != 0)
			return true;
	}
	return false;
}

static void check_bundles(const struct rules *r, const struct webspace *w)
{
	if (has_twice(&w->bundles))
		rule_broken(r, "bundles", "names a bundle twice");
	for (size_t i = 0; i < w->n_binds; i++)
		for (size_t j = 0; j < w->bundles.count; j++) {
			char key[32];

			if (!is_inside_bundle(bundle_find(w->bundles.items[j]), w->binds[i].target))
				continue;
			snprintf(key, sizeof(key), "binds[%zu]", i);
			rule_broken(r, key, "the target lies inside what the bundle %s brings",
				    w->bundles.items[j]);
		}
}

static void check_binds(const struct rules *r, const struct host *h, const struct webspace *w)
{
	for (size_t i = 0; i < w->n_binds; i++) {
		const char *fault = bind_fault(h, w, i);
		char key[32];

		snprintf(key, sizeof(key), "binds[%zu]", i);
		if (fault)
			rule_broken(r, key, "%s", fault);
	}
}

void rules_defaults(const struct rules *r, const struct host *h, const struct webspace *w)
{
	rules_php(r, h, w);
	check_site(r, &w->sites[0], "site.");
	check_challenge(r, h, &w->sites[0], "site.");
	check_binds(r, h, w);
	check_own_files(r, h, w);
}

void rules_webspace(const struct rules *r, const struct host *h, const struct webspace *w)
{
	if (w->account.uid != ID_UNSET && is_taboo(w->account.uid))
		rule_broken(r, "account.uid", "below 1000, 65534 or 65535: never a webspace's");
	if (w->account.gid != ID_UNSET && is_taboo(w->account.gid))
		rule_broken(r, "account.gid", "below 1000, 65534 or 65535: never a webspace's");
	rules_php(r, h, w);
	for (size_t i = 0; i < w->n_sites; i++) {
		char prefix[32];

		snprintf(prefix, sizeof(prefix), "sites[%zu].", i);
		check_site(r, &w->sites[i], prefix);
		check_challenge(r, h, &w->sites[i], prefix);
	}
	check_names(r, w);
	check_binds(r, h, w);
	check_bundles(r, w);
	check_own_files(r, h, w);
}
