/*
 * Which versions of PHP are installed: the files that php.binary names with
 * some version for its %s. Debian installs any number of them side by side.
 *
 * And when one was changed last: its program, what it reads at its start, or the
 * extensions. A package's files bring old times of modification with them, but
 * the inode is changed (st_ctim) when they are put in place.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/base/clock.h"
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
	return strverscmp(((const struct php_version *)a)->name,
			  ((const struct php_version *)b)->name);
}

static uint64_t usec_of(struct timespec t)
{
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

/* What lies in the future is a clock that was put right: nothing is ever newer than that. */
static void note_change(int dir, const char *path, uint64_t now, uint64_t *latest)
{
	struct stat st;
	uint64_t t = fstatat(dir, path, &st, 0) == 0 ? usec_of(st.st_ctim) : 0;

	if (t <= now && t > *latest)
		*latest = t;
}

static bool is_settings(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && strcmp(name + len - 4, ".ini") == 0;
}

/* Those of each ABI have a folder named by its date: 20220829. */
static bool is_extensions(const char *name)
{
	return name[0] != '\0' && name[strspn(name, "0123456789")] == '\0';
}

static void note_changes_in(const char *folder, bool (*is_one)(const char *name), uint64_t now,
			    uint64_t *latest)
{
	autodir DIR *dir = opendir(folder);
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (is_one(d->d_name))
			note_change(dirfd(dir), d->d_name, now, latest);
}

static uint64_t last_change(const struct host *host, const char *version)
{
	autoarena struct arena a = { 0 };
	const char *settings = arena_printf(&a, "/etc/php/%s/fpm/conf.d", version);
	struct timespec t;
	uint64_t now, latest = 0;

	clock_gettime(CLOCK_REALTIME, &t);
	now = usec_of(t);
	note_change(AT_FDCWD, php_program(host, version, &a), now, &latest);
	note_change(AT_FDCWD, arena_printf(&a, "/etc/php/%s/fpm/php.ini", version), now, &latest);
	note_change(AT_FDCWD, settings, now, &latest);
	note_changes_in(settings, is_settings, now, &latest);
	note_changes_in("/usr/lib/php", is_extensions, now, &latest);
	return latest;
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
		found.items[found.count].changed_usec = last_change(host, version);
		memcpy(found.items[found.count++].name, version, sizeof(version));
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

static const struct php_version *version_find(const struct php_versions *v, const char *version)
{
	for (size_t i = 0; i < v->count; i++)
		if (strcmp(v->items[i].name, version) == 0)
			return &v->items[i];
	return NULL;
}

bool php_versions_has(const struct php_versions *v, const char *version)
{
	return version_find(v, version) != NULL;
}

const char *php_versions_newest(const struct php_versions *v)
{
	return v->count ? v->items[v->count - 1].name : "";
}

uint64_t php_versions_changed(const struct php_versions *v, const char *version)
{
	const struct php_version *found = version_find(v, version);

	return found ? found->changed_usec : 0;
}
