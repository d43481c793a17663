/*
 * Checks of texts that end in other programs' configuration. Each allows what
 * is known to be good; quoting is still the renderers' affair, so a hole here
 * is not yet a hole there.
 */
#include "agent/model/values.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/model/names.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define WORD   LOWER UPPER DIGITS "-_"

static bool only(const char *text, const char *allowed)
{
	return text[strspn(text, allowed)] == '\0';
}

static int keep(const char *text, const char **ret)
{
	*ret = text;
	return 0;
}

/* names and paths ----------------------------------------------------- */

int value_host_name(struct arena *a, const char *text, const char **ret, struct err *e)
{
	return name_host(a, text, false, ret, e);
}

int value_host_or_none(struct arena *a, const char *text, const char **ret, struct err *e)
{
	return *text ? name_host(a, text, false, ret, e) : keep(text, ret);
}

int value_site_name(struct arena *a, const char *text, const char **ret, struct err *e)
{
	return name_host(a, text, true, ret, e);
}

/* A trailing slash is taken off: paths are put together with one. */
int value_absolute(struct arena *a, const char *text, const char **ret, struct err *e)
{
	size_t len = strlen(text);

	if (len > 1 && text[len - 1] == '/')
		text = arena_dupn(a, text, len - 1);
	*ret = text;
	return name_check_absolute(text, e);
}

int value_absolute_or_none(struct arena *a, const char *text, const char **ret, struct err *e)
{
	return *text ? value_absolute(a, text, ret, e) : keep(text, ret);
}

int value_relative(struct arena *a, const char *text, const char **ret, struct err *e)
{
	size_t len = strlen(text);

	if (text[0] == '/')
		return err_set(e, EINVAL, "not a relative path: it lies below the webspace's data");
	if (len > 0 && text[len - 1] == '/')
		text = arena_dupn(a, text, len - 1);
	*ret = text;
	return *text ? name_check_relative(text, e) : 0;
}

int value_file_name(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	if (strchr(text, '/'))
		return err_set(e, EINVAL, "a file name has no /");
	if (!only(text, WORD ".+~@"))
		return err_set(e, EINVAL, "a file name here has letters, digits and .-_+~@ only");
	return name_check_relative(text, e);
}

int value_user(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	if (!*text || strlen(text) > WEBSPACE_NAME_MAX || !only(text, WORD) || *text == '-')
		return err_set(e, EINVAL, "not a user's name");
	return 0;
}

int value_word(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	return only(text, WORD) ? 0 : err_set(e, EINVAL, "letters, digits, - and _ only");
}

/* Without its end a [ is one itself to fnmatch(3), and no host is called so. */
static bool has_pairs_of_brackets(const char *text)
{
	while ((text = strpbrk(text, "[]"))) {
		if (*text++ == ']')
			return false;
		text += *text == '!';
		text += *text == ']';
		text = strchr(text, ']');
		if (!text)
			return false;
		text++;
	}
	return true;
}

int value_glob(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	if (!*text || !only(text, WORD ".*?[]!") || !has_pairs_of_brackets(text))
		return err_set(e, EINVAL, "not a host's name or a pattern like \"web*\"");
	return 0;
}

/* nginx --------------------------------------------------------------- */

static bool is_port(const char *text)
{
	long port = strtol(text, NULL, 10);

	return *text && strlen(text) <= 5 && only(text, DIGITS) && port >= 1 && port <= 65535;
}

int value_listen(struct arena *a, const char *text, const char **ret, struct err *e)
{
	const char *colon = strrchr(text, ':');

	(void)a;
	*ret = text;
	if (!colon || colon == text || !is_port(colon + 1))
		return err_set(e, EINVAL, "not an address with a port, like \"0.0.0.0:80\"");
	if (text[0] == '[' && colon[-1] == ']' &&
	    strspn(text + 1, DIGITS "abcdefABCDEF:.") == (size_t)(colon - text - 2))
		return 0;
	if (strspn(text, DIGITS ".") == (size_t)(colon - text))
		return 0;
	return err_set(e, EINVAL, "the address is an IPv4 one or an IPv6 one in [ ]");
}

int value_buffers(struct arena *a, const char *text, const char **ret, struct err *e)
{
	size_t len = strspn(text, DIGITS), blank = strspn(text + len, " ");
	long n = strtol(text, NULL, 10);
	long long bytes;

	if (len > 2 || blank == 0 || n < 1 || value_size(text + len + blank, &bytes) < 0 ||
	    bytes < 1024 || bytes > 1024 * 1024)
		return err_set(e, EINVAL,
			       "expected a number of buffers from 1 to 99, a space, and their size "
			       "from 1k to 1M, like \"4 32k\"");
	*ret = arena_printf(a, "%ld %lld", n, bytes);
	return 0;
}

