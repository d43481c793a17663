/*
 * From text to struct: read the file, look for traps (traps.c), let libconfig
 * parse, turn its tree into one of our own and free it (10,000 kept trees are
 * 83 MB), fill the struct by the table of options (fill.c), check what must
 * hold between values (rules.c). The only file that knows libconfig.
 *
 * Presets are values in the same syntax and go the same way, once per host; a
 * webspace then begins as a copy of the host's defaults and shares their texts.
 *
 * libconfig 1.5 leaks the last text before a syntax error: at most a file's size
 * for each look at a file that is broken in a new way.
 */
#include "agent/model/load.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/model/fill.h"
#include "agent/model/follow.h"
#include "agent/model/names.h"
#include "agent/model/partition.h"
#include "agent/model/rules.h"
#include "agent/model/syntax.h"
#include "agent/model/traps.h"

#define SITES_MAX 100

/* libconfig's tree into ours ------------------------------------------- */

static void convert_value(const config_setting_t *from, struct setting *to, struct arena *a)
{
	switch (config_setting_type(from)) {
	case CONFIG_TYPE_BOOL:
		to->type = SETTING_BOOL;
		to->number = config_setting_get_bool(from);
		break;
	case CONFIG_TYPE_INT:
		to->type = SETTING_NUMBER;
		to->number = config_setting_get_int(from);
		break;
	case CONFIG_TYPE_INT64:
		to->type = SETTING_NUMBER;
		to->number = config_setting_get_int64(from);
		break;
	case CONFIG_TYPE_STRING:
		to->type = SETTING_TEXT;
		to->text = arena_dup(a, config_setting_get_string(from) ?: "");
		break;
	default:
		to->type = SETTING_REAL;
	}
}

/* As deep as traps_scan lets a file be. */
static void convert(const config_setting_t *from, struct setting *to, struct arena *a)
{
	const char *name = config_setting_name(from);

	to->name = name ? arena_dup(a, name) : NULL;
	to->line = config_setting_source_line(from);
	if (!config_setting_is_aggregate(from)) {
		convert_value(from, to, a);
		return;
	}
	to->type = config_setting_is_group(from) ? SETTING_GROUP : SETTING_LIST;
	to->count = (size_t)config_setting_length(from);
	to->items = to->count ? arena_new(a, to->count * sizeof(*to->items)) : NULL;
	for (unsigned i = 0; i < to->count; i++)
		convert(config_setting_get_elem(from, i), &to->items[i], a);
}

/* Of an error at the very end libconfig says the line after the last. */
static unsigned line_within(const char *text, size_t len, unsigned line)
{
	unsigned last = len > 0 && text[len - 1] != '\n';

	for (size_t i = 0; i < len; i++)
		last += text[i] == '\n';
	return line < last ? line : last;
}

static const char byte_order_mark[] = "\xef\xbb\xbf";

static bool parse(const char *file, const char *text, size_t len, struct arena *a,
		  struct setting *ret, struct problems *p)
{
	char *copy;
	config_t c;
	bool ok;

	*ret = (struct setting){ .type = SETTING_GROUP };
	/* Editors of Windows begin a file with one. */
	if (strncmp(text, byte_order_mark, 3) == 0) {
		text += 3;
		len -= 3;
	}
	if (!traps_scan(file, text, len, p))
		return false;
	if (len == 0)
		return true;
	/* A comment on a last line without an end is a syntax error to libconfig. */
	copy = arena_printf(a, "%s\n", text);
	if (!syntax_check(file, copy, len + 1, p))
		return false;
	config_init(&c);
	ok = config_read_string(&c, copy);
	if (ok)
		convert(config_root_setting(&c), ret, a);
	else
		problems_add(p, file, line_within(text, len, (unsigned)config_error_line(&c)), "",
			     "%s", config_error_text(&c) ?: "cannot be parsed");
	config_destroy(&c);
	return ok;
}

/* presets -------------------------------------------------------------- */

/* A preset that does not parse is a fault of the program; a test reads all. */
static void fill_presets(enum option_scope scope, void *target, struct arena *a)
{
	autoarena struct arena temporary = { 0 };
	struct problems p = { 0 };

	for (size_t i = 0; i < n_options; i++) {
		const struct option *o = &options[i];
		struct err e = { 0 };
		struct setting root;

		if (o->scope != scope || !o->preset || !o->kind->parse)
			continue;

		const char *text = arena_printf(&temporary, "preset = %s;", o->preset);

		if (!parse(o->path, text, strlen(text), &temporary, &root, &p) ||
		    option_parse(o, &root.items[0], a, target, &e) < 0) {
			problems_print(&p, stderr);
			fprintf(stderr, "%s: the preset is wrong: %s\n", o->path, e.text);
			abort();
		}
	}
}

/* the host ------------------------------------------------------------- */

