/*
 * See nginx_dropins.h. A file is read whole each time: there are few, and a
 * stamp would have to follow links. A text that includes others changes with
 * any file below NGINX_DIR, for that may be the one it includes.
 */
#include "reconcile/services/nginx/nginx_dropins.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/hash.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "renderers/renderers.h"

#define FILE_MAX  ((size_t)1 << 20)
#define DEPTH_MAX 4 /* of directories below NGINX_DIR whose files may be included */
#define COPY      "dropins.conf"

bool nginx_dropins_is_member(const char *name)
{
	return *name == '/';
}

/* Reading -------------------------------------------------------------- */

static bool is_dropin(const char *file)
{
	size_t len = strlen(file);

	return file[0] != '.' && len > 5 && strcmp(file + len - 5, ".conf") == 0;
}

/* As nginx would open it: a link of the admin's is followed. */
static int text_read(int dir, const char *name, char **ret, size_t *ret_len, struct err *e)
{
	autofd int fd = -1;

	for (const char *at = name; *at; at++)
		if (isspace((unsigned char)*at) || iscntrl((unsigned char)*at))
			return err_set(e, EINVAL, "its name must not contain white space");
	fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open");
	return path_read_fd(fd, name, FILE_MAX, ret, ret_len, e);
}

/* Of all that a file could include from there: names, sizes and times. */
static uint64_t tree_hash(DIR *list, int depth)
{
	uint64_t hash = HASH_START;

	for (struct dirent *it; list && (it = readdir(list)) != NULL;) {
		struct stat st;

		if (it->d_name[0] == '.' || fstatat(dirfd(list), it->d_name, &st, 0) < 0)
			continue;
		if (it->d_type == DT_DIR && depth > 0) { /* not a link, which could lead back */
			autodir DIR *below = path_list(dirfd(list), it->d_name, NULL);

			hash += tree_hash(below, depth - 1);
		}
		if (S_ISDIR(st.st_mode))
			continue;
		const uint64_t values[] = { st.st_dev, st.st_ino, (uint64_t)st.st_size,
					    (uint64_t)st.st_mtim.tv_sec,
					    (uint64_t)st.st_mtim.tv_nsec };
		hash += hash_bytes(HASH_START, values, sizeof(values)); /* in any order */
	}
	return hash;
}

static struct fragment *fragment_of(const char *path, const char *text, size_t len)
{
	struct buf sections[RENDER_SECTIONS] = { 0 };
	struct fragment *f;
	uint64_t seen = 0;

	if (memmem(text, len, "include", strlen("include"))) {
		autodir DIR *list = opendir(NGINX_DIR);

		seen = tree_hash(list, DEPTH_MAX);
	}
	nginx_dropin(path, seen, (struct text_view){ text, len }, sections);
	f = fragment_new(sections);
	for (size_t s = 0; s < RENDER_SECTIONS; s++)
		buf_clear(&sections[s]);
	return f;
}

static void note_unread(struct nginx_dropins *d, const char *path, const char *why,
			report_fn *report, void *data)
{
	const char *before = table_get(&d->unread, path);
	char *noted;

	if (before && strcmp(before, why) == 0)
		return;
	noted = memory_dup(why);
	free(table_set(&d->unread, path, noted));
	report(
		&(struct report){
			.kind = REPORT_FAILED, .resource = "nginx", .item = path, .text = noted },
		data);
}

static void forget_others(struct nginx_dropins *d, struct unit *u, const struct table *found)
{
	struct table_entry *it;

	table_each (unit_members(u), it)
		if (nginx_dropins_is_member(it->key) && !table_get(found, it->key))
			unit_set(u, it->key, NULL);
	table_each (&d->unread, it)
		if (!table_get(found, it->key))
			free(table_take(&d->unread, it->key));
}

void nginx_dropins_read(struct nginx_dropins *d, struct unit *u, report_fn *report, void *data)
{
	autodir DIR *list = opendir(NGINX_DROPINS);
	struct table found = { 0 };

	if (!list && errno != ENOENT && errno != ENOTDIR)
		return; /* what is not seen is not gone */
	for (struct dirent *it; list && (it = readdir(list)) != NULL;) {
		autofree char *path = NULL, *text = NULL;
		size_t len;
		struct err e = { 0 };

		if (!is_dropin(it->d_name))
			continue;
		path = memory_printf(NGINX_DROPINS "/%s", it->d_name);
		(void)table_set(&found, path, d);
		if (text_read(dirfd(list), it->d_name, &text, &len, &e) < 0) {
			note_unread(d, path, e.text, report, data);
			unit_set(u, path, NULL);
			continue;
		}
		free(table_take(&d->unread, path));
		unit_set(u, path, fragment_of(path, text, len));
	}
	d->any = found.count > 0;
	forget_others(d, u, &found);
	table_clear(&found);
}

