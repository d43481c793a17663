/*
 * Cross-checks. php-fpm, nginx and the kernel would each notice some of these
 * later, when a whole generation depends on it; here one file is refused.
 */
#include "agent/model/rules.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/model/fill.h"

static void broken(const struct rules *r, const char *key, const char *what)
{
	problems_add(r->problems, r->file, setting_line(r->root, key), key, "%s", what);
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
		broken(r, "accounts.uid_max", "less than accounts.uid_min");
	else if (min <= ID_16_BIT && max >= ID_NOBODY)
		broken(r, "accounts.uid_max", "the range holds 65534 or 65535, which mean nobody");
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

static void check_listeners(const struct rules *r, const struct host *h)
{
	const struct text_list *http = &h->nginx.http, *https = &h->nginx.https;

	if (http->count == 0)
		broken(r, "nginx.http", "there is no address: ACME and redirects need HTTP");
	if (has_twice(http))
		broken(r, "nginx.http", "has an address twice");
	if (has_twice(https))
		broken(r, "nginx.https", "has an address twice");
	for (size_t i = 0; i < http->count; i++)
		for (size_t j = 0; j < https->count; j++)
			if (strcmp(http->items[i], https->items[j]) == 0)
				broken(r, "nginx.https", "has an address that nginx.http has too");
	if (h->nginx.tls_protocols.count == 0)
		broken(r, "nginx.tls_protocols", "there is no protocol");
}

static void check_places(const struct rules *r, const struct host *h)
{
	const struct {
		const char *key, *path;
	} places[] = {
		{ "config_dir", h->config_dir }, { "home_root", h->home_root },
		{ "state_dir", h->state_dir },   { "run_dir", h->run_dir },
		{ "log_root", h->log_root },
	};

	for (size_t i = 0; i < ELEMENTS(places); i++) {
		if (strcmp(places[i].path, "/") == 0)
			broken(r, places[i].key, "the root of the host is no place for this");
		for (size_t j = 0; j < ELEMENTS(places); j++)
			if (i != j && strcmp(places[j].key, "home_root") == 0 &&
			    is_within(places[i].path, places[j].path))
				broken(r, places[i].key, "lies in home_root, where webspaces are");
	}
	for (size_t i = 0; i < h->base.count; i++)
		if (strcmp(h->base.items[i], "/") == 0)
			broken(r, "base", "the whole host is not to be copied");
}

static void check_binding(const struct rules *r, const struct host *h)
{
	bool key = *h->acme.eab.hmac_key, file = *h->acme.eab.hmac_key_file;

	if (key && file)
		broken(r, "acme.eab.hmac_key_file", "there is acme.eab.hmac_key too: one of them");
	else if (*h->acme.eab.kid && !key && !file)
		broken(r, "acme.eab.kid",
		       "needs its key: acme.eab.hmac_key or acme.eab.hmac_key_file");
	else if (!*h->acme.eab.kid && (key || file))
		broken(r, key ? "acme.eab.hmac_key" : "acme.eab.hmac_key_file",
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
			broken(r, files[i].key, "lies in home_root, where users may exchange it");
}

static void check_acme(const struct rules *r, const struct host *h)
{
	check_binding(r, h);
	check_acme_files(r, h);
	if (strcmp(h->acme.user, "root") == 0)
		broken(r, "acme.user", "a user without rights, not root");
	if (strcmp(h->acme.user, h->web_user) == 0)
		broken(r, "acme.user", "the same as web_user, which reads the keys of the sites");
	if (h->acme.wildcard && !*h->base_domain)
		broken(r, "acme.wildcard", "needs base_domain");
	if (h->acme.wildcard && !*h->acme.dns_hook)
		broken(r, "acme.wildcard",
		       "needs acme.dns_hook: only dns-01 certifies *.base_domain");
}

void rules_host(const struct rules *r, const struct host *h)
{
	check_acme(r, h);
	check_ids(r, h);
	check_listeners(r, h);
	check_places(r, h);
}

/* php ------------------------------------------------------------------ */

static void check_pm(const struct rules *r, const struct php_settings *php)
{
	if (php->pm != PM_DYNAMIC)
		return;
	if (php->max_spare_servers > php->max_children)
		broken(r, "php.max_spare_servers", "more than php.max_children");
	if (php->min_spare_servers > php->max_spare_servers)
		broken(r, "php.min_spare_servers", "more than php.max_spare_servers");
	if (php->start_servers < php->min_spare_servers ||
	    php->start_servers > php->max_spare_servers)
		broken(r, "php.start_servers",
		       "not between php.min_spare_servers and php.max_spare_servers");
}

static void check_sizes(const struct rules *r, const struct php_settings *php)
{
	if (php->upload_max_filesize > php->post_max_size)
		broken(r, "php.upload_max_filesize",
		       "more than php.post_max_size, which would cut such an upload off");
}

static void check_paths(const struct rules *r, const struct php_settings *php)
{
	if (*php->status_path && strcmp(php->status_path, php->ping_path) == 0)
		broken(r, "php.ping_path", "the same as php.status_path");
}

/* In `defaults` they are for those that have a master of their own; in a webspace's file somebody counts on them. */
static void check_master(const struct rules *r, const struct php_settings *php)
{
	static const struct php_limits none;

	if (php->master != MASTER_DEDICATED && setting_is_there(r->root, "php.limits") &&
	    memcmp(&php->limits, &none, sizeof(none)) != 0)
		broken(r, "php.limits",
		       "limits are those of a master of its own: they need php.master = "
		       "\"dedicated\"");
}

#define MEMORY_LEAST (16U << 20) /* a master and a child of it */

static void check_limits(const struct rules *r, const struct php_settings *php)
{
	const struct php_limits *l = &php->limits;

	check_master(r, php);
	if (l->memory_max && l->memory_max < MEMORY_LEAST)
		broken(r, "php.limits.memory_max", "less than 16M, with which PHP does not start");
	if (l->memory_max && l->memory_high > l->memory_max)
		broken(r, "php.limits.memory_high", "more than php.limits.memory_max");
	if (l->tasks_max && l->tasks_max <= php->max_children)
		broken(r, "php.limits.tasks_max",
		       "not more than php.max_children, and the master is one too");
}

/* sockaddr_un has 107 bytes for a path, and php-fpm cuts a longer one without a word. */
#define SOCKET_PATH_MAX 107
#define MASTER_ID_MAX   31 /* "8.2-u4294967295.4294967295.1000" */

static void check_socket(const struct rules *r, const struct host *h, const struct webspace *w)
{
	size_t len = strlen(h->run_dir) + strlen("/php/masters/") + MASTER_ID_MAX + strlen("/") +
		     strlen(w->name) + strlen(".sock");

	if (w->php.enabled && len > SOCKET_PATH_MAX)
		broken(r, "",
		       "the path of its PHP socket is too long: shorten run_dir of the host");
}

/* sites ---------------------------------------------------------------- */

static void check_site(const struct rules *r, const struct site *s, size_t i)
{
	char key[64];

	if (!*s->tls.certificate == !*s->tls.key)
		return;
	snprintf(key, sizeof(key), "sites[%zu].tls.%s", i, *s->tls.key ? "key" : "certificate");
	broken(r, key,
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
			    size_t i)
{
	char key[64];

	if (s->tls.issuer != ISSUER_ACME || *s->tls.certificate)
		return;
	snprintf(key, sizeof(key), "sites[%zu].tls.challenge", i);
	if (s->tls.challenge == TLS_CHALLENGE_DNS_01 && !*h->acme.dns_hook)
		broken(r, key, "dns-01 needs acme.dns_hook of the host");
	if (s->tls.challenge == TLS_CHALLENGE_HTTP_01 && has_wildcard(s))
		broken(r, key, "http-01 certifies no name with *: that takes dns-01");
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
	for (size_t i = 0; i < w->n_sites; i++)
		for (size_t j = 0; j < w->sites[i].names.count; j++) {
			char key[64];

			if (!is_named_before(w, i, j))
				continue;
			snprintf(key, sizeof(key), "sites[%zu].names[%zu]", i, j);
			problems_add(r->problems, r->file, setting_line(r->root, key), key,
				     "%s is named twice", w->sites[i].names.items[j]);
		}
}

/* binds ---------------------------------------------------------------- */

static const char *bind_fault(const struct host *h, const struct webspace *w, size_t i)
{
	static const char *const ours[] = { "data", "tmp", "log", ".base" };
	const char *target = w->binds[i].target;

	for (size_t j = 0; j < ELEMENTS(ours); j++)
		if (is_within(target, ours[j]))
			return "the target is a place of the jail itself, which users may change";
	for (size_t j = 0; j < h->base.count; j++)
		if (is_within(target, h->base.items[j] + 1) ||
		    is_within(h->base.items[j] + 1, target))
			return "the target meets what every jail has from the host's `base`";
	for (size_t j = 0; j < i; j++)
		if (strcmp(target, w->binds[j].target) == 0)
			return "the target is there twice";
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
				broken(r, key, "lies in home_root, where users may exchange it");
		}
	}
}

static void check_binds(const struct rules *r, const struct host *h, const struct webspace *w)
{
	for (size_t i = 0; i < w->n_binds; i++) {
		const char *fault = bind_fault(h, w, i);
		char key[32];

		snprintf(key, sizeof(key), "binds[%zu]", i);
		if (fault)
			broken(r, key, fault);
	}
}

void rules_webspace(const struct rules *r, const struct host *h, const struct webspace *w)
{
	if (w->account.uid != ID_UNSET && is_taboo(w->account.uid))
		broken(r, "account.uid", "below 1000, 65534 or 65535: never a webspace's");
	if (w->account.gid != ID_UNSET && is_taboo(w->account.gid))
		broken(r, "account.gid", "below 1000, 65534 or 65535: never a webspace's");
	check_pm(r, &w->php);
	check_sizes(r, &w->php);
	check_paths(r, &w->php);
	check_limits(r, &w->php);
	check_socket(r, h, w);
	for (size_t i = 0; i < w->n_sites; i++) {
		check_site(r, &w->sites[i], i);
		check_challenge(r, h, &w->sites[i], i);
	}
	check_names(r, w);
	check_binds(r, h, w);
	check_own_files(r, h, w);
}