/* The settings of `defaults` are kept until the host's own are read: presets depend on those. */
static void keep_defaults(const struct fill *f, const struct option *o, const struct setting *s)
{
	const struct setting **kept = f->data;

	if (s->type != SETTING_GROUP)
		fill_problem(f, s->line, o->path, "expected %s", o->kind->expects);
	else
		*kept = s;
}

static void fill_default_site(const struct fill *f, struct site *site, const struct setting *group)
{
	struct fill of_site = *f;

	of_site.scope = SCOPE_SITE;
	of_site.target = site;
	of_site.shown = "defaults.site.";
	fill_group(&of_site, "", group);
	if (site->names.items) {
		fill_problem(&of_site, group->line, "names",
			     "names are not a default: each site has its own");
		site->names = (struct text_list){ 0 };
	}
}

/* `sites` in defaults: a list with the one group whose values all sites begin with. */
static void default_sites(const struct fill *f, const struct option *o, const struct setting *s)
{
	if (s->type != SETTING_LIST || s->count != 1 || s->items[0].type != SETTING_GROUP)
		fill_problem(f, s->line, o->path,
			     "as a default this is one group for all sites; write site = { … }");
	else
		fill_default_site(f, f->data, &s->items[0]);
}

static void fill_defaults(const struct fill *of_host, struct host *h, struct webspace *w,
			  struct site *site, const struct setting *defaults)
{
	struct fill f = *of_host;
	struct setting rest = *defaults;

	(void)h;
	f.scope = SCOPE_WEBSPACE;
	f.target = w;
	f.shown = "defaults.";
	f.nested = default_sites;
	f.data = site;
	rest.items = arena_new(f.arena, (rest.count + 1) * sizeof(*rest.items));
	rest.count = 0;
	for (size_t i = 0; i < defaults->count; i++) {
		const struct setting *s = &defaults->items[i];

		if (strcmp(s->name, "site") == 0 && s->type == SETTING_GROUP)
			fill_default_site(&f, site, s);
		else
			rest.items[rest.count++] = *s;
	}
	fill_group(&f, "", &rest);
}

static void fill_host(struct host *h, const struct setting *root, struct problems *p)
{
	struct webspace *w = arena_new(&h->arena, sizeof(*w));
	struct site *site = arena_new(&h->arena, sizeof(*site));
	const struct setting *defaults = NULL;
	struct fill f = { .file = h->file,
			  .problems = p,
			  .arena = &h->arena,
			  .scope = SCOPE_HOST,
			  .target = h,
			  .shown = "",
			  .nested = keep_defaults,
			  .data = &defaults };

	fill_presets(SCOPE_HOST, h, &h->arena);
	fill_presets(SCOPE_WEBSPACE, w, &h->arena);
	fill_presets(SCOPE_SITE, site, &h->arena);
	fill_group(&f, "", root);
	site->tls.issuer = h->acme.issuer;
	if (defaults)
		fill_defaults(&f, h, w, site, defaults);
	h->defaults = w;
	h->default_site = site;
	h->said = defaults;
}

/* What `defaults` alone would make of a webspace whose file is empty. */
static void check_defaults(const struct host *h, struct problems *p)
{
	autoarena struct arena temporary = { 0 };
	struct webspace w = *h->defaults;

	if (!h->said)
		return;
	w.name = "";
	w.sites = h->default_site;
	w.n_sites = 1;
	follow(&(struct said){ .defaults = h->said }, &temporary, &w);
	rules_defaults(
		&(struct rules){
			.file = h->file, .root = h->said, .shown = "defaults.", .problems = p },
		h, &w);
}

static void name_host_itself(struct host *h)
{
	char name[256] = "";

	if (*h->name)
		return;
	if (gethostname(name, sizeof(name) - 1) < 0)
		return;
	name[strcspn(name, ".")] = '\0';
	h->name = arena_dup(&h->arena, name);
}

static int read_host(const char *path, bool missing_ok, char **ret_text, size_t *ret_len,
		     struct problems *p)
{
	const char *slash = strrchr(path, '/');
	autofree char *parent = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	autofd int dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct err e = { 0 };
	int r;

	r = dir < 0 ? err_sys(&e, "%s", parent)
		    : load_read(dir, slash ? slash + 1 : path, ret_text, ret_len, &e);
	if (r == -ENOENT && missing_ok)
		return 0;
	if (r < 0)
		problems_add(p, path, 0, "", "%s", e.text);
	return r;
}

int load_host(const char *path, bool missing_ok, struct host **ret, struct problems *p)
{
	autofree char *text = NULL;
	size_t len = 0, before = p->count;
	struct setting root;
	struct host *h;

	if (path && read_host(path, missing_ok, &text, &len, p) < 0)
		return -EINVAL;
	h = memory_new(sizeof(*h));
	h->web_uid = (uid_t)-1;
	h->web_gid = (gid_t)-1;
	h->file = arena_dup(&h->arena, path ? path : "presets");
	if (parse(h->file, text ? text : "", len, &h->arena, &root, p)) {
		fill_host(h, &root, p);
		name_host_itself(h);
		rules_host(
			&(struct rules){
				.file = h->file, .root = &root, .shown = "", .problems = p },
			h);
		if (p->count == before)
			check_defaults(h, p);
	}
	if (p->count > before) {
		host_free(h);
		return -EINVAL;
	}
	*ret = h;
	return 0;
}

