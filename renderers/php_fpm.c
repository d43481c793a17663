/*
 * What a webspace is in the words of php-fpm: a pool that runs as its user, in
 * its jail, behind a socket that only the web server may open.
 *
 * Where a value is said follows from who could change it. A script may set what
 * php.ini gives it as it likes, so limits are the pool's own admin values; what
 * PHP fixes at start, or lets a script only tighten, is in one ini file that
 * all pools share. A default pool stays below 900 bytes by that.
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
#include "renderers/renderers.h"
#include "renderers/template.h"

enum php_section { SECTION_POOL, SECTION_TERMINATE };

#define INI_OPEN_BASEDIR "/data/:/tmp/misc/:/tmp/upload/:/dev/urandom"
#define INI_GC_LIFETIME  1440
#define INI_GC_DIVISOR   1000

/* How long an old master waits for its last request, where one webspace sets no end to them. */
#define PATIENCE_MAX    3600
#define PATIENCE_MARGIN 10

struct preset {
	const char *name, *text;
};

/* Named lists of functions: what starts programs or loads code, and the ancestor's long list. */
static const struct preset disabled_presets[] = {
	{ "@exec", "dl,exec,passthru,pcntl_exec,popen,proc_open,shell_exec,system" },
	{ "@strict",
	  "apache_child_terminate,apache_get_modules,apache_get_version,apache_getenv,"
	  "apache_lookup_uri,apache_note,apache_request_headers,apache_reset_timeout,"
	  "apache_response_headers,apache_setenv,getallheaders,virtual,chdir,chroot,exec,"
	  "passthru,proc_close,proc_get_status,proc_nice,proc_open,proc_terminate,"
	  "shell_exec,system,chgrp,chown,disk_free_space,disk_total_space,diskfreespace,"
	  "filegroup,fileinode,fileowner,lchgrp,lchown,link,linkinfo,lstat,pclose,popen,"
	  "readlink,symlink,umask,cli_get_process_title,cli_set_process_title,dl,"
	  "gc_collect_cycles,gc_disable,gc_enable,get_current_user,getmygid,getmyinode,"
	  "getmypid,getmyuid,php_ini_loaded_file,php_ini_scanned_files,php_sapi_name,"
	  "php_uname,sys_get_temp_dir,zend_thread_id,highlight_file,show_source,"
	  "sys_getloadavg,closelog,openlog,pfsockopen,syslog,pcntl_alarm,pcntl_errno,"
	  "pcntl_exec,pcntl_fork,pcntl_get_last_error,pcntl_getpriority,pcntl_setpriority,"
	  "pcntl_signal_dispatch,pcntl_signal,pcntl_sigprocmask,pcntl_sigtimedwait,"
	  "pcntl_sigwaitinfo,pcntl_strerror,pcntl_wait,pcntl_waitpid,pcntl_wexitstatus,"
	  "pcntl_wifexited,pcntl_wifsignaled,pcntl_wifstopped,pcntl_wstopsig,"
	  "pcntl_wtermsig,posix_access,posix_ctermid,posix_errno,posix_get_last_error,"
	  "posix_getcwd,posix_getegid,posix_geteuid,posix_getgid,posix_getgrgid,"
	  "posix_getgrnam,posix_getgroups,posix_getlogin,posix_getpgid,posix_getpgrp,"
	  "posix_getpid,posix_getppid,posix_getpwnam,posix_getpwuid,posix_getrlimit,"
	  "posix_getsid,posix_getuid,posix_initgroups,posix_isatty,posix_kill,posix_mkfifo,"
	  "posix_mknod,posix_setegid,posix_seteuid,posix_setgid,posix_setpgid,posix_setsid,"
	  "posix_setuid,posix_strerror,posix_times,posix_ttyname,posix_uname,setproctitle,"
	  "setthreadtitle,shmop_close,shmop_delete,shmop_open,shmop_read,shmop_size,"
	  "shmop_write,opcache_compile_file,opcache_get_configuration,opcache_get_status,"
	  "opcache_invalidate,opcache_is_script_cached,opcache_reset" },
};

