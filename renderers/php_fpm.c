/*
 * What a webspace is in the words of php-fpm: a pool that runs as its user, in
 * its jail, behind a socket that only the web server may open.
 *
 * Where a value is said follows from who could change it. A script may set what
 * php.ini gives it as it likes, so limits are the pool's own admin values; what
 * PHP fixes at start, or lets a script only tighten, is in one ini file that
 * all pools share; and what many pools say alike is said by a letter
 * (php_variables.c). A default pool stays below 560 bytes by that. Where php-fpm's
 * own preset is ours too (7.4 to 8.4), nothing is said.
 *
 * One bad pool keeps a whole master from starting, and php-fpm's own test misses
 * half of the ways: what can be known from the text alone is refused here.
 */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "agent/base/own.h"
#include "agent/model/php_settings.h"
#include "agent/model/php_value.h"
#include "renderers/php_variables.h"
#include "renderers/renderers.h"
#include "renderers/template.h"

enum php_section { SECTION_POOL, SECTION_TERMINATE };

#define INI_GC_LIFETIME 1440
#define INI_GC_DIVISOR  1000

/* How long an old master waits for its last request, where one webspace sets no end to them. */
#define PATIENCE_MAX    3600
#define PATIENCE_MARGIN 10

static const char *number(struct arena *a, unsigned n)
{
	return arena_printf(a, "%u", n);
}

static const char *number_unless(struct arena *a, unsigned n, unsigned preset)
{
	return n == preset ? NULL : number(a, n);
}

static const char *size(struct arena *a, uint64_t bytes)
{
	if (bytes % (1 << 20) == 0)
		return arena_printf(a, "%juM", (uintmax_t)(bytes >> 20));
	return arena_printf(a, "%ju", (uintmax_t)bytes);
}

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

/*
 * php-fpm takes a value with a dollar sign in front from its own environment, and
 * no empty one: but what a variable without a name has is empty.
 */
static int check_env(const struct text_pair *pair, struct err *e)
{
	if (*pair->value == '$' || strstr(pair->value, "$pool"))
		return err_set(e, EINVAL, "env %s: php-fpm reads a dollar sign there as its own",
			       pair->key);
	return 1;
}

#define EMPTY_ENV "$"

/*
 * A setting that this PHP no longer has is left out, and so is (from the host's defaults) one about
 * a memory that is off in a shared master; one that reaches other pools is refused.
 */
static int check_setting(const struct webspace *w, const char *key, const char *version,
			 struct err *e)
{
	if (php_setting_is_forbidden(key))
		return err_set(e, EINVAL, "%s is shared by all pools of a master", key);
	if (php_setting_needs_own_master(key) && !webspace_is_dedicated(w))
		return 0;
	return php_setting_exists(key, version);
}

