/*
 * What a webspace is in the words of nginx. A server block per site would cost
 * 29 s a reload at 10,000 of them, so sites of one shape (nginx_shape.h) share a
 * block, and what differs comes from maps.
 *
 * A name is looked up once, for the site it belongs to; all else hangs on the
 * site. So a name that has no row of its own in some map cannot fall into the
 * row of somebody's wildcard there. For the same reason every name is in a block
 * of each listener: one that has no certificate, or is out of service, is in a
 * block that refuses it, and so in no other.
 *
 * The block and the maps both go by the request's host. A client may ask for it
 * on a connection whose handshake named another site (with a wildcard
 * certificate browsers do): it gets what the host's own site says to anybody.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/table.h"
#include "agent/model/names.h"
#include "renderers/nginx_shape.h"
#include "renderers/renderers.h"
#include "renderers/template.h"

const char *const nginx_file_names[NGINX_FILES] = { "nginx.conf", "maps.conf", "sites.conf" };

enum nginx_file { FILE_MAIN, FILE_MAPS, FILE_SITES };

/* Rows of maps, but for the first: lines "=SHAPE", each with the server_name lines of that shape. */
enum nginx_section {
	SECTION_SHAPES,
	SECTION_SITES,
	SECTION_USERS,
	SECTION_SUBDIRS,
	SECTION_HSTS,
	SECTION_TLS,
	SECTION_RSA,
	SECTIONS,
};
_Static_assert(SECTIONS <= RENDER_SECTIONS, "a fragment has room for them");

/* One site on its way into a fragment. */
struct place {
	const struct host *host;
	const struct webspace *webspace;
	const struct site *site;
	const struct site_facts *facts;
	size_t index; /* of the site */
	const char *id, *user, *subdir;
	const char *tls, *rsa; /* what $ws_tls and $ws_tls_rsa are for it; NULL: no certificate */
	struct buf *sections;
	struct err *e;
};

static bool sends_hsts(const struct place *p)
{
	return p->facts->trusted && *p->site->tls.hsts;
}

static int add_row(struct place *p, enum nginx_section section, const char *key, const char *value)
{
	const struct value values[] = {
		{ "KEY", quote_nginx_key, key },
		{ "VALUE", quote_nginx, value },
	};

	return template_render("nginx_row", values, ELEMENTS(values), &p->sections[section], p->e);
}

static int add_names(const struct site *site, struct buf *ret, struct err *e)
{
	autobuf struct buf names = { 0 };
	struct value value = { "NAMES", quote_none, NULL };
	size_t i;

	for (i = 0; i < site->names.count; i++) {
		if (i > 0)
			buf_addc(&names, ' ');
		if (quote_nginx_name(&names, site->names.items[i]) < 0)
			return err_set(e, EINVAL, "names: not a host name");
	}
	value.text = buf_text(&names);
	return template_render("nginx_names", &value, 1, ret, e);
}

static int add_shape(struct place *p, bool tls)
{
	const struct text_list *listen = tls ? &p->host->nginx.https : &p->host->nginx.http;
	struct buf *ret = &p->sections[SECTION_SHAPES];
	autobuf struct buf index = { 0 };
	struct nginx_shape shape;
	int r;

	if (listen->count == 0)
		return 0;
	r = shape_of_site(p->host, p->webspace, p->index, p->facts, tls, &index, &shape, p->e);
	if (r < 0)
		return r;
	buf_addc(ret, '=');
	shape_write(&shape, ret);
	buf_addc(ret, '\n');
	return add_names(p->site, ret, p->e);
}

static int add_name_rows(struct place *p)
{
	size_t i;
	int r = 0;

	for (i = 0; i < p->site->names.count && r == 0; i++) {
		r = add_row(p, SECTION_SITES, p->site->names.items[i], p->id);
		if (r == 0 && p->tls)
			r = add_row(p, SECTION_TLS, p->site->names.items[i], p->tls);
		if (r == 0 && p->rsa)
			r = add_row(p, SECTION_RSA, p->site->names.items[i], p->rsa);
	}
	return r;
}

