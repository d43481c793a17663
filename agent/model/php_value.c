/*
 * php.ini is a language: E_ALL & ~E_NOTICE, On and 8M mean something there, and
 * in php-fpm's pools only without quotes. We write every value in quotes, so that
 * it is nothing but itself; then a setting that wants a number makes 0 of an
 * expression, and says nothing. So what PHP's own settings want is known here: an
 * expression of error_reporting becomes its number, all else that PHP would read
 * as something else, or leave out, is refused.
 *
 * The tables are of PHP 8.2, where each setting was asked; a setting that is in
 * none of them (a later one, another extension's) takes any text.
 */
#include "agent/model/php_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/model/option.h"
#include "agent/model/php_settings.h"

#define DIGITS        "0123456789"
#define LETTERS       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define NAME_MAX_SEEN 48

/* clang-format off */
/* Numbers, of which some may be sizes with K, M or G. */
static const char *const numbers[] = {
	"bcmath.scale", "default_socket_timeout", "fiber.stack_size", "hard_timeout",
	"intl.error_level", "max_execution_time", "max_file_uploads",
	"max_input_nesting_level", "max_input_time", "max_input_vars",
	"max_multipart_body_parts", "mbstring.regex_retry_limit", "mbstring.regex_stack_limit",
	"mysqli.default_port", "mysqli.max_links", "mysqli.max_persistent", "mysqlnd.log_mask",
	"mysqlnd.mempool_default_size", "mysqlnd.net_read_buffer_size",
	"mysqlnd.net_read_timeout", "output_buffering", "pcre.backtrack_limit",
	"pcre.recursion_limit", "pgsql.auto_reset_persistent", "pgsql.max_links",
	"pgsql.max_persistent", "precision", "realpath_cache_size", "realpath_cache_ttl",
	"serialize_precision", "session.cache_expire", "session.cookie_lifetime",
	"session.gc_probability", "soap.wsdl_cache", "soap.wsdl_cache_limit",
	"soap.wsdl_cache_ttl", "unserialize_max_depth", "user_ini.cache_ttl",
	"zlib.output_compression", "zlib.output_compression_level",
};

static const char *const flags[] = {
	"allow_url_include", "assert.active", "assert.bail", "assert.exception",
	"assert.warning", "auto_detect_line_endings", "auto_globals_jit",
	"display_startup_errors", "enable_post_data_reading", "expose_php", "file_uploads",
	"gd.jpeg_ignore_warning", "html_errors", "ignore_repeated_errors",
	"ignore_repeated_source", "ignore_user_abort", "implicit_flush", "intl.use_exceptions",
	"log_errors", "mail.add_x_header", "mail.mixed_lf_and_crlf",
	"mbstring.encoding_translation", "mbstring.strict_detection",
	"mysqli.allow_local_infile", "mysqli.allow_persistent",
	"mysqli.rollback_on_cached_plink", "pcre.jit", "pgsql.allow_persistent",
	"pgsql.ignore_notice", "pgsql.log_notice", "register_argc_argv", "report_memleaks",
	"report_zend_debug", "session.auto_start", "session.cookie_httponly",
	"session.cookie_secure", "session.lazy_write", "session.upload_progress.cleanup",
	"session.upload_progress.enabled", "session.use_cookies", "session.use_only_cookies",
	"session.use_strict_mode", "session.use_trans_sid", "short_open_tag",
	"soap.wsdl_cache_enabled", "sqlite3.defensive", "xmlrpc_errors", "zend.detect_unicode",
	"zend.enable_gc", "zend.exception_ignore_args", "zend.multibyte", "zend.signal_check",
};