static const char *disabled_functions(const char *wanted)
{
	size_t i;

	for (i = 0; i < ELEMENTS(disabled_presets); i++)
		if (strcmp(wanted, disabled_presets[i].name) == 0)
			return disabled_presets[i].text;
	return *wanted ? wanted : NULL;
}

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

/* php-fpm would take a value with a dollar sign in front from its own environment. */
static int check_env(const struct text_pair *pair, struct err *e)
{
	if (*pair->value == '$')
		return err_set(e, EINVAL, "env %s begins with a dollar sign", pair->key);
	return 1;
}

/* A setting that this PHP no longer has is left out; one that reaches other pools is refused. */
static int check_setting(const char *key, const char *version, struct err *e)
{
	if (php_setting_is_forbidden(key))
		return err_set(e, EINVAL, "%s is shared by all pools of a master", key);
	return php_setting_exists(key, version);
}

static int add_pairs(const char *kind, const struct pair_list *list, const char *version,
		     struct buf *ret, struct err *e)
{
	bool env = strcmp(kind, "env") == 0;
	size_t i;
	int r;

	for (i = 0; i < list->count; i++) {
		const struct text_pair *pair = &list->items[i];
		const struct value values[] = {
			{ "KIND", quote_word, kind },
			{ "KEY", quote_word, pair->key },
			{ "VALUE", quote_ini, pair->value },
		};

		r = env ? check_env(pair, e) : check_setting(pair->key, version, e);
		if (r > 0)
			r = template_render("php_pair", values, ELEMENTS(values), ret, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_all_pairs(const struct php_settings *php, const char *version, struct buf *ret,
			 struct err *e)
{
	int r = add_pairs("env", &php->env, version, ret, e);

	if (r == 0)
		r = add_pairs("php_admin_value", &php->values, version, ret, e);
	if (r == 0)
		r = add_pairs("php_value", &php->user_values, version, ret, e);
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

/* NULL: as the ini has it. */
static const char *open_basedir(const struct php_settings *php, const char *chroot, struct arena *a)
{
	if (strcmp(php->open_basedir, "none") == 0)
		return "";
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
	struct arena *arena;
};

static int render_pool(const struct pool *p, struct buf *ret, struct err *e)
{
	const struct php_settings *php = &p->webspace->php;
	const char *name = p->webspace->name;
	struct arena *a = p->arena;
	bool tcp = *php->listen, dynamic = php->pm == PM_DYNAMIC;
	const struct value values[] = {
		{ "NAME", quote_word, name },
		{ "USER", quote_ini, name },
		{ "UID", quote_number, number(a, p->facts->uid) },
		{ "GID", quote_number, number(a, p->facts->gid) },
		{ "SOCKET", quote_word, tcp ? NULL : name },
		{ "LISTEN", quote_ini, tcp ? php->listen : NULL },
		{ "WEB_UID", quote_number, tcp ? NULL : number(a, p->host->web_uid) },
		{ "WEB_GID", quote_number, tcp ? NULL : number(a, p->host->web_gid) },
		{ "LISTEN_MODE", quote_word, tcp ? NULL : php->listen_mode },
		{ "PM", quote_word, pm_names[php->pm] },
		{ "MAX_CHILDREN", quote_number, number(a, php->max_children) },
		{ "START_SERVERS", quote_number, dynamic ? number(a, php->start_servers) : NULL },
		{ "MIN_SPARE", quote_number, dynamic ? number(a, php->min_spare_servers) : NULL },
		{ "MAX_SPARE", quote_number, dynamic ? number(a, php->max_spare_servers) : NULL },
		{ "IDLE", quote_number,
		  php->pm == PM_ONDEMAND ? number(a, php->process_idle_timeout) : NULL },
		{ "MAX_REQUESTS", quote_number, number_unless(a, php->max_requests, 0) },
		{ "STATUS", quote_ini, text_or_null(php->status_path) },
		{ "PING", quote_ini, text_or_null(php->ping_path) },
		{ "ACCESS_LOG", quote_ini, arena_printf(a, "%s/logs/php-access.log", p->home) },
		{ "SLOW_LOG", quote_ini, arena_printf(a, "%s/logs/php-slow.log", p->home) },
		{ "SLOW", quote_number, number_unless(a, php->request_slowlog_timeout, 0) },
		{ "TERMINATE", quote_number, number_unless(a, php->request_terminate_timeout, 0) },
		{ "CHROOT", quote_ini, php->chroot ? p->chroot : NULL },
		{ "CLEAR_ENV", quote_word, php->clear_env ? NULL : "no" },
		{ "EXTENSIONS", quote_ini, extensions(&php->limit_extensions, a) },
		{ "FILES", quote_number, number_unless(a, php->rlimit_files, 0) },
		{ "PRIORITY", quote_number,
		  php->process_priority ? arena_printf(a, "%d", php->process_priority) : NULL },
		{ "HOME", quote_ini, php->chroot ? "/data" : p->home },
		{ "TMP", quote_ini,
		  php->chroot ? "/tmp/misc" : arena_printf(a, "%s/tmp/misc", p->chroot) },
		{ "MEMORY", quote_word, size(a, php->memory_limit) },
		{ "POST", quote_word, size(a, php->post_max_size) },
		{ "UPLOAD", quote_word, size(a, php->upload_max_filesize) },
		{ "DISABLED", quote_ini, disabled_functions(php->disable_functions) },
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

int php_fragment(const struct host *host, const struct webspace *webspace,
		 const struct php_facts *facts, struct buf sections[static RENDER_SECTIONS],
		 struct err *e)
{
	const struct php_settings *php = &webspace->php;
	autobuf struct buf outside = { 0 }, pairs = { 0 };
	autoarena struct arena a = { 0 };
	struct pool pool = { host, webspace, facts, .arena = &a };
	int r;

	if (!php->enabled)
		return 0;
	pool.home = arena_printf(&a, "%s/%s", host->home_root, webspace->name);
	pool.chroot = arena_printf(&a, "%s/chroot", pool.home);
	r = check_pool(webspace, facts, e);
	if (r == 0)
		r = add_outside(pool.chroot, &a, &outside, e);
	if (r == 0)
		r = add_all_pairs(php, facts->version, &pairs, e);
	pool.outside = buf_text(&outside);
	pool.pairs = buf_text(&pairs);
	if (r == 0)
		r = render_pool(&pool, &sections[SECTION_POOL], e);
	if (r < 0) {
		(void)err_in(e, "php");
		return r;
	}
	buf_printf(&sections[SECTION_TERMINATE], "%u", php->request_terminate_timeout);
	return 0;
}

int php_render_alone(const struct host *host, const struct webspace *webspace,
		     const struct php_facts *facts, struct buf *ret, struct err *e)
{
	struct buf sections[RENDER_SECTIONS] = { 0 };
	int r = php_fragment(host, webspace, facts, sections, e);

	if (r >= 0)
		buf_add(ret, sections[SECTION_POOL].data, sections[SECTION_POOL].len);
	for (size_t i = 0; i < RENDER_SECTIONS; i++)
		buf_clear(&sections[i]);
	return r;
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

		if (pool->len)
			buf_addc(ret_conf, '\n');
		buf_add(ret_conf, pool->text, pool->len);
	}
}

void php_compose_ini(const struct host *host, struct buf *ret)
{
	autoarena struct arena a = { 0 };
	const struct value values[] = {
		{ "OPEN_BASEDIR", quote_none, INI_OPEN_BASEDIR },
		{ "GC_DIVISOR", quote_number, number(&a, INI_GC_DIVISOR) },
		{ "GC_LIFETIME", quote_number, number(&a, INI_GC_LIFETIME) },
	};

	(void)host;
	(void)template_render("php_ini", values, ELEMENTS(values), ret, NULL);
}