static int add_site_rows(struct place *p)
{
	int r = 0;

	if (strcmp(p->id, p->user) != 0)
		r = add_row(p, SECTION_USERS, p->id, p->user);
	if (r == 0 && *p->subdir)
		r = add_row(p, SECTION_SUBDIRS, p->id, p->subdir);
	if (r == 0 && sends_hsts(p))
		r = add_row(p, SECTION_HSTS, p->id, p->site->tls.hsts);
	return r;
}

static int check_dir(const char *dir)
{
	return dir ? name_check_relative(dir, NULL) : -EINVAL;
}

static int check_site(const struct webspace *webspace, const struct site *site,
		      const struct site_facts *facts, struct err *e)
{
	autobuf struct buf text = { 0 };

	if (quote_word(&text, webspace->name) < 0 || *webspace->name == '.')
		return err_set(e, EINVAL, "the name cannot be part of a path");
	if (facts->certificate && check_dir(facts->certificate_dir) < 0)
		return err_set(e, EINVAL, "there is no place of the certificate");
	if (facts->certificate && facts->rsa_dir && check_dir(facts->rsa_dir) < 0)
		return err_set(e, EINVAL, "there is no place of the RSA certificate");
	return *site->root ? name_check_relative(site->root, e) : 0;
}

static struct place place_of_site(const struct host *host, const struct webspace *webspace,
				  const struct site_facts *facts, size_t i, struct arena *a)
{
	struct place p = { .host = host,
			   .webspace = webspace,
			   .site = &webspace->sites[i],
			   .facts = &facts[i],
			   .index = i,
			   .user = webspace->name };

	p.id = i == 0 ? p.user : arena_printf(a, "%s/%zu", p.user, i);
	p.subdir = *p.site->root ? arena_printf(a, "/%s", p.site->root) : "";
	p.tls = p.facts->certificate ? p.facts->certificate_dir : NULL;
	p.rsa = p.tls ? p.facts->rsa_dir : NULL;
	return p;
}

int nginx_fragment(const struct host *host, const struct webspace *webspace,
		   const struct site_facts *facts, struct buf sections[static RENDER_SECTIONS],
		   struct err *e)
{
	autoarena struct arena a = { 0 };
	size_t i;
	int r = 0;

	for (i = 0; i < webspace->n_sites && r == 0; i++) {
		struct place p = place_of_site(host, webspace, facts, i, &a);

		p.sections = sections;
		p.e = e;
		if (p.site->names.count == 0)
			continue;
		r = check_site(webspace, p.site, p.facts, e);
		if (r == 0)
			r = add_shape(&p, false);
		if (r == 0)
			r = add_shape(&p, true);
		if (r == 0)
			r = add_name_rows(&p);
		if (r == 0)
			r = add_site_rows(&p);
		if (r < 0)
			(void)err_in(e, "sites[%zu]", i);
	}
	return r;
}

/* Composing ----------------------------------------------------------- */

/* All server_name lines of one shape. */
struct group {
	struct buf names;
};

static struct group *find_group(struct table *groups, const char *key)
{
	struct group *g = table_get(groups, key);

	if (!g) {
		g = memory_new(sizeof(*g));
		table_set(groups, key, g);
	}
	return g;
}

/* Behind the line that begins at p. */
static const char *next_line(const char *p, const char *end)
{
	const char *newline = memchr(p, '\n', (size_t)(end - p));

	return newline ? newline + 1 : end;
}

/* Takes a section apart again: "=SHAPE\n", lines of names, "=SHAPE\n" … */
static void collect(struct table *groups, struct buf *key, const struct text_view *view)
{
	const char *p = view->text, *end = p + view->len;

	while (p < end && *p == '=') {
		const char *names = next_line(p, end), *next = names;

		while (next < end && *next != '=')
			next = next_line(next, end);
		buf_reset(key);
		buf_add(key, p + 1, (size_t)(names - p) - 2);
		buf_add(&find_group(groups, buf_text(key))->names, names, (size_t)(next - names));
		p = next;
	}
}