void nginx_dropins_clear(struct nginx_dropins *d)
{
	table_free_values(&d->unread);
}

void nginx_dropins_complain(const struct nginx_dropins *d, const struct unit *u, struct buf *ret)
{
	struct table_entry *it;

	table_each (&d->unread, it)
		buf_printf(ret, "%s%s is left out: %s", ret->len ? "; " : "", it->key,
			   (const char *)it->value);
	table_each (unit_members(u), it) {
		const struct member *m = it->value;

		if (nginx_dropins_is_member(m->name) && m->quarantined)
			buf_printf(ret, "%s%s is left %s: %s", ret->len ? "; " : "", m->name,
				   m->good ? "as it was when it last worked" : "out",
				   m->quarantined);
	}
}

/* Relative paths ------------------------------------------------------- */

/* Workers pass through (auth_basic_user_file …); to read what is ours there they have no right. */
static int let_through(int dir, struct err *e)
{
	autofd int above = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (above < 0 || fchmod(above, 0711) < 0 || fchmod(dir, 0711) < 0)
		return err_sys(e, "let workers through to " NGINX_DIR);
	return 0;
}

int nginx_dropins_link(const struct nginx_dropins *d, const char *dir, struct err *e)
{
	autofd int to = -1;
	autodir DIR *list = NULL;

	if (!d->any)
		return 0;
	to = path_open_dir(dir, e);
	list = to < 0 ? NULL : opendir(NGINX_DIR);
	for (struct dirent *it; list && (it = readdir(list)) != NULL;) {
		autofree char *target = memory_printf(NGINX_DIR "/%s", it->d_name);

		/* A name of ours stays ours. */
		if (it->d_name[0] != '.' && symlinkat(target, to, it->d_name) < 0 &&
		    errno != EEXIST)
			return err_sys(e, "link %s", it->d_name);
	}
	return to < 0 ? to : let_through(to, e);
}

/* What nginx said -------------------------------------------------------- */

/* Where line n of the copies came from: "PATH:LINE". */
static bool origin_find(const char *dir, unsigned long n, struct buf *ret)
{
	autofd int at = path_open_dir(dir, NULL);
	autofree char *text = NULL, *path = NULL;
	char *next, *line;
	unsigned long number = 0, first = 0;
	size_t len;

	if (at < 0 || path_read(at, COPY, SIZE_MAX / 2, &text, &len, NULL) < 0)
		return false;
	next = text;
	while (number < n && (line = strsep(&next, "\n")) != NULL) {
		number++;
		if (strncmp(line, NGINX_DROPIN_MARK, strlen(NGINX_DROPIN_MARK)) != 0)
			continue;
		free(path);
		line += strlen(NGINX_DROPIN_MARK);
		path = memory_printf("%.*s", (int)strcspn(line, " "), line);
		first = number;
	}
	if (!path || number == first)
		return false;
	buf_printf(ret, "%s:%lu", path, number - first);
	return true;
}

static bool is_own_file(const char *name)
{
	for (size_t i = 0; i < NGINX_FILES; i++)
		if (strncmp(name, nginx_file_names[i], strlen(nginx_file_names[i])) == 0)
			return true;
	return strncmp(name, "generation.conf", strlen("generation.conf")) == 0;
}

void nginx_dropins_explain(const char *dir, const char *message, struct buf *ret)
{
	autofree char *below = memory_printf("%s/", dir);
	const char *at;

	for (; (at = strstr(message, below)) != NULL; message = at) {
		buf_add(ret, message, (size_t)(at - message));
		at += strlen(below);
		if (strncmp(at, COPY ":", strlen(COPY ":")) == 0 &&
		    origin_find(dir, strtoul(at + strlen(COPY ":"), NULL, 10), ret))
			at += strlen(COPY ":") + strspn(at + strlen(COPY ":"), "0123456789");
		else
			buf_adds(ret, is_own_file(at) ? below : NGINX_DIR "/");
	}
	buf_adds(ret, message);
}
