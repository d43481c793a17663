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
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/model/names.h"
#include "renderers/nginx_sections.h"
#include "renderers/nginx_shape.h"
#include "renderers/renderers.h"
#include "renderers/template.h"

/* One site on its way into a fragment. */
struct place {
	const struct host *host;
	const struct webspace *webspace;
	const struct site *site;
	const struct site_facts *facts;
	size_t index; /* of the site */
	const char *id, *user, *subdir;
	const char *tls, *rsa; /* what $ws_tls and $ws_tls_rsa are for it; NULL: no certificate */
	struct arena *arena;
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
	struct nginx_shape shape;
	int r;

	if (listen->count == 0)
		return 0;
	r = shape_of_site(p->host, p->webspace, p->index, p->facts, tls, p->arena, &shape, p->e);
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
		return err_set(e, EINVAL, "the certificate has no valid directory");
	if (facts->certificate && facts->rsa_dir && check_dir(facts->rsa_dir) < 0)
		return err_set(e, EINVAL, "the RSA certificate has no valid directory");
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
			   .user = webspace->name,
			   .arena = a };

	p.id = i == 0 ? p.user : arena_printf(a, "%s/%zu", p.user, i);
	p.subdir = *p.site->root ? arena_printf(a, "/%s", p.site->root) : "";
	p.tls = p.facts->certificate ? p.facts->certificate_dir : NULL;
	p.rsa = p.tls ? p.facts->rsa_dir : NULL;
	return p;
}

/* What all processes of its pool together have descriptors for; any of them may be a connection to us. */
static void add_holds(const struct webspace *w, struct buf *ret)
{
	uint64_t files = w->php.rlimit_files ? w->php.rlimit_files : NGINX_HOLDS_MAX;
	uint64_t holds = w->php.max_children * files;

	if (w->php.enabled && w->state == STATE_ENABLED)
		buf_printf(ret, "%" PRIu64 "\n", holds < NGINX_HOLDS_MAX ? holds : NGINX_HOLDS_MAX);
}

int nginx_fragment(const struct host *host, const struct webspace *webspace,
		   const struct site_facts *facts, struct buf sections[static RENDER_SECTIONS],
		   struct err *e)
{
	autoarena struct arena a = { 0 };
	size_t i;
	int r = 0;

	add_holds(webspace, &sections[SECTION_HOLDS]);
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

/* The path as a regular expression that matches nothing else. */
static const char *pattern_of(const char *path, struct arena *a)
{
	const char *pattern = "";

	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		pattern = isalnum(c) || c == '/' ? arena_printf(a, "%s%c", pattern, c)
						 : arena_printf(a, "%s\\x%02x", pattern, c);
	}
	return pattern;
}

int nginx_common(const struct host *host, const struct nginx_facts *facts, struct buf *ret,
		 struct err *e)
{
	autoarena struct arena a = { 0 };
	const struct value values[] = {
		{ "THUMBPRINT", quote_nginx, facts->thumbprint },
		{ "HOME_PATTERN", quote_nginx_part, pattern_of(host->home_root, &a) },
	};

	return template_render("nginx_common", values, ELEMENTS(values), ret, e);
}

/* Alone --------------------------------------------------------------- */

static int render_block_alone(struct place *p, bool tls, struct buf *ret)
{
	const struct text_list *listen = tls ? &p->host->nginx.https : &p->host->nginx.http;
	autobuf struct buf names = { 0 };
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
		r = shape_of_site(p->host, p->webspace, p->index, p->facts, tls, p->arena, &shape,
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
	int r = nginx_common(host, facts, ret, e);
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
