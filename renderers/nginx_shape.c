/* Shapes of sites: see nginx_shape.h. A block is put together here, from templates, for one shape. */
#include "renderers/nginx_shape.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"

const struct shape_place shape_shared = {
	.quote = quote_none,
	.user = "$ws_user",
	.subdir = "$ws_subdir",
	.hsts = "$ws_hsts",
	.tls = "$ws_tls",
	.rsa = "$ws_tls_rsa",
};

/* MiB and seconds; beyond the last, whole multiples of it. */
static const unsigned body_steps[] = { 1, 2, 4, 8, 16, 24, 32, 64, 128, 256, 512, 1024, 2048 };
static const unsigned time_steps[] = { 30, 60, 120, 300, 600, 1800, 3600 };

#define MIB            (UINT64_C(1) << 20)
#define BODY_MIB_MAX   (UINT64_C(1) << 20) /* a TiB; nginx counts in 63 bits */
#define PHP_TIME_SPARE 5                   /* PHP ends a request before nginx gives it up */
#define PHP_TIME_MAX   86400

static unsigned round_up(uint64_t wanted, const unsigned *steps, size_t n)
{
	unsigned last = steps[n - 1];
	size_t i;

	for (i = 0; i < n; i++)
		if (wanted <= steps[i])
			return steps[i];
	return (unsigned)((wanted + last - 1) / last * last);
}

/* Beside post_max_size it is what was said nearer to the webspace: agent/model/follow.c. */
static unsigned body_mib(const struct site *site)
{
	uint64_t mib = (site->client_max_body_size + MIB - 1) / MIB;

	if (site->client_max_body_size == 0)
		return 0;
	return mib > BODY_MIB_MAX ? 0 : round_up(mib, body_steps, ELEMENTS(body_steps));
}

static unsigned php_timeout(const struct php_settings *php)
{
	uint64_t wanted = (uint64_t)php->request_terminate_timeout + PHP_TIME_SPARE;

	if (php->request_terminate_timeout == 0 || wanted > PHP_TIME_MAX)
		return PHP_TIME_MAX;
	return round_up(wanted, time_steps, ELEMENTS(time_steps));
}

static enum shape_kind kind_of_site(const struct host *host, const struct webspace *webspace,
				    const struct site *site, const struct site_facts *facts,
				    bool tls)
{
	if (webspace->state == STATE_DISABLED || (tls && !facts->certificate))
		return SHAPE_REFUSE;
	if (webspace->state == STATE_SUSPENDED)
		return SHAPE_SUSPENDED;
	if (!tls && site->redirect_https && facts->certificate && facts->trusted &&
	    host->nginx.https.count > 0)
		return SHAPE_REDIRECT;
	return SHAPE_SITE;
}

static int set_index(const struct text_list *list, struct arena *a, struct nginx_shape *ret,
		     struct err *e)
{
	autobuf struct buf all = { 0 };
	size_t i;

	for (i = 0; i < list->count; i++) {
		if (i > 0)
			buf_addc(&all, ' ');
		if (quote_nginx(&all, list->items[i]) < 0)
			return err_set(e, EINVAL, "index: a name that nginx would misread");
	}
	ret->index = all.len ? arena_dup(a, buf_text(&all)) : NULL;
	return 0;
}

/* What php-fpm would run: nginx has the same list, and so sends it nothing that it refuses. */
static int set_extensions(const struct text_list *list, struct arena *a, struct nginx_shape *ret,
			  struct err *e)
{
	autobuf struct buf all = { 0 };
	size_t i;

	for (i = 0; i < list->count; i++) {
		const char *extension = list->items[i];

		if (i > 0)
			buf_addc(&all, '|');
		if (*extension != '.' || quote_extension(&all, extension + 1) < 0)
			return err_set(e, EINVAL,
				       "php.limit_extensions: \"%s\" is not an extension",
				       extension);
	}
	ret->extensions = list->count ? arena_dup(a, buf_text(&all)) : "php";
	return 0;
}

int shape_of_site(const struct host *host, const struct webspace *webspace, size_t i,
		  const struct site_facts *facts, bool tls, struct arena *a,
		  struct nginx_shape *ret, struct err *e)
{
	const struct site *site = &webspace->sites[i];
	const struct php_settings *php = NULL;
	int r;

	*ret = (struct nginx_shape){ .kind = kind_of_site(host, webspace, site, facts, tls),
				     .tls = tls };
	ret->dual = tls && ret->kind != SHAPE_REFUSE && facts->rsa_dir;
	if (ret->kind != SHAPE_SITE)
		return 0;