static void compose_sites(const struct host *host,
			  const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
			  struct buf *ret)
{
	struct table groups = { 0 };
	autobuf struct buf key = { 0 };
	struct table_entry *it;
	size_t i;

	for (i = 0; i < n; i++)
		collect(&groups, &key, &sections[i][SECTION_SHAPES]);
	table_each (&groups, it) {
		struct shape_place place = shape_shared;
		struct group *g = it->value;
		struct nginx_shape shape;

		place.names = buf_text(&g->names);
		if (shape_read(it->key, &shape))
			(void)shape_block(host, &shape, &place, ret, NULL);
		buf_clear(&g->names);
		free(g);
	}
	table_clear(&groups);
}

static const char *join(const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
			enum nginx_section section, struct buf *ret)
{
	size_t i;

	for (i = 0; i < n; i++)
		buf_add(ret, sections[i][section].text, sections[i][section].len);
	return ret->len ? buf_text(ret) : NULL;
}

static int add_common(const struct nginx_facts *facts, struct buf *ret, struct err *e)
{
	const struct value values[] = { { "THUMBPRINT", quote_nginx, facts->thumbprint } };

	return template_render("nginx_common", values, ELEMENTS(values), ret, e);
}

static void compose_maps(const struct nginx_facts *facts,
			 const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
			 struct buf *ret)
{
	struct buf rows[RENDER_SECTIONS] = { 0 };
	autobuf struct buf common = { 0 };
	size_t i;

	(void)add_common(facts, &common, NULL);
	const struct value values[] = {
		{ "COMMON", quote_none, buf_text(&common) },
		{ "SITES", quote_none, join(sections, n, SECTION_SITES, &rows[SECTION_SITES]) },
		{ "USERS", quote_none, join(sections, n, SECTION_USERS, &rows[SECTION_USERS]) },
		{ "SUBDIRS", quote_none,
		  join(sections, n, SECTION_SUBDIRS, &rows[SECTION_SUBDIRS]) },
		{ "HSTS", quote_none, join(sections, n, SECTION_HSTS, &rows[SECTION_HSTS]) },
		{ "TLS", quote_none, join(sections, n, SECTION_TLS, &rows[SECTION_TLS]) },
		{ "RSA", quote_none, join(sections, n, SECTION_RSA, &rows[SECTION_RSA]) },
	};

	(void)template_render("nginx_maps", values, ELEMENTS(values), ret, NULL);
	for (i = 0; i < RENDER_SECTIONS; i++)
		buf_clear(&rows[i]);
}

