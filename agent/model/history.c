/*
 * The first change at a point counts: what a webspace had when the generation
 * came into force. Later ones at the same point were never part of one.
 */
#include "agent/model/history.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/number.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define FORGOTTEN "forgotten" /* the newest point that was dropped */

int history_open(const char *state_dir, bool writable, struct history *ret, struct err *e)
{
	autofree char *path = memory_printf("%s/history", state_dir);
	int r = writable ? path_make_dirs(path, 0700, e) : 0;

	*ret = (struct history){ .dir = -1, .writable = writable };
	if (r < 0)
		return r;
	ret->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return ret->dir < 0 && writable ? err_sys(e, "%s", path) : 0;
}

void history_close(struct history *h)
{
	if (h->dir >= 0)
		close(h->dir);
	h->dir = -1;
}

/* Names of files and points ------------------------------------------- */

const char *history_file(const char *name, bool is_new, char ret[static NAME_FILE_MAX + 8])
{
	snprintf(ret, NAME_FILE_MAX + 8, "%s.%s", name, is_new ? "new" : "conf");
	return ret;
}

bool history_name(const char *file, bool *ret_is_new, char ret[static NAME_FILE_MAX + 1])
{
	char as_conf[NAME_FILE_MAX + 8];
	size_t len = strlen(file);

	*ret_is_new = len > 4 && strcmp(file + len - 4, ".new") == 0;
	if (!*ret_is_new)
		return name_of_file(file, ret);
	if (len + 2 > sizeof(as_conf))
		return false;
	snprintf(as_conf, sizeof(as_conf), "%.*s.conf", (int)(len - 4), file);
	return name_of_file(as_conf, ret);
}

/* Points --------------------------------------------------------------- */

uint64_t history_before(const struct history *h, uint64_t generation)
{
	autodir DIR *d = path_list(h->dir, ".", NULL);
	uint64_t best = 0;

	for (struct dirent *it; d && (it = readdir(d)) != NULL;) {
		uint64_t n = number_parse(it->d_name);

		if (n < generation && n > best)
			best = n;
	}
	return best;
}

uint64_t history_oldest(const struct history *h)
{
	autofree char *text = NULL;
	size_t len;

	if (h->dir < 0 || path_read(h->dir, FORGOTTEN, 32, &text, &len, NULL) < 0)
		return 1;
	return number_parse(text) + 1;
}

time_t history_when(const struct history *h, uint64_t point)
{
	struct stat st;

	if (h->dir < 0 || fstatat(h->dir, number_of(point).text, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return st.st_mtim.tv_sec;
}

void history_names(const struct history *h, uint64_t point, struct table *ret)
{
	autodir DIR *d = path_list(h->dir, number_of(point).text, NULL);
	char name[NAME_FILE_MAX + 1];
	bool is_new;

	for (struct dirent *it; d && (it = readdir(d)) != NULL;)
		if (history_name(it->d_name, &is_new, name))
			(void)table_set(ret, name, ret);
}

/* Drops all but the newest few. */
static void prune(struct history *h)
{
	uint64_t n = UINT64_MAX;

	for (int i = 0; i < HISTORY_KEPT && n != 0; i++)
		n = history_before(h, n);
	if (n == 0 || (n = history_before(h, n)) == 0)
		return;
	(void)put_file(h->dir, FORGOTTEN, 0600, number_of(n).text, strlen(number_of(n).text),
		       PUT_BATCH, NULL);
	for (; n != 0; n = history_before(h, n))
		(void)path_remove_tree(h->dir, number_of(n).text, NULL);
}

/* The directory of the point at hand. */
static int point_open(struct history *h, struct err *e)
{
	struct number n = number_of(h->point);
	int made = mkdirat(h->dir, n.text, 0700), fd;

	if (made < 0 && errno != EEXIST)
		return err_sys(e, "make history/%s", n.text);
	if (made == 0)
		prune(h);
	fd = openat(h->dir, n.text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, "history/%s", n.text) : fd;
}

/* Keeping and finding ---------------------------------------------------- */

static int mark_new(int dir, const char *file, struct err *e)
{
	autofd int fd = openat(dir, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 && errno != EEXIST ? err_sys(e, "%s", file) : 0;
}

int history_keep(struct history *h, const char *name, int dir, struct err *e)
{
	char file[NAME_FILE_MAX + 8], new_file[NAME_FILE_MAX + 8];
	autofd int to = -1;

	if (!h->writable || h->point == 0)
		return 0;
	to = point_open(h, e);
	if (to < 0)
		return to;
	history_file(name, false, file);
	history_file(name, true, new_file);
	if (faccessat(to, new_file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (dir >= 0 && (linkat(dir, file, to, file, 0) == 0 || errno == EEXIST))
		return 0;
	return dir < 0 || errno == ENOENT ? mark_new(to, new_file, e)
					  : err_sys(e, "keep the former %s", file);
}

int history_forget(const struct history *h, const char *name, struct err *e)
{
	autodir DIR *d = path_list(h->dir, ".", NULL);
	char file[NAME_FILE_MAX + 8];
	int r = 0;

	for (struct dirent *it; r == 0 && d && (it = readdir(d)) != NULL;) {
		autofd int point =
			openat(h->dir, it->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		for (int is_new = 0; r == 0 && point >= 0 && is_new < 2; is_new++)
			if (unlinkat(point, history_file(name, is_new, file), 0) < 0 &&
			    errno != ENOENT)
				r = err_sys(e, "history/%s/%s", it->d_name, file);
	}
	return r;
}

/* One webspace's text from this point on; whatever `to` has of it came from a later one. */
static int link_one(int from, int to, const char *file, const char *name, struct table *found,
		    struct err *e)
{
	char other[NAME_FILE_MAX + 8];

	if (table_get(found, name))
		return 0;
	(void)table_set(found, name, found);
	(void)unlinkat(to, history_file(name, true, other), 0);
	(void)unlinkat(to, history_file(name, false, other), 0);
	return linkat(from, file, to, file, 0) < 0 ? err_sys(e, "link %s", file) : 0;
}

static int link_point(const struct history *h, uint64_t point, int to, struct table *found,
		      struct err *e)
{
	autodir DIR *d = path_list(h->dir, number_of(point).text, e);
	char name[NAME_FILE_MAX + 1];
	bool is_new;
	int r = d ? 0 : err_in(e, "history");

	for (struct dirent *it; r == 0 && (it = readdir(d)) != NULL;)
		if (history_name(it->d_name, &is_new, name))
			r = link_one(dirfd(d), to, it->d_name, name, found, e);
	return r;
}

/* The first point at or above this generation, 0: none. */
static uint64_t first_from(const struct history *h, uint64_t generation)
{
	uint64_t best = 0;

	for (uint64_t n = UINT64_MAX; (n = history_before(h, n)) >= generation && n != 0;)
		best = n;
	return best;
}

int history_since(const struct history *h, uint64_t generation, int to, size_t *ret_n,
		  struct err *e)
{
	struct table found = { 0 };
	uint64_t n = generation;
	int r = 0;

	while (r == 0 && (n = first_from(h, n)) != 0)
		r = link_point(h, n++, to, &found, e);
	*ret_n = found.count;
	table_clear(&found);
	return r;
}
