/*
 * Names of webspaces, hosts and paths. Host names are turned into the one form
 * that DNS, nginx's maps and certificates share before anything compares them,
 * so two spellings of a name can never be two names.
 */
#include "agent/model/names.h"

#include <errno.h>
#include <fnmatch.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* Users of a Debian system (base-passwd(8)) and of the daemons this program works with. */
static const char *const reserved[] = {
	"root",
	"daemon",
	"bin",
	"sys",
	"sync",
	"games",
	"man",
	"lp",
	"mail",
	"news",
	"uucp",
	"proxy",
	"www-data",
	"backup",
	"list",
	"irc",
	"gnats",
	"nobody",
	"nogroup",
	"_apt",
	"sshd",
	"adm",
	"tty",
	"disk",
	"shadow",
	"utmp",
	"sudo",
	"staff",
	"users",
	"operator",
	"nginx",
	"apache",
	"http",
	"mysql",
	"postgres",
	"redis",
	"messagebus",
	"polkitd",
	"syslog",
	"ntp",
	"dnsmasq",
	"postfix",
	"dovecot",
	"opendkim",
	"memcache",
	"uuidd",
	"tss",
	"_chrony",
	"systemd-network",
	"systemd-resolve",
	"systemd-timesync",
	"systemd-journal",
	"systemd-coredump",
	"systemd-oom",
	"webspaces",
	"webspaces-acme",
	"_webspaces",
	"_webspaces-acme",
};

static bool is_reserved(const char *name)
{
	for (size_t i = 0; i < ELEMENTS(reserved); i++)
		if (strcmp(name, reserved[i]) == 0)
			return true;
	return false;
}

int name_check_webspace(const char *name, struct err *e)
{
	size_t len = strlen(name);

	if (len == 0 || len > WEBSPACE_NAME_MAX)
		return err_set(e, EINVAL, "a webspace's name has 1 to %d characters",
			       WEBSPACE_NAME_MAX);
	if (!strchr(LOWER "_", name[0]))
		return err_set(e, EINVAL, "a webspace's name begins with a lower-case letter or _");
	if (strspn(name, LOWER DIGITS "_-") != len)
		return err_set(e, EINVAL,
			       "a webspace's name has lower-case letters, digits, - and _ only");
	if (is_reserved(name))
		return err_set(e, EINVAL, "%s is a name of the system's own: choose another", name);
	return 0;
}

bool name_of_file(const char *file, char ret[static NAME_FILE_MAX + 1])
{
	static const char suffix[] = ".conf";
	size_t len = strlen(file);

	if (file[0] == '.' || len <= strlen(suffix) || len - strlen(suffix) > NAME_FILE_MAX)
		return false;
	len -= strlen(suffix);
	if (strcmp(file + len, suffix) != 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (name_is_control(file[i]))
			return false;
	memcpy(ret, file, len);
	ret[len] = '\0';
	return true;
}

bool name_is_passed_over(const char *file)
{
	char name[NAME_FILE_MAX + 1];

	if (name_of_file(file, name) || strncmp(file, "..", 2) == 0 || strcmp(file, ".") == 0)
		return false;
	return file[0] != '.' || strstr(file, ".conf");
}

/* host names ---------------------------------------------------------- */

static int to_ascii(const char *text, char **ret, struct err *e)
{
	char *ascii = NULL;
	int r = idn2_lookup_u8((const uint8_t *)text, (uint8_t **)&ascii,
			       IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);

	if (r != IDN2_OK)
		return err_set(e, EINVAL, "not an international host name: %s", idn2_strerror(r));
	*ret = strdup(ascii);
	idn2_free(ascii);
	return *ret ? 0 : err_set(e, ENOMEM, "no memory");
}

static int check_label(const char *label, size_t len, struct err *e)
{
	if (len == 0)
		return err_set(e, EINVAL, "a host name has no empty label");
	if (len > 63)
		return err_set(e, EINVAL, "a label of a host name has at most 63 characters");
	if (strspn(label, LOWER DIGITS "-") < len)
		return err_set(e, EINVAL, "a host name has letters, digits, - and . only");
	if (label[0] == '-' || label[len - 1] == '-')
		return err_set(e, EINVAL, "a label of a host name does not begin or end with -");
	return 0;
}

static int check_labels(const char *name, struct err *e)
{
	const char *label = name;

	for (;;) {
		size_t len = strcspn(label, ".");
		int r = check_label(label, len, e);

		if (r < 0)
			return r;
		if (!label[len])
			break;
		label += len + 1;
	}
	/* No top-level domain is a number (RFC 3696 §2), so this is an address or nothing. */
	if (strspn(label, DIGITS) == strlen(label))
		return err_set(e, EINVAL, "an IP address is not a host name");
	return 0;
}

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text += 'a' - 'A';
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 127)
			return false;
	return true;
}

int name_host(struct arena *a, const char *text, bool wildcard, const char **ret, struct err *e)
{
	autofree char *converted = NULL;
	bool star = wildcard && strncmp(text, "*.", 2) == 0;
	const char *rest = star ? text + 2 : text;
	int r;

	if (strlen(rest) > 4 * NAME_HOST_MAX)
		return err_set(e, EINVAL, "a host name has at most %d characters", NAME_HOST_MAX);
	if (!is_ascii(rest)) {
		r = to_ascii(rest, &converted, e);
		if (r < 0)
			return r;
		rest = converted;
	}

	char *name = arena_printf(a, "%s%s", star ? "*." : "", rest);
	size_t len = strlen(name);

	if (len > 1 && name[len - 1] == '.')
		name[--len] = '\0';
	if (len > NAME_HOST_MAX)
		return err_set(e, EINVAL, "a host name has at most %d characters", NAME_HOST_MAX);
	lower(name);
	r = check_labels(star ? name + 2 : name, e);
	if (r < 0)
		return r;
	*ret = name;
	return 0;
}

/* paths --------------------------------------------------------------- */

bool name_is_control(char c)
{
	return (unsigned char)c < 32 || c == 127;
}

static int check_component(const char *component, size_t len, struct err *e)
{
	if (len == 0)
		return err_set(e, EINVAL, "a path has no empty component");
	if (len > 255)
		return err_set(e, EINVAL, "a component of a path has at most 255 bytes");
	if (component[0] == '.' && (len == 1 || (len == 2 && component[1] == '.')))
		return err_set(e, EINVAL, "a path has no component \".\" or \"..\"");
	return 0;
}

int name_check_relative(const char *path, struct err *e)
{
	if (strlen(path) > 1024)
		return err_set(e, EINVAL, "a path has at most 1024 bytes");
	for (const char *c = path; *c; c++)
		if (name_is_control(*c))
			return err_set(e, EINVAL, "a path has no control characters");
	for (;;) {
		size_t len = strcspn(path, "/");
		int r = check_component(path, len, e);

		if (r < 0 || !path[len])
			return r;
		path += len + 1;
	}
}

int name_check_absolute(const char *path, struct err *e)
{
	if (path[0] != '/')
		return err_set(e, EINVAL, "not an absolute path");
	return path[1] ? name_check_relative(path + 1, e) : 0;
}

/* placement ----------------------------------------------------------- */

bool name_is_placed(const struct text_list *hosts, const char *host)
{
	for (size_t i = 0; i < hosts->count; i++)
		if (fnmatch(hosts->items[i], host, 0) == 0)
			return true;
	return hosts->count == 0;
}
