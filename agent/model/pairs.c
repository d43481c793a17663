/*
 * Checks of pairs: settings of php.ini, and variables of the pool. Either arrives
 * as it is written, or is refused with what PHP or php-fpm would make of it.
 */
#include <errno.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/model/php_settings.h"
#include "agent/model/php_value.h"
#include "agent/model/values.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

int value_pair_php(const char *key, const char *value, struct err *e)
{
	const char *own = php_setting_own_key(key);

	if (!*key || key[strspn(key, LETTERS DIGITS "_.")])
		return err_set(e, EINVAL, "%.64s: not a setting of php.ini", key);
	if (own)
		return err_set(e, EINVAL, "%s has a key of its own: %s", key, own);
	if (php_setting_is_forbidden(key))
		return err_set(e, EINVAL, "%.64s reaches beyond the webspace: only the host has it",
			       key);
	return php_value_check(key, value, e);
}

/* What nginx says of a request is in the same place for scripts, and goes before. */
static bool is_of_request(const char *key)
{
	static const char *const names[] = {
		"AUTH_TYPE",
		"CONTENT_LENGTH",
		"CONTENT_TYPE",
		"DOCUMENT_ROOT",
		"DOCUMENT_URI",
		"FCGI_ROLE",
		"GATEWAY_INTERFACE",
		"HTTPS",
		"ORIG_PATH_INFO",
		"PATH_INFO",
		"PATH_TRANSLATED",
		"PHP_AUTH_DIGEST",
		"PHP_AUTH_PW",
		"PHP_AUTH_USER",
		"PHP_SELF",
		"QUERY_STRING",
		"REDIRECT_STATUS",
		"REMOTE_ADDR",
		"REMOTE_PORT",
		"REMOTE_USER",
		"REQUEST_METHOD",
		"REQUEST_SCHEME",
		"REQUEST_TIME",
		"REQUEST_TIME_FLOAT",
		"REQUEST_URI",
		"SCRIPT_FILENAME",
		"SCRIPT_NAME",
		"SERVER_ADDR",
		"SERVER_NAME",
		"SERVER_PORT",
		"SERVER_PROTOCOL",
		"SERVER_SOFTWARE",
		"argc",
		"argv",
	};

	for (size_t i = 0; i < ELEMENTS(names); i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return strncmp(key, "HTTP_", 5) == 0;
}

int value_pair_env(const char *key, const char *value, struct err *e)
{
	if (!*key || key[strspn(key, LETTERS DIGITS "_")] || strchr(DIGITS, *key))
		return err_set(e, EINVAL, "%.64s: not the name of a variable", key);
	if (strncmp(key, "LD_", 3) == 0)
		return err_set(e, EINVAL, "%.64s is the loader's own", key);
	if (is_of_request(key))
		return err_set(
			e, EINVAL,
			"%.64s is a variable of each request, which goes before: use another "
			"name",
			key);
	if (*value == '$')
		return err_set(e, EINVAL,
			       "%.64s: php-fpm takes a value that begins with $ for the name of a "
			       "variable of its own: put something else in front",
			       key);
	if (strstr(value, "$pool"))
		return err_set(e, EINVAL,
			       "%.64s: php-fpm would put the pool's name in the place of $pool",
			       key);
	return 0;
}
