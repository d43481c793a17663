/*
 * php.ini settings. A setting that a PHP version no longer has is no error: a
 * file may be older than the PHP it runs on, so renderers leave it out.
 * Versions are from PHP's own migration guides.
 */
#include "agent/model/php_settings.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/base/own.h"

static const struct {
	const char *key;
	unsigned major, minor; /* the first version without it */
} removed[] = {
	{ "zend.ze1_compatibility_mode", 5, 3 },
	{ "safe_mode", 5, 4 },
	{ "safe_mode_gid", 5, 4 },
	{ "safe_mode_include_dir", 5, 4 },
	{ "safe_mode_exec_dir", 5, 4 },
	{ "safe_mode_allowed_env_vars", 5, 4 },
	{ "safe_mode_protected_env_vars", 5, 4 },
	{ "register_globals", 5, 4 },
	{ "register_long_arrays", 5, 4 },
	{ "magic_quotes_gpc", 5, 4 },
	{ "magic_quotes_runtime", 5, 4 },
	{ "magic_quotes_sybase", 5, 4 },
	{ "allow_call_time_pass_reference", 5, 4 },
	{ "define_syslog_variables", 5, 4 },
	{ "highlight.bg", 5, 4 },
	{ "session.bug_compat_42", 5, 4 },
	{ "session.bug_compat_warn", 5, 4 },
	{ "y2k_compliance", 5, 4 },
	{ "always_populate_raw_post_data", 7, 0 },
	{ "asp_tags", 7, 0 },
	{ "xsl.security_prefs", 7, 0 },
	{ "session.entropy_file", 7, 1 },
	{ "session.entropy_length", 7, 1 },
	{ "session.hash_function", 7, 1 },
	{ "session.hash_bits_per_character", 7, 1 },
	{ "sql.safe_mode", 7, 2 },
	{ "birdstep.max_links", 7, 3 },
	{ "track_errors", 8, 0 },
	{ "assert.quiet_eval", 8, 0 },
	{ "mbstring.func_overload", 8, 0 },
	{ "mysqlnd.fetch_data_copy", 8, 1 },
	{ "oci8.old_oci_close_semantics", 8, 1 },
};

/* Settings that are keys here, with checks of their own: one place for each. */
static const struct {
	const char *key, *own;
} own_keys[] = {
	{ "memory_limit", "php.memory_limit" },
	{ "post_max_size", "php.post_max_size" },
	{ "upload_max_filesize", "php.upload_max_filesize" },
	{ "disable_functions", "php.disable_functions" },
	{ "open_basedir", "php.open_basedir" },
	{ "display_errors", "php.display_errors" },
	{ "allow_url_fopen", "php.allow_url_fopen" },
	{ "session.gc_maxlifetime", "php.session_gc_maxlifetime" },
	{ "session.gc_divisor", "php.session_gc_divisor" },
};

/* These reach all pools of a master, load code into it, or write into the host's logs. A dot at the end: all that begin so. */
static const char *const forbidden[] = {
	"opcache.", "ffi.", "fastcgi.", "extension", "zend_extension", "extension_dir", "enable_dl",
};

/* … but for what is about a pool's own requests alone. */
static const char *const harmless[] = { "opcache.revalidate_path" };

/* Caches of values in memory: one for all pools of a master, and off in a shared one. */
static const char *const memories[] = { "apc.", "yac." };

bool php_setting_exists(const char *key, const char *version)
{
	unsigned major, minor;

	if (sscanf(version, "%u.%u", &major, &minor) != 2)
		return true;
	for (size_t i = 0; i < ELEMENTS(removed); i++)
		if (strcasecmp(key, removed[i].key) == 0)
			return major < removed[i].major ||
			       (major == removed[i].major && minor < removed[i].minor);
	return true;
}

const char *php_setting_own_key(const char *key)
{
	for (size_t i = 0; i < ELEMENTS(own_keys); i++)
		if (strcasecmp(key, own_keys[i].key) == 0)
			return own_keys[i].own;
	return NULL;
}

static bool is_one_of(const char *key, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]);
		bool prefix = names[i][len - 1] == '.';

		if (prefix ? strncasecmp(key, names[i], len) == 0 : strcasecmp(key, names[i]) == 0)
			return true;
	}
	return false;
}

bool php_setting_is_forbidden(const char *key)
{
	return is_one_of(key, forbidden, ELEMENTS(forbidden)) &&
	       !is_one_of(key, harmless, ELEMENTS(harmless));
}

bool php_setting_needs_own_master(const char *key)
{
	return is_one_of(key, memories, ELEMENTS(memories));
}