	if (site->type == SITE_PHP && webspace->php.enabled)
		php = &webspace->php;
	ret->body_mib = body_mib(site);
	ret->disable_symlinks = site->disable_symlinks;
	ret->hides_backups = site->type == SITE_PHP;
	r = set_index(&site->index, a, ret, e);
	if (r < 0 || !php)
		return r;
	ret->chroot = php->chroot;
	ret->php_timeout = php_timeout(php);
	return set_extensions(&php->limit_extensions, a, ret, e);
}

#define NONE "." /* no extension has one behind its first */

void shape_write(const struct nginx_shape *s, struct buf *ret)
{
	buf_printf(ret, "%u %u %u %u %u %u %u %u %s %s", s->kind, s->tls, s->dual, s->chroot,
		   s->disable_symlinks, s->hides_backups, s->body_mib, s->php_timeout,
		   s->extensions ? s->extensions : NONE, s->index ? s->index : "");
}

bool shape_read(const char *line, struct arena *a, struct nginx_shape *ret)
{
	unsigned kind, tls, dual, chroot, links, backups;
	int words = 0;
	size_t len;

	*ret = (struct nginx_shape){ 0 };
	if (sscanf(line, "%u %u %u %u %u %u %u %u %n", &kind, &tls, &dual, &chroot, &links,
		   &backups, &ret->body_mib, &ret->php_timeout, &words) != 8 ||
	    kind > SHAPE_SITE)
		return false;
	ret->kind = (enum shape_kind)kind;
	ret->tls = tls;
	ret->dual = dual;
	ret->chroot = chroot;
	ret->disable_symlinks = links;
	ret->hides_backups = backups;
	line += words;
	len = strcspn(line, " ");
	if (!line[len])
		return false;
	ret->extensions = arena_dupn(a, line, len);
	if (strcmp(ret->extensions, NONE) == 0)
		ret->extensions = NULL;
	ret->index = line[len + 1] ? arena_dup(a, line + len + 1) : NULL;
	return true;
}

/* What the functions below share while they put one block together. */
struct block {
	const struct host *host;
	const struct nginx_shape *shape;
	const struct shape_place *place;
	struct buf *ret;
	struct err *e;
};

/* Has a server of the host's this address too? */
static bool is_shared(const struct block *b, size_t i)
{
	const struct nginx_around *a = b->place->around;

	if (!a || i >= NGINX_ADDRESSES_MAX)
		return false;
	return (b->shape->tls ? a->https_shared : a->http_shared) >> i & 1;
}

/* An address speaks HTTP/2 as soon as one of its servers says so: where it is shared we do not. */
static const char *tls_of(const struct block *b, bool shared)
{
	if (!b->shape->tls)
		return "";
	return b->host->nginx.http2 && !shared ? " ssl http2" : " ssl";
}

static int add_listen(struct block *b)
{
	const struct text_list *list = b->shape->tls ? &b->host->nginx.https : &b->host->nginx.http;
	size_t i;
	int r = 0;

	for (i = 0; i < list->count && r == 0; i++) {
		bool shared = is_shared(b, i);
		const struct value values[] = {
			{ "ADDRESS", quote_nginx, list->items[i] },
			{ "DEFAULT", quote_none, b->place->names ? "" : " default_server" },
			{ "TLS", quote_none, tls_of(b, shared) },
		};

		if (shared && !b->place->names)
			continue;
		r = template_render("nginx_listen", values, ELEMENTS(values), b->ret, b->e);
	}
	return r;
}

static int add_refuse(struct block *b)
{
	const char *unknown = b->host->nginx.unknown;
	const struct value values[] = {
		{ "REJECT", quote_word, b->shape->tls ? "on" : NULL },
		{ "STATUS", quote_number, strcmp(unknown, "refuse") == 0 ? "444" : unknown },
	};

	return template_render("nginx_refuse", values, ELEMENTS(values), b->ret, b->e);
}

static int add_redirect(struct block *b)
{
	/* ":8443", or nothing for the port that https means anyway. */
	const char *port = strrchr(b->host->nginx.https.items[0], ':');
	const struct value values[] = {
		{ "PORT", quote_nginx_part, port && strcmp(port, ":443") != 0 ? port : "" },
	};

	return template_render("nginx_redirect", values, ELEMENTS(values), b->ret, b->e);
}

static int add_suspended(struct block *b)
{
	const char *page = b->host->nginx.suspended_page;
	const struct value values[] = {
		{ "STATUS", quote_number, b->host->nginx.suspended },
		{ "PAGE", quote_nginx, page },
	};

	if (!*page)
		return template_render("nginx_suspended", values, 1, b->ret, b->e);
	return template_render("nginx_suspended_page", values, ELEMENTS(values), b->ret, b->e);
}