/* a webspace ----------------------------------------------------------- */

struct load_sites {
	const struct host *host;
	bool given;
};

static void fill_site(const struct fill *f, struct site *site, size_t i, const struct setting *s)
{
	autoarena struct arena temporary = { 0 };
	struct fill of_site = *f;

	of_site.shown = arena_printf(&temporary, "sites[%zu].", i);
	of_site.scope = SCOPE_SITE;
	of_site.target = site;
	if (s->type == SETTING_GROUP)
		fill_group(&of_site, "", s);
	else
		fill_problem(&of_site, s->line, "",
			     "expected a group like { names = [\"example.org\"]; }");
}

static void fill_sites(const struct fill *f, const struct option *o, const struct setting *s)
{
	struct load_sites *ls = f->data;
	struct webspace *w = f->target;
	struct site *sites;

	ls->given = true;
	if (s->type != SETTING_LIST || s->count > SITES_MAX) {
		fill_problem(f, s->line, o->path, "expected %s, at most %d", o->kind->expects,
			     SITES_MAX);
		return;
	}
	sites = s->count ? arena_new(f->arena, s->count * sizeof(*sites)) : NULL;
	for (size_t i = 0; i < s->count; i++) {
		sites[i] = *ls->host->default_site;
		fill_site(f, &sites[i], i, &s->items[i]);
	}
	w->sites = sites;
	w->n_sites = s->count;
}

static void name_site(const struct fill *f, const struct host *h, const struct webspace *w,
		      struct site *s)
{
	autoarena struct arena temporary = { 0 };
	const char **name;
	struct err e = { 0 };

	if (s->names.items || !*h->base_domain)
		return;
	name = arena_new(f->arena, sizeof(*name));
	if (name_host(f->arena, arena_printf(&temporary, "%s.%s", w->name, h->base_domain), false,
		      name, &e) < 0)
		fill_problem(f, 0, "sites", "%s.%s: %s; give names", w->name, h->base_domain,
			     e.text);
	else
		s->names = (struct text_list){ .items = name, .count = 1 };
}

/* Each site gets its names. */
static void name_sites(const struct fill *f, const struct host *h, struct webspace *w)
{
	struct load_sites *ls = f->data;
	struct site *sites = (struct site *)w->sites; /* not yet published */

	if (!ls->given) {
		sites = arena_new(f->arena, sizeof(*sites));
		*sites = *h->default_site;
		w->sites = sites;
		w->n_sites = 1;
	}
	for (size_t i = 0; i < w->n_sites; i++)
		name_site(f, h, w, &sites[i]);
}

/* One that has no name is not there. Until now places were those of the file. */
static void drop_nameless_sites(struct webspace *w)
{
	struct site *sites = (struct site *)w->sites;
	size_t kept = 0;

	for (size_t i = 0; i < w->n_sites; i++)
		if (sites[i].names.count > 0)
			sites[kept++] = sites[i];
	w->n_sites = kept;
}

static void fill_webspace(const struct host *h, struct webspace *w, const struct setting *root,
			  struct problems *p)
{
	struct load_sites ls = { .host = h };
	struct fill f = { .file = w->file,
			  .problems = p,
			  .arena = &w->arena,
			  .scope = SCOPE_WEBSPACE,
			  .target = w,
			  .shown = "",
			  .nested = fill_sites,
			  .data = &ls };
	size_t before = p->count;

	fill_group(&f, "", root);
	name_sites(&f, h, w);
	follow(&(struct said){ .file = root, .defaults = h->said }, f.arena, w);
	if (p->count == before)
		rules_webspace(
			&(struct rules){
				.file = w->file, .root = root, .shown = "", .problems = p },
			h, w);
	drop_nameless_sites(w);
	partition_sites(w);
	w->fingerprint = webspace_fingerprint(w);
}

int load_webspace(const struct host *h, const char *name, const char *file, const char *text,
		  size_t len, struct webspace **ret, struct problems *p)
{
	autoarena struct arena temporary = { 0 };
	size_t before = p->count;
	struct webspace *w;
	struct setting root;
	struct err e = { 0 };

	if (name_check_webspace(name, &e) < 0) {
		problems_add(p, file, 0, "", "%s", e.text);
		return -EINVAL;
	}
	if (!parse(file, text, len, &temporary, &root, p))
		return -EINVAL;
	w = memory_new(sizeof(*w));
	*w = *h->defaults;
	w->arena = (struct arena){ 0 };
	w->name = arena_dup(&w->arena, name);
	w->file = arena_dup(&w->arena, file);
	fill_webspace(h, w, &root, p);
	if (p->count > before) {
		webspace_free(w);
		return -EINVAL;
	}
	*ret = w;
	return 0;
}