int value_error_status(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	if (strlen(text) == 3 && only(text, DIGITS) && (text[0] == '4' || text[0] == '5'))
		return 0;
	return err_set(e, EINVAL, "a status is a number from \"400\" to \"599\"");
}

int value_status(struct arena *a, const char *text, const char **ret, struct err *e)
{
	return strcmp(text, "refuse") == 0 ? keep(text, ret) : value_error_status(a, text, ret, e);
}

int value_tls_protocol(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	if (strcmp(text, "TLSv1.2") == 0 || strcmp(text, "TLSv1.3") == 0)
		return 0;
	return err_set(e, EINVAL, "one of TLSv1.2, TLSv1.3");
}

/* "includeSubDomains" and "preload" in any order, each once, after "; ". */
static int hsts_rest(struct arena *a, const char *text, const char **ret, struct err *e)
{
	static const char *const words[] = { "includeSubDomains", "preload" };
	bool seen[ELEMENTS(words)] = { false };

	while (*text) {
		size_t i;

		text += strspn(text, "; ");
		size_t len = strcspn(text, "; ");

		for (i = 0; i < ELEMENTS(words); i++)
			if (len == strlen(words[i]) && strncasecmp(text, words[i], len) == 0)
				break;
		if (i == ELEMENTS(words) || seen[i])
			return err_set(
				e, EINVAL,
				"after the duration come includeSubDomains and preload only");
		seen[i] = true;
		text += len;
	}
	*ret = arena_printf(a, "%s%s", seen[0] ? "; includeSubDomains" : "",
			    seen[1] ? "; preload" : "");
	return 0;
}

int value_hsts(struct arena *a, const char *text, const char **ret, struct err *e)
{
	size_t len = strcspn(text, "; ");
	long long seconds;
	const char *rest = "";
	int r;

	if (!*text)
		return keep(text, ret);
	if (strncmp(text, "max-age=", 8) == 0) {
		text += 8;
		len = strcspn(text, "; ");
	}
	r = value_duration(arena_dupn(a, text, len), &seconds);
	if (r < 0)
		return err_set(e, EINVAL, "begins with a duration, like \"1y; includeSubDomains\"");
	r = hsts_rest(a, text + len, &rest, e);
	if (r < 0)
		return r;
	*ret = arena_printf(a, "max-age=%lld%s", seconds, rest);
	return 0;
}

/* acme ---------------------------------------------------------------- */

static bool is_printable(const char *text, const char *but)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || strchr(but, *text))
			return false;
	return true;
}

int value_url(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	if (strncmp(text, "https://", 8) != 0)
		return err_set(e, EINVAL, "a URL here begins with https://");
	if (!text[8] || strchr("/:?#@", text[8]) || !is_printable(text, "\"\\<>^`{|}#"))
		return err_set(e, EINVAL, "not a URL like \"https://ca.example.org/directory\"");
	return 0;
}

int value_url_or_none(struct arena *a, const char *text, const char **ret, struct err *e)
{
	return *text ? value_url(a, text, ret, e) : keep(text, ret);
}

int value_address(struct arena *a, const char *text, const char **ret, struct err *e)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	char shown[INET6_ADDRSTRLEN];
	unsigned char address[16];

	if (inet_pton(family, text, address) != 1)
		return err_set(e, EINVAL, "not an address, like \"192.0.2.1\" or \"2001:db8::1\"");
	*ret = arena_dup(a, inet_ntop(family, address, shown, sizeof(shown)));
	return 0;
}

int value_key_id(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	return is_printable(text, "") ? 0 : err_set(e, EINVAL, "has a space or is not ASCII");
}

int value_base64url(struct arena *a, const char *text, const char **ret, struct err *e)
{
	size_t len = strspn(text, WORD);

	(void)a;
	*ret = text;
	if (len % 4 == 1 || strspn(text + len, "=") != strlen(text + len) ||
	    (text[len] && strlen(text) % 4 != 0))
		return err_set(e, EINVAL, "not base64url: letters, digits, - and _");
	return 0;
}

int value_contact(struct arena *a, const char *text, const char **ret, struct err *e)
{
	*ret = strchr(text, ':') ? text : arena_printf(a, "mailto:%s", text);
	if (strchr(text, '@') && strncmp(*ret, "mailto:", 7) == 0 && is_printable(*ret, "\"\\<>,;"))
		return 0;
	return err_set(e, EINVAL, "a contact is a mail address, like \"mailto:admin@example.org\"");
}

/* php ----------------------------------------------------------------- */

int value_php_binary(struct arena *a, const char *text, const char **ret, struct err *e)
{
	const char *percent = strchr(text, '%');

	(void)a;
	*ret = text;
	if (percent && (percent[1] != 's' || strchr(percent + 1, '%')))
		return err_set(e, EINVAL, "the one %% is that of %%s, the version");
	return name_check_absolute(text, e);
}