static size_t count_names(const struct text_view (*sections)[RENDER_SECTIONS], size_t n)
{
	size_t count = 0, i;

	for (i = 0; i < n; i++) {
		const char *p = sections[i][SECTION_SITES].text;
		const char *end = p + sections[i][SECTION_SITES].len;

		for (; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
			count++;
	}
	return count;
}

static void compose_defaults(const struct host *host, struct buf *ret)
{
	struct nginx_shape shape = { .kind = SHAPE_REFUSE };
	struct shape_place place = shape_shared;

	if (host->nginx.http.count > 0)
		(void)shape_block(host, &shape, &place, ret, NULL);
	shape.tls = true;
	if (host->nginx.https.count > 0)
		(void)shape_block(host, &shape, &place, ret, NULL);
}

/*
 * Above 10,000 nginx starts to look for a size of its hash just below the largest
 * allowed, and not at the smallest that could do: four times the names is found at once.
 */
#define HASH_MIN 16384

/* Descriptors a worker has besides: a client, an upstream and a file for each connection. */
#define FILES_SPARE 4096

static const char *protocols(const struct text_list *list, struct arena *a)
{
	const char *all = list->count ? list->items[0] : "TLSv1.2 TLSv1.3";
	size_t i;

	for (i = 1; i < list->count; i++)
		all = arena_printf(a, "%s %s", all, list->items[i]);
	return all;
}

static void compose_main(const struct host *host, const char *dir, size_t names, struct buf *ret)
{
	autoarena struct arena a = { 0 };
	autobuf struct buf defaults = { 0 };
	unsigned workers = host->nginx.worker_processes,
		 connections = host->nginx.worker_connections;
	size_t hash = 4 * names > HASH_MIN ? 4 * names : HASH_MIN;
	unsigned files = 3 * connections + FILES_SPARE;

	compose_defaults(host, &defaults);
	const struct value values[] = {
		{ "WEB_USER", quote_word, host->web_user },
		{ "WORKERS", quote_word, workers ? arena_printf(&a, "%u", workers) : "auto" },
		{ "FILES", quote_number, arena_printf(&a, "%u", files) },
		{ "RUN", quote_nginx_part, host->run_dir },
		{ "LOG", quote_nginx_part, host->log_root },
		{ "STATE", quote_nginx_part, host->state_dir },
		{ "CONNECTIONS", quote_number, arena_printf(&a, "%u", connections) },
		{ "NAMES_MAX", quote_number, arena_printf(&a, "%zu", hash) },
		{ "PROTOCOLS", quote_none, protocols(&host->nginx.tls_protocols, &a) },
		{ "DIR", quote_nginx_part, dir },
		{ "DEFAULTS", quote_none, buf_text(&defaults) },
	};

	(void)template_render("nginx_main", values, ELEMENTS(values), ret, NULL);
}

void nginx_compose(const struct host *host, const struct nginx_facts *facts, const char *dir,
		   const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
		   struct buf files[static NGINX_FILES])
{
	compose_main(host, dir, count_names(sections, n), &files[FILE_MAIN]);
	compose_maps(facts, sections, n, &files[FILE_MAPS]);
	compose_sites(host, sections, n, &files[FILE_SITES]);
}

void nginx_generation_conf(uint64_t generation, struct buf *ret)
{
	char number[24];
	const struct value values[] = { { "GENERATION", quote_number, number } };

	snprintf(number, sizeof(number), "%" PRIu64, generation);
	(void)template_render("nginx_generation", values, ELEMENTS(values), ret, NULL);
}

/* Alone --------------------------------------------------------------- */

static int render_block_alone(struct place *p, bool tls, struct buf *ret)
{
	const struct text_list *listen = tls ? &p->host->nginx.https : &p->host->nginx.http;
	autobuf struct buf names = { 0 }, index = { 0 };
	struct shape_place place = {
		.quote = quote_nginx_part,
		.user = p->user,
		.subdir = p->subdir,
		.hsts = sends_hsts(p) ? p->site->tls.hsts : NULL,
		.tls = p->tls,
		.rsa = p->rsa,
	};
	struct nginx_shape shape;
	int r;

	if (listen->count == 0)
		return 0;
	r = add_names(p->site, &names, p->e);
	place.names = buf_text(&names);
	if (r == 0)
		r = shape_of_site(p->host, p->webspace, p->index, p->facts, tls, &index, &shape,
				  p->e);
	if (r == 0)
		r = shape_block(p->host, &shape, &place, ret, p->e);
	return r;
}

int nginx_render_alone(const struct host *host, const struct nginx_facts *facts,
		       const struct webspace *webspace, const struct site_facts *sites,
		       struct buf *ret, struct err *e)
{
	autoarena struct arena a = { 0 };
	int r = add_common(facts, ret, e);
	size_t i;

	for (i = 0; i < webspace->n_sites && r == 0; i++) {
		struct place p = place_of_site(host, webspace, sites, i, &a);

		p.e = e;
		if (p.site->names.count == 0)
			continue;
		r = check_site(webspace, p.site, p.facts, e);
		if (r == 0)
			r = render_block_alone(&p, false, ret);
		if (r == 0)
			r = render_block_alone(&p, true, ret);
		if (r < 0)
			(void)err_in(e, "sites[%zu]", i);
	}
	return r;
}