/* All else that PHP has by itself or with the usual extensions: so that a slip is seen. */
static const char *const texts[] = {
	"allow_url_fopen", "disable_functions", "display_errors", "memory_limit", "open_basedir",
	"post_max_size", "session.gc_divisor", "session.gc_maxlifetime", "upload_max_filesize",
	"arg_separator.input", "arg_separator.output", "assert.callback", "auto_append_file",
	"auto_prepend_file", "curl.cainfo", "date.default_latitude", "date.default_longitude",
	"date.sunrise_zenith", "date.sunset_zenith", "date.timezone", "default_charset",
	"default_mimetype", "disable_classes", "doc_root", "docref_ext", "docref_root",
	"enable_dl", "error_append_string", "error_log", "error_prepend_string",
	"error_reporting", "exif.decode_jis_intel", "exif.decode_jis_motorola",
	"exif.decode_unicode_intel", "exif.decode_unicode_motorola", "exif.encode_jis",
	"exif.encode_unicode", "extension_dir", "filter.default", "filter.default_flags",
	"from", "highlight.comment", "highlight.default", "highlight.html",
	"highlight.keyword", "highlight.string", "iconv.input_encoding",
	"iconv.internal_encoding", "iconv.output_encoding", "include_path", "input_encoding",
	"internal_encoding", "intl.default_locale", "mail.force_extra_parameters", "mail.log",
	"mbstring.detect_order", "mbstring.http_input", "mbstring.http_output",
	"mbstring.http_output_conv_mimetypes", "mbstring.internal_encoding",
	"mbstring.language", "mbstring.substitute_character", "mysqli.default_host",
	"mysqli.default_pw", "mysqli.default_socket", "mysqli.default_user",
	"mysqli.local_infile_directory", "mysqlnd.collect_memory_statistics",
	"mysqlnd.collect_statistics", "mysqlnd.debug", "mysqlnd.net_cmd_buffer_size",
	"mysqlnd.sha256_server_public_key", "mysqlnd.trace_alloc", "openssl.cafile",
	"openssl.capath", "output_encoding", "output_handler", "pdo_mysql.default_socket",
	"phar.cache_list", "phar.readonly", "phar.require_hash", "request_order",
	"sendmail_from", "sendmail_path", "session.cache_limiter", "session.cookie_domain",
	"session.cookie_path", "session.cookie_samesite", "session.name",
	"session.referer_check", "session.save_handler", "session.save_path",
	"session.serialize_handler", "session.sid_bits_per_character", "session.sid_length",
	"session.trans_sid_hosts", "session.trans_sid_tags", "session.upload_progress.freq",
	"session.upload_progress.min_freq", "session.upload_progress.name",
	"session.upload_progress.prefix", "soap.wsdl_cache_dir", "sqlite3.extension_dir",
	"sys_temp_dir", "syslog.facility", "syslog.filter", "syslog.ident",
	"unserialize_callback_func", "upload_tmp_dir", "url_rewriter.hosts",
	"url_rewriter.tags", "user_agent", "user_dir", "user_ini.filename", "variables_order",
	"zend.assertions", "zend.exception_string_param_max_len", "zend.script_encoding",
	"zlib.output_handler",
};

/* In a pool it is too late for these. */
static const char *const fixed[] = { "browscap", "phar.readonly", "phar.require_hash", "zend.assertions" };

/* php-fpm puts its own directory before a value that is not absolute (FPM_PHP_INI_TO_EXPAND). */
static const char *const paths[] = {
	"error_log", "mime_magic.magicfile", "sendmail_path", "session.cookie_path",
	"session_pgsql.sem_file_name", "soap.wsdl_cache_dir", "uploadprogress.file.filename_template",
	"xdebug.output_dir", "xdebug.profiler_output_dir", "xdebug.trace_output_dir",
};
/* clang-format on */

static const struct {
	const char *key;
	long long min, max;
} ranges[] = {
	{ "session.sid_length", 22, 256 },           { "session.sid_bits_per_character", 4, 6 },
	{ "session.cookie_lifetime", 0, INT64_MAX }, { "max_input_time", -1, INT32_MAX },
	{ "max_execution_time", 0, INT32_MAX },
};

static bool is_one_of(const char *key, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(key, list[i]) == 0)
			return true;
	return false;
}

#define IS_ONE_OF(key, list) is_one_of(key, list, ELEMENTS(list))

/* names ---------------------------------------------------------------- */

/* One that is written otherwise (a dot for an underscore, a capital) is another setting to PHP. */
static bool is_slip(const char *key, const char *known)
{
	const char *dot = strrchr(known, '.');
	size_t section = dot ? (size_t)(dot - known) + 1 : 0, i;

	if (strcmp(key, known) == 0)
		return false;
	for (i = 0; known[i] && key[i]; i++)
		if (tolower((unsigned char)key[i]) != tolower((unsigned char)known[i]) &&
		    !(strchr("._", key[i]) && strchr("._", known[i])))
			break;
	if (!known[i] && !key[i])
		return true;
	/* Another name of the same section may be a later PHP's, but hardly one this like. */
	return strncmp(key, known, section) == 0 && !strchr(key + section, '.') &&
	       strlen(known + section) >= 8 && option_distance(key, known) <= 2;
}