int value_php_version(struct arena *a, const char *text, const char **ret, struct err *e)
{
	size_t major = strspn(text, DIGITS);
	const char *minor = text + major + 1;

	(void)a;
	*ret = text;
	if (!*text)
		return 0;
	if (major >= 1 && major <= 2 && *text != '0' && text[major] == '.' && *minor &&
	    strlen(minor) <= 2 && only(minor, DIGITS) && (*minor != '0' || !minor[1]))
		return 0;
	return err_set(e, EINVAL, "a PHP version is like \"8.2\"");
}

int value_uri_path(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	if (*text && (*text != '/' || !text[1] || !only(text, WORD "/.~")))
		return err_set(e, EINVAL,
			       "a path of a URL, like \"/status\": letters, digits and /.-_~ only");
	return 0;
}

int value_socket_mode(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	if (strcmp(text, "0600") == 0 || strcmp(text, "0660") == 0)
		return 0;
	return err_set(e, EINVAL, "one of 0600, 0660");
}

int value_functions(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	if (*text == '@') {
		if (strcmp(text, "@exec") == 0 || strcmp(text, "@strict") == 0)
			return 0;
		return err_set(e, EINVAL, "the named lists are @exec and @strict");
	}
	if (!only(text, LOWER UPPER DIGITS "_, "))
		return err_set(e, EINVAL, "names of functions with commas between them");
	return 0;
}

int value_open_basedir(struct arena *a, const char *text, const char **ret, struct err *e)
{
	autofree char *copy = NULL;
	char *rest, *path;
	const char *kept;

	*ret = text;
	if (!*text || strcmp(text, "none") == 0)
		return 0;
	rest = copy = strdup(text);
	while (rest && (path = strsep(&rest, ":"))) {
		int r = value_absolute(a, path, &kept, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int value_extension(struct arena *a, const char *text, const char **ret, struct err *e)
{
	(void)a;
	*ret = text;
	if (text[0] == '.' && text[1] && strlen(text) <= 16 && only(text + 1, WORD))
		return 0;
	return err_set(e, EINVAL, "an extension is like \".php\"");
}

/* binds --------------------------------------------------------------- */

static int bind_flags(char *flags, struct bind *ret, struct err *e)
{
	const struct {
		const char *word;
		bool *flag;
	} known[] = {
		{ "rw", &ret->writable },
		{ "exec", &ret->exec },
		{ "dev", &ret->dev },
		{ "suid", &ret->suid },
	};
	char *word;

	while ((word = strsep(&flags, ","))) {
		size_t i = 0;

		while (i < ELEMENTS(known) && strcmp(known[i].word, word) != 0)
			i++;
		if (i == ELEMENTS(known))
			return err_set(e, EINVAL, "\"%.20s\": flags are rw, exec, dev, suid", word);
		*known[i].flag = true;
	}
	return 0;
}

int value_bind(struct arena *a, const char *text, struct bind *ret, struct err *e)
{
	char *rest = arena_dup(a, text);
	struct bind b = { .source = strsep(&rest, ":") };
	const char *target = rest ? strsep(&rest, ":") : "";
	int r = value_absolute(a, b.source, &b.source, e);

	if (r < 0)
		return r;
	if (strcmp(b.source, "/") == 0)
		return err_set(e, EINVAL, "the whole host is not to be put into a jail");
	r = value_absolute(a, *target ? target : b.source, &target, e);
	if (r < 0)
		return err_in(e, "target");
	b.target = target + 1;
	if (!*b.target)
		return err_set(e, EINVAL, "target: the jail itself");
	if (rest) {
		r = bind_flags(rest, &b, e);
		if (r < 0)
			return r;
	}
	*ret = b;
	return 0;
}

/* numbers with a unit ------------------------------------------------- */

/* digits, then one of the units' names; each unit's factor stands at the same place. */
static int with_unit(const char *text, const char *const *units, const long long *factors,
		     long long *ret)
{
	size_t digits = strspn(text, DIGITS);

	if (digits == 0 || digits > 12)
		return -EINVAL;
	for (size_t i = 0; units[i]; i++)
		if (strcmp(text + digits, units[i]) == 0)
			return __builtin_mul_overflow(strtoll(text, NULL, 10), factors[i], ret)
				       ? -EINVAL
				       : 0;
	return -EINVAL;
}

int value_duration(const char *text, long long *ret_seconds)
{
	static const char *const units[] = { "", "s", "m", "h", "d", "w", "y", NULL };
	static const long long factors[] = { 1, 1, 60, 3600, 86400, 604800, 31536000 };

	return with_unit(text, units, factors, ret_seconds);
}

int value_size(const char *text, long long *ret_bytes)
{
	static const char *const units[] = { "", "K", "M", "G", "k", "m", "g", NULL };
	static const long long factors[] = {
		1, 1024, 1024 * 1024, 1024 * 1024 * 1024, 1024, 1024 * 1024, 1024 * 1024 * 1024
	};

	return with_unit(text, units, factors, ret_bytes);
}