static int add_php(const struct block *b, struct buf *ret)
{
	const struct nginx_shape *s = b->shape;
	const struct shape_place *p = b->place;
	const char *real = s->chroot ? "$ws_real_root" : "$realpath_root";
	bool links = !s->disable_symlinks;
	char seconds[16];
	const struct value values[] = {
		{ "EXTENSIONS", quote_none, s->extensions },
		{ "RUN", quote_nginx_part, b->host->run_dir },
		{ "USER", p->quote, p->user },
		{ "TIMEOUT", quote_number, seconds },
		{ "REAL_ROOT", quote_none, links ? real : NULL },
		{ "JAIL_SUBDIR", p->quote, s->chroot && !links ? p->subdir : NULL },
		{ "HOME", quote_nginx_part, s->chroot || links ? NULL : b->host->home_root },
		{ "SUBDIR", p->quote, p->subdir },
	};

	snprintf(seconds, sizeof(seconds), "%u", s->php_timeout);
	return template_render("nginx_php", values, ELEMENTS(values), ret, b->e);
}

static int add_site(struct block *b)
{
	const struct nginx_shape *s = b->shape;
	const struct shape_place *p = b->place;
	autobuf struct buf php = { 0 }, backups = { 0 };
	int r = s->extensions ? add_php(b, &php) : 0;
	char size[16];

	if (r == 0 && s->hides_backups)
		r = template_render("nginx_backups", NULL, 0, &backups, b->e);
	if (r < 0)
		return r;
	snprintf(size, sizeof(size), s->body_mib ? "%um" : "0", s->body_mib);
	const struct value values[] = {
		{ "HOME", quote_nginx_part, b->host->home_root },
		{ "USER", p->quote, p->user },
		{ "SUBDIR", p->quote, p->subdir },
		{ "INDEX", quote_none, s->index },
		{ "BODY_SIZE", quote_word, size },
		{ "LINKS_FROM", quote_nginx_part, s->disable_symlinks ? b->host->home_root : NULL },
		{ "PHP", quote_none, s->extensions ? buf_text(&php) : NULL },
		{ "BACKUPS", quote_none, s->hides_backups ? buf_text(&backups) : NULL },
	};

	return template_render("nginx_site", values, ELEMENTS(values), b->ret, b->e);
}

static int add_acme(const struct block *b, struct buf *ret)
{
	const struct value values[] = { { "RUN", quote_nginx_part, b->host->run_dir } };

	return template_render("nginx_acme", values, ELEMENTS(values), ret, b->e);
}

typedef int add_fn(struct block *b);

static add_fn *const bodies[] = {
	[SHAPE_REFUSE] = add_refuse,
	[SHAPE_REDIRECT] = add_redirect,
	[SHAPE_SUSPENDED] = add_suspended,
	[SHAPE_SITE] = add_site,
};

int shape_block(const struct host *host, const struct nginx_shape *shape,
		const struct shape_place *place, struct buf *ret, struct err *e)
{
	autobuf struct buf listen = { 0 }, body = { 0 }, acme = { 0 };
	struct block b = { host, shape, place, &listen, e };
	bool site = shape->kind != SHAPE_REFUSE, tls = site && shape->tls;
	int r = add_listen(&b);

	if (r == 0 && listen.len == 0)
		return 0;
	b.ret = &body;
	if (r == 0)
		r = bodies[shape->kind](&b);
	if (r == 0)
		r = add_acme(&b, &acme);
	if (r < 0)
		return r;

	const struct value values[] = {
		{ "LISTEN", quote_none, buf_text(&listen) },
		{ "NAMES", quote_none, place->names },
		{ "SETTINGS", quote_nginx_part, place->settings },
		{ "HOME", quote_nginx_part, site ? host->home_root : NULL },
		{ "USER", place->quote, place->user },
		{ "CERTS", quote_nginx_part, tls ? host->state_dir : NULL },
		{ "TLS", place->quote, tls ? place->tls : NULL },
		{ "RSA_CERTS", quote_nginx_part, tls && shape->dual ? host->state_dir : NULL },
		{ "RSA", place->quote, tls && shape->dual ? place->rsa : NULL },
		{ "HSTS", place->quote, tls ? place->hsts : NULL },
		{ "BODY", quote_none, buf_text(&body) },
		{ "ACME", quote_none, buf_text(&acme) },
	};

	return template_render("nginx_server", values, ELEMENTS(values), ret, e);
}