static const char *slip_of(const char *key)
{
	static const struct {
		const char *const *names;
		size_t count;
	} lists[] = {
		{ numbers, ELEMENTS(numbers) },
		{ flags, ELEMENTS(flags) },
		{ texts, ELEMENTS(texts) },
	};
	const char *meant = NULL;

	if (strlen(key) > NAME_MAX_SEEN)
		return NULL;
	for (size_t i = 0; i < ELEMENTS(lists); i++)
		for (size_t k = 0; k < lists[i].count; k++) {
			if (strcmp(key, lists[i].names[k]) == 0)
				return NULL;
			if (is_slip(key, lists[i].names[k]))
				meant = lists[i].names[k];
		}
	return meant;
}

static int check_name(const char *key, struct err *e)
{
	const char *meant = php_setting_exists(key, "8.2") ? slip_of(key) : NULL;

	if (meant)
		return err_set(e, EINVAL, "%s: PHP has no such setting; did you mean %s?", key,
			       meant);
	if (IS_ONE_OF(key, fixed))
		return err_set(e, EINVAL,
			       "%s: PHP takes it when it starts, and not in a pool: only the "
			       "host's php.ini can have it",
			       key);
	return 0;
}

/* numbers and switches ------------------------------------------------- */

static int check_number(const char *key, const char *value, struct err *e)
{
	const char *digits = value + (*value == '-');
	size_t n = strspn(digits, DIGITS);
	const char *unit = digits + n;

	if (n == 0 || n > 18 || (*unit && (!strchr("KMGkmg", *unit) || unit[1])))
		return err_set(
			e, EINVAL,
			"%s: expected a number like 60, or with K, M or G, and found \"%.40s\"",
			key, value);
	return 0;
}

static int check_range(const char *key, const char *value, struct err *e)
{
	for (size_t i = 0; i < ELEMENTS(ranges); i++) {
		if (strcasecmp(key, ranges[i].key) != 0)
			continue;

		int r = check_number(key, value, e);
		long long n = r == 0 ? strtoll(value, NULL, 10) : 0;

		if (r == 0 && (n < ranges[i].min || n > ranges[i].max))
			r = err_set(e, EINVAL, "%s: %lld is not from %lld to %lld", key, n,
				    ranges[i].min, ranges[i].max);
		return r;
	}
	return 0;
}

static int check_flag(const char *key, const char *value, struct err *e)
{
	static const char *const words[] = { "",    "0",  "1",    "on",    "off",
					     "yes", "no", "true", "false", "none" };

	if (IS_ONE_OF(value, words))
		return 0;
	return err_set(e, EINVAL, "%s: expected true or false, and found \"%.40s\"", key, value);
}

/* texts ---------------------------------------------------------------- */

#define ZONES "/usr/share/zoneinfo/"

/* Where this machine knows no zones, any that looks like one. */
static bool is_timezone(const char *value)
{
	autoarena struct arena temporary = { 0 };

	if (!*value || value[strspn(value, LETTERS DIGITS "/_+-")] || !strchr(LETTERS, *value))
		return false;
	return access(ZONES, F_OK) < 0 ||
	       access(arena_printf(&temporary, ZONES "%s", value), F_OK) == 0;
}

/* error_reporting ------------------------------------------------------ */

static const struct {
	const char *name;
	int value;
} constants[] = {
	{ "E_ERROR", 1 },
	{ "E_WARNING", 2 },
	{ "E_PARSE", 4 },
	{ "E_NOTICE", 8 },
	{ "E_CORE_ERROR", 16 },
	{ "E_CORE_WARNING", 32 },
	{ "E_COMPILE_ERROR", 64 },
	{ "E_COMPILE_WARNING", 128 },
	{ "E_USER_ERROR", 256 },
	{ "E_USER_WARNING", 512 },
	{ "E_USER_NOTICE", 1024 },
	{ "E_STRICT", 2048 },
	{ "E_RECOVERABLE_ERROR", 4096 },
	{ "E_DEPRECATED", 8192 },
	{ "E_USER_DEPRECATED", 16384 },
};

#define ALL_OF_8_4 30719 /* E_STRICT is not part of it any more */
#define ALL_BEFORE 32767
#define DEPTH_MAX  16
#define SPACE      " \t"

struct expression {
	const char *rest;
	int all; /* E_ALL */
	unsigned depth;
	const char *fault;
};

static int value_of(struct expression *x);

