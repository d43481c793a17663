/* A handful of descriptors and a comparison of short strings: cheaper than any table. */
#include "reconcile/tree/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

void home_close(struct home *h)
{
	for (size_t i = 0; i < h->n_held; i++) {
		close(h->held[i].fd);
		free(h->held[i].path);
	}
	h->n_held = 0;
	h->name[0] = '\0';
}

void home_use(struct home *h, struct world *w, const char *name)
{
	if (h->name[0] && strcmp(h->name, name) == 0)
		return;
	home_close(h);
	snprintf(h->name, sizeof h->name, "%s", name);
	h->account_result = accounts_get(w->accounts, name, &h->account, NULL);
}

static int held(const struct home *h, const char *path, size_t len)
{
	for (size_t i = 0; i < h->n_held; i++)
		if (strncmp(h->held[i].path, path, len) == 0 && h->held[i].path[len] == '\0')
			return h->held[i].fd;
	return -ENOENT;
}

void home_keep(struct home *h, const char *path, int fd)
{
	const char *key = strcmp(path, ".") == 0 ? "" : path;

	if (h->n_held == HOME_HELD || held(h, key, strlen(key)) >= 0) {
		close(fd);
		return;
	}
	h->held[h->n_held].path = memory_dup(key);
	h->held[h->n_held++].fd = fd;
}

static int check_safe(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", path);
	if (st.st_uid != 0 || ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX)))
		return err_set(e, EPERM, "%s is not root's alone, nothing is changed in it", path);
	return 0;
}

/* The directory path[0..len), opened from the one above it, which is opened first. */
static int open_dir(struct home *h, struct world *w, const char *path, size_t len, struct err *e)
{
	char part[WEBSPACE_NAME_MAX + 256];
	const char *slash = memrchr(path, '/', len);
	size_t above_len = slash ? (size_t)(slash - path) : 0;
	const char *leaf = slash ? slash + 1 : path;
	int fd = held(h, path, len), above;

	if (fd >= 0)
		return fd;
	if (len >= sizeof part)
		return err_set(e, ENAMETOOLONG, "%.*s", (int)len, path);
	if (len == 0) {
		fd = path_open(w->home_root, h->name, O_PATH | O_DIRECTORY, e);
	} else {
		above = open_dir(h, w, path, above_len, e);
		if (above < 0)
			return above;
		snprintf(part, sizeof part, "%.*s", (int)(len - (size_t)(leaf - path)), leaf);
		fd = path_open_same_mount(above, part, O_PATH | O_DIRECTORY, e);
	}
	if (fd < 0)
		return fd;
	if (h->n_held == HOME_HELD) { /* a webspace with many binds: the deepest one makes room */
		free(h->held[--h->n_held].path);
		close(h->held[h->n_held].fd);
	}
	snprintf(part, sizeof part, "%.*s", (int)len, path);
	home_keep(h, part, fd);
	return fd;
}

int home_parent(struct home *h, struct world *w, const char *path, bool safe, const char **ret_leaf,
		struct err *e)
{
	const char *slash = strrchr(path, '/');
	int fd;

	if (w->home_root < 0)
		return err_set(e, ENOENT, "the home root is not there");
	if (strcmp(path, ".") == 0) {
		*ret_leaf = h->name;
		return w->home_root;
	}
	*ret_leaf = slash ? slash + 1 : path;
	for (const char *s = path; safe && (s = strchr(s, '/')); s++) {
		fd = open_dir(h, w, path, (size_t)(s - path), e);
		if (fd < 0 || (fd = check_safe(fd, path, e)) < 0)
			return fd;
	}
	fd = open_dir(h, w, "", 0, e);
	if (fd >= 0 && safe && check_safe(fd, h->name, e) < 0)
		return -EPERM;
	return slash ? open_dir(h, w, path, (size_t)(slash - path), e) : fd;
}

int home_check_root(const char *home_root, struct err *e)
{
	autofree char *path = memory_dup(home_root);
	struct stat st;

	for (char *end = path + strlen(path);; end = strrchr(path, '/')) {
		*end = '\0';
		if (stat(*path ? path : "/", &st) < 0)
			return err_sys(e, "%s", *path ? path : "/");
		if (st.st_uid != 0 || ((st.st_mode & 022) && !(st.st_mode & S_ISVTX)))
			return err_set(e, EPERM,
				       "%s has to be root's and writable by nobody else: what lies "
				       "below it could be moved away",
				       *path ? path : "/");
		if (!*path || !strrchr(path, '/'))
			return 0;
	}
}