static int add_pairs(const struct webspace *w, const char *kind, const struct pair_list *list,
		     const char *version, struct buf *ret, struct err *e)
{
	autoarena struct arena a = { 0 };
	bool env = strcmp(kind, "env") == 0;
	size_t i;
	int r;

	for (i = 0; i < list->count; i++) {
		const struct text_pair *pair = &list->items[i];
		const char *text =
			env ? pair->value : php_value_for(pair->key, pair->value, version, &a);
		const struct value values[] = {
			{ "KIND", quote_word, kind },
			{ "KEY", quote_word, pair->key },
			{ "VALUE", quote_ini, env && !*text ? EMPTY_ENV : text },
		};

		r = env ? check_env(pair, e) : check_setting(w, pair->key, version, e);
		if (r > 0)
			r = template_render("php_pair", values, ELEMENTS(values), ret, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_all_pairs(const struct webspace *w, const char *version, struct buf *ret,
			 struct err *e)
{
	int r = add_pairs(w, "env", &w->php.env, version, ret, e);

	if (r == 0)
		r = add_pairs(w, "php_admin_value", &w->php.values, version, ret, e);
	if (r == 0)
		r = add_pairs(w, "php_value", &w->php.user_values, version, ret, e);
	return r;
}

/* For a pool without chroot: the same places, seen from outside. */
static int add_outside(const char *chroot, struct arena *a, struct buf *ret, struct err *e)
{
	const struct value values[] = {
		{ "LOG", quote_ini, arena_printf(a, "%s/log/php-error.log", chroot) },
		{ "TMP", quote_ini, arena_printf(a, "%s/tmp/misc", chroot) },
		{ "UPLOAD", quote_ini, arena_printf(a, "%s/tmp/upload", chroot) },
		{ "SESSION", quote_ini, arena_printf(a, "%s/tmp/session", chroot) },
		{ "WSDL", quote_ini, arena_printf(a, "%s/tmp/wsdl", chroot) },
	};

	return template_render("php_outside", values, ELEMENTS(values), ret, e);
}

/*
 * NULL: none. The jail is the boundary of a pool that has one; there open_basedir
 * costs six system calls of seven, as PHP looks at every component of every path.
 * In the master's ini it would cost all pools their cache of paths.
 */
static const char *open_basedir(const struct php_settings *php, const char *chroot, struct arena *a)
{
	if (strcmp(php->open_basedir, "none") == 0)
		return NULL;
	if (*php->open_basedir)
		return php->open_basedir;
	if (php->chroot)
		return NULL;
	return arena_printf(a, "%s/data/:%s/tmp/misc/:%s/tmp/upload/:/dev/urandom", chroot, chroot,
			    chroot);
}

static const char *extensions(const struct text_list *list, struct arena *a)
{
	const char *all = list->count ? list->items[0] : ".php";
	size_t i;

	for (i = 1; i < list->count; i++)
		all = arena_printf(a, "%s %s", all, list->items[i]);
	return all;
}

static const char *const pm_names[] = {
	[PM_STATIC] = "static",
	[PM_DYNAMIC] = "dynamic",
	[PM_ONDEMAND] = "ondemand",
};

struct pool {
	const struct host *host;
	const struct webspace *webspace;
	const struct php_facts *facts;
	const char *home, *chroot; /* HOME_ROOT/NAME, and the jail in it */
	const char *outside, *pairs;
	bool alone; /* for readers: values instead of variables */
	struct arena *arena;
};

/* What php-fpm does anyway, in all versions. */
#define FPM_LISTEN_MODE  "0660"
#define FPM_IDLE_TIMEOUT 10

/* variable: what stands for the text in a master. */
static struct value shared(const struct pool *p, const char *name, const char *variable,
			   const char *text)
{
	if (p->alone || !variable)
		return (struct value){ name, quote_ini, text };
	return (struct value){ name, quote_none, variable };
}

/* A text of the webspace's that many others may have too. */
static struct value common(const struct pool *p, const char *name, const char *text)
{
	return shared(p, name, text ? php_variable_for(text, p->arena) : NULL, text);
}

/* A variable that a file gives itself; of two, php-fpm would take the first. */
static struct value unless_given(const struct pool *p, const char *variable, struct value ours)
{
	if (pair_of(&p->webspace->php.env, variable))
		ours.text = NULL;
	return ours;
}

static int render_pool(const struct pool *p, struct buf *ret, struct err *e)
{
	const struct php_settings *php = &p->webspace->php;
	const char *name = p->webspace->name;
	struct arena *a = p->arena;
	bool dynamic = php->pm == PM_DYNAMIC;
	const struct value values[] = {
		{ "NAME", quote_word, name },
		unless_given(p, "USER", shared(p, "USER", "$pool", name)),
		{ "UID", quote_number, number(a, p->facts->uid) },
		{ "GID", quote_number, number(a, p->facts->gid) },
		shared(p, "LISTEN", "${R}",
		       arena_printf(a, "%s/php/%s.sock", p->host->run_dir, name)),
		{ "WEB_UID", quote_number, number(a, p->host->web_uid) },
		{ "WEB_GID", quote_number, number(a, p->host->web_gid) },
		{ "LISTEN_MODE", quote_word,
		  strcmp(php->listen_mode, FPM_LISTEN_MODE) == 0 ? NULL : php->listen_mode },
		{ "PM", quote_word, pm_names[php->pm] },
		{ "MAX_CHILDREN", quote_number, number(a, php->max_children) },
		{ "START_SERVERS", quote_number, dynamic ? number(a, php->start_servers) : NULL },
		{ "MIN_SPARE", quote_number, dynamic ? number(a, php->min_spare_servers) : NULL },
		{ "MAX_SPARE", quote_number, dynamic ? number(a, php->max_spare_servers) : NULL },
		{ "IDLE", quote_number,
		  php->pm == PM_ONDEMAND
			  ? number_unless(a, php->process_idle_timeout, FPM_IDLE_TIMEOUT)
			  : NULL },
		{ "MAX_REQUESTS", quote_number, number_unless(a, php->max_requests, 0) },
		common(p, "STATUS", text_or_null(php->status_path)),
		common(p, "PING", text_or_null(php->ping_path)),
		shared(p, "ACCESS_LOG", "${A}", arena_printf(a, "%s/" PHP_ACCESS_LOG, p->home)),
		shared(p, "SLOW_LOG", "${S}", arena_printf(a, "%s/" PHP_SLOW_LOG, p->home)),
		common(p, "FORMAT", php_access_format()),
		{ "SLOW", quote_number, number_unless(a, php->request_slowlog_timeout, 0) },
		{ "TERMINATE", quote_number, number_unless(a, php->request_terminate_timeout, 0) },
		php->chroot ? shared(p, "CHROOT", "${H}/$pool/chroot", p->chroot)
			    : (struct value){ "CHROOT", quote_ini, NULL },
		{ "CHDIR", quote_ini, php->chroot ? NULL : "/" }, /* of a jail it is the preset */
		{ "CLEAR_ENV", quote_word, php->clear_env ? NULL : "no" },
		{ "EXTENSIONS", quote_ini, extensions(&php->limit_extensions, a) },
		{ "FILES", quote_number, number_unless(a, php->rlimit_files, 0) },
		{ "PRIORITY", quote_number,
		  php->process_priority ? arena_printf(a, "%d", php->process_priority) : NULL },
		unless_given(p, "PATH", common(p, "PATH", php_path())),
		unless_given(p, "HOME",
			     (struct value){ "HOME", quote_ini, php->chroot ? "/data" : p->home }),
		unless_given(p, "TMPDIR",
			     (struct value){ "TMP", quote_ini,
					     php->chroot
						     ? "/tmp/misc"
						     : arena_printf(a, "%s/tmp/misc", p->chroot) }),
		{ "MEMORY", quote_word, size(a, php->memory_limit) },
		{ "POST", quote_word, size(a, php->post_max_size) },
		{ "UPLOAD", quote_word, size(a, php->upload_max_filesize) },
		common(p, "DISABLED", php_disabled_functions(php->disable_functions)),
		{ "OPEN_BASEDIR", quote_ini, open_basedir(php, p->chroot, a) },
		{ "URL_FOPEN", quote_number, php->allow_url_fopen ? NULL : "0" },
		{ "GC_LIFETIME", quote_number,
		  number_unless(a, php->session_gc_maxlifetime, INI_GC_LIFETIME) },
		{ "GC_DIVISOR", quote_number,
		  number_unless(a, php->session_gc_divisor, INI_GC_DIVISOR) },
		{ "DISPLAY_ERRORS", quote_number, php->display_errors ? "1" : NULL },
		{ "OUTSIDE", quote_none, php->chroot ? NULL : p->outside },
		{ "PAIRS", quote_none, text_or_null(p->pairs) },
	};

	return template_render("php_pool", values, ELEMENTS(values), ret, e);
}

static int check_pool(const struct webspace *webspace, const struct php_facts *facts, struct err *e)
{
	if (strcasecmp(webspace->name, "global") == 0)
		return err_set(e, EINVAL, "php-fpm cannot have a pool of the name \"global\"");
	if (facts->uid == 0 || facts->gid == 0)
		return err_set(e, EINVAL, "a pool does not run as root");
	return 0;
}

static int add_pool(struct pool *pool, struct buf *ret, struct err *e)
{
	const char *version = pool->facts->version;
	autobuf struct buf outside = { 0 }, pairs = { 0 };
	autoarena struct arena a = { 0 };
	int r;

	pool->arena = &a;
	pool->home = arena_printf(&a, "%s/%s", pool->host->home_root, pool->webspace->name);
	pool->chroot = arena_printf(&a, "%s/chroot", pool->home);
	r = check_pool(pool->webspace, pool->facts, e);
	if (r == 0)
		r = add_outside(pool->chroot, &a, &outside, e);
	if (r == 0)
		r = add_all_pairs(pool->webspace, version, &pairs, e);
	pool->outside = buf_text(&outside);
	pool->pairs = buf_text(&pairs);
	if (r == 0)
		r = render_pool(pool, ret, e);
	if (r < 0)
		(void)err_in(e, "php");
	return r;
}

int php_fragment(const struct host *host, const struct webspace *webspace,
		 const struct php_facts *facts, struct buf sections[static RENDER_SECTIONS],
		 struct err *e)
{
	struct pool pool = { .host = host, .webspace = webspace, .facts = facts };
	int r;

	if (!webspace->php.enabled)
		return 0;
	r = add_pool(&pool, &sections[SECTION_POOL], e);
	if (r == 0)
		buf_printf(&sections[SECTION_TERMINATE], "%u",
			   webspace->php.request_terminate_timeout);
	return r;
}

int php_render_alone(const struct host *host, const struct webspace *webspace,
		     const struct php_facts *facts, struct buf *ret, struct err *e)
{
	struct pool pool = { .host = host, .webspace = webspace, .facts = facts, .alone = true };

	return webspace->php.enabled ? add_pool(&pool, ret, e) : 0;
}

/* The longest any request of these pools may take, in seconds. */
static unsigned longest_request(const struct text_view (*sections)[RENDER_SECTIONS], size_t n)
{
	unsigned longest = 0;
	size_t i, k;

	for (i = 0; i < n; i++) {
		const struct text_view *view = &sections[i][SECTION_TERMINATE];
		unsigned seconds = 0;

		for (k = 0; k < view->len && isdigit((unsigned char)view->text[k]); k++)
			seconds = seconds * 10 + (unsigned)(view->text[k] - '0');
		if (view->len && (seconds == 0 || seconds > PATIENCE_MAX))
			return PATIENCE_MAX;
		if (seconds > longest)
			longest = seconds;
	}
	return longest;
}

/* Descriptors of a master: each pool has a socket and a log; its children inherit the limit. */
static unsigned descriptors(size_t pools)
{
	unsigned limit = 4096;

	while (limit < 1024 + 4 * pools)
		limit *= 2;
	return limit;
}

void php_compose(const struct host *host, const char *line, const char *version,
		 const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
		 struct buf *ret_conf)
{
	autoarena struct arena a = { 0 };
	unsigned patience = longest_request(sections, n) + PATIENCE_MARGIN;
	const struct value values[] = {
		{ "LOG", quote_ini, arena_printf(&a, "%s/php-%s.log", host->log_root, line) },
		{ "PATIENCE", quote_number, number(&a, patience) },
		{ "FILES", quote_number, number(&a, descriptors(n)) },
		{ "WEB_UID", quote_number, number(&a, host->web_uid) },
		{ "WEB_GID", quote_number, number(&a, host->web_gid) },
	};
	size_t i;

	(void)version;
	(void)template_render("php_master", values, ELEMENTS(values), ret_conf, NULL);
	for (i = 0; i < n; i++) {
		const struct text_view *pool = &sections[i][SECTION_POOL];

		buf_add(ret_conf, pool->text, pool->len);
	}
}

void php_compose_ini(const struct host *host, bool dedicated, struct buf *ret)
{
	autoarena struct arena a = { 0 };
	const char *off = dedicated ? NULL : "0";
	const struct value values[] = {
		{ "OFF", quote_number, off },
		{ "IPC", quote_none, dedicated ? NULL : php_ipc_functions() },
		{ "GC_DIVISOR", quote_number, number(&a, INI_GC_DIVISOR) },
		{ "GC_LIFETIME", quote_number, number(&a, INI_GC_LIFETIME) },
	};

	(void)host;
	(void)template_render("php_ini", values, ELEMENTS(values), ret, NULL);
}