static int constant_of(struct expression *x, size_t len)
{
	const char *name = x->rest;

	x->rest += len;
	if (len == 5 && strncmp(name, "E_ALL", len) == 0)
		return x->all;
	for (size_t i = 0; i < ELEMENTS(constants); i++)
		if (strlen(constants[i].name) == len && strncmp(name, constants[i].name, len) == 0)
			return constants[i].value;
	x->rest = name;
	x->fault = "PHP has no such constant";
	return 0;
}

static int operand_of(struct expression *x)
{
	size_t len;

	x->rest += strspn(x->rest, SPACE);
	if (*x->rest == '~' || *x->rest == '!' || *x->rest == '(') {
		char sign = *x->rest++;
		int n = 0;

		if (++x->depth > DEPTH_MAX)
			x->fault = "too deep";
		else
			n = sign == '(' ? value_of(x) : operand_of(x);
		x->depth--;
		if (sign != '(')
			return sign == '~' ? ~n : !n;
		if (!x->fault && *x->rest != ')')
			x->fault = "a ) is missing";
		else if (!x->fault)
			x->rest++;
		return n;
	}
	len = strspn(x->rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
	if (len > 0)
		return constant_of(x, len);
	len = strspn(x->rest, DIGITS);
	if (len == 0 || len > 9) {
		x->fault = "expected a constant like E_ALL or a number";
		return 0;
	}
	x->rest += len;
	return (int)strtol(x->rest - len, NULL, 10);
}

/* From left to right: in php.ini | & and ^ bind alike (Zend/zend_ini_parser.y). */
static int value_of(struct expression *x)
{
	int n = operand_of(x);

	for (;;) {
		x->rest += strspn(x->rest, SPACE);
		char sign = *x->rest;

		if (x->fault || !sign || !strchr("|&^", sign))
			return n;
		x->rest++;

		int other = operand_of(x);

		n = sign == '|' ? n | other : sign == '&' ? n & other : n ^ other;
	}
}

static int evaluate(const char *text, int all, int *ret, struct err *e)
{
	struct expression x = { .rest = text, .all = all };
	int n = value_of(&x);

	if (!x.fault && *x.rest)
		x.fault = "expected one of | & ^ or the end";
	if (x.fault)
		return err_set(e, EINVAL, "error_reporting: %s, at \"%.40s\" of \"%.80s\"", x.fault,
			       x.rest, text);
	*ret = n;
	return 0;
}

static bool is_plain_number(const char *value)
{
	const char *digits = value + (*value == '-');

	return *digits && strlen(digits) <= 10 && !digits[strspn(digits, DIGITS)];
}

/* the face ------------------------------------------------------------- */

static bool is_error_reporting(const char *key)
{
	return strcasecmp(key, "error_reporting") == 0;
}

const char *php_value_for(const char *key, const char *value, const char *version, struct arena *a)
{
	unsigned major = 0, minor = 0;
	int n;

	if (!is_error_reporting(key) || is_plain_number(value))
		return value;
	(void)sscanf(version, "%u.%u", &major, &minor);
	if (evaluate(value, major > 8 || (major == 8 && minor >= 4) ? ALL_OF_8_4 : ALL_BEFORE, &n,
		     NULL) < 0)
		return value;
	return arena_printf(a, "%d", n);
}

static int check_text(const char *key, const char *value, struct err *e)
{
	if (strcasecmp(key, "session.name") == 0 && !value[strspn(value, DIGITS)])
		return err_set(e, EINVAL, "%s: PHP takes no empty name and no number", key);
	if (strcasecmp(key, "date.timezone") == 0 && !is_timezone(value))
		return err_set(e, EINVAL,
			       "%s: \"%.40s\" is not a time zone like \"Europe/Berlin\" or \"UTC\"",
			       key, value);
	if (IS_ONE_OF(key, paths) && *value && *value != '/')
		return err_set(e, EINVAL, "%s: \"%.80s\" is not an absolute path", key, value);
	return 0;
}

int php_value_check(const char *key, const char *value, struct err *e)
{
	int n, r = check_name(key, e);

	if (r < 0)
		return r;
	if (strstr(value, "$pool"))
		return err_set(e, EINVAL,
			       "%s: php-fpm would put the pool's name in the place of $pool", key);
	if (is_error_reporting(key))
		return is_plain_number(value) ? 0 : evaluate(value, ALL_BEFORE, &n, e);
	if (IS_ONE_OF(key, flags))
		return check_flag(key, value, e);
	if (IS_ONE_OF(key, numbers))
		r = check_number(key, value, e);
	if (r == 0)
		r = check_range(key, value, e);
	return r == 0 ? check_text(key, value, e) : r;
}
