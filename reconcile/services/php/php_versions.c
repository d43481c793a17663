/*
 * Which versions of PHP are installed: the files that php.binary names with
 * some version for its %s. Debian installs any number of them side by side.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/services/php/php.h"

/* php.binary, split at its %s. */
struct pattern {
	const char *folder, *before, *after;
};

static struct pattern pattern_of(const char *binary, struct arena *a)
{
	const char *hole = strstr(binary, "%s");
	const char *until = hole ? hole : binary + strlen(binary);
	const char *slash = memrchr(binary, '/', (size_t)(until - binary));
	const char *name = slash ? slash + 1 : binary;

	return (struct pattern){
		.folder = arena_dupn(a, binary, (size_t)(name - binary)),
		.before = arena_dupn(a, name, (size_t)(until - name)),
		.after = hole ? hole + 2 : "",
	};
}

const char *php_program(const struct host *host, const char *version, struct arena *a)
{
	struct pattern p = pattern_of(host->php.binary, a);

	return arena_printf(a, "%s%s%s%s", p.folder, p.before,
			    strstr(host->php.binary, "%s") ? version : "", p.after);
}

/* "8.2" of "php-fpm8.2": digits, a dot, digits. */
static bool version_in(const char *file, const struct pattern *p, char ret[PHP_VERSION_ROOM])
{
	size_t before = strlen(p->before), after = strlen(p->after), len = strlen(file);
	const char *v = file + before;
	size_t major, n;

	if (len <= before + after || strncmp(file, p->before, before) != 0 ||
	    strcmp(file + len - after, p->after) != 0)
		return false;
	n = len - before - after;
	major = strspn(v, "0123456789");
	if (n >= PHP_VERSION_ROOM || major == 0 || v[major] != '.' ||
	    major + 1 + strspn(v + major + 1, "0123456789") != n || major + 1 == n)
		return false;
	memcpy(ret, v, n);
	ret[n] = '\0';
	return true;
}

static int version_compare(const void *a, const void *b)
{
	return strverscmp(a, b);
}

int php_versions_look(struct php_versions *v, const struct host *host, struct err *e)
{
	autoarena struct arena a = { 0 };
	struct pattern p = pattern_of(host->php.binary, &a);
	autodir DIR *dir = opendir(p.folder);
	struct php_versions found = { 0 };
	char version[PHP_VERSION_ROOM];
	struct dirent *d;

	if (!dir)
		return err_sys(e, "look for PHP in %s", p.folder);
	while ((d = readdir(dir))) {
		if (!version_in(d->d_name, &p, version))
			continue;
		found.items = memory_resize(found.items, found.count + 1, sizeof(*found.items));
		memcpy(found.items[found.count++], version, sizeof(version));
	}
	if (found.count)
		qsort(found.items, found.count, sizeof(*found.items), version_compare);
	php_versions_clear(v);
	*v = found;
	return 0;
}

void php_versions_clear(struct php_versions *v)
{
	free(v->items);
	*v = (struct php_versions){ 0 };
}

bool php_versions_has(const struct php_versions *v, const char *version)
{
	for (size_t i = 0; i < v->count; i++)
		if (strcmp(v->items[i], version) == 0)
			return true;
	return false;
}

const char *php_versions_newest(const struct php_versions *v)
{
	return v->count ? v->items[v->count - 1] : "";
}
