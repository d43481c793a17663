/*
 * Removing a tree that its owner may be changing, however deep it is.
 *
 * Descriptors per level would let a user with a deep tree run us out of them,
 * and ".." may lead elsewhere after a rename. So nothing is descended into: a
 * directory's files are removed, its directories are moved up to the top of
 * the tree, and it is removed itself, until a look at the top finds nothing.
 * Moving takes room at the top, which a full disk does not have: then one
 * directory that has no others in it is looked for, emptied and removed first.
 * That holds two descriptors and O(1) memory. A mount is never entered: the
 * kernel refuses, and so do we, with what is not below it gone already.
 */
#include "agent/base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/own.h"

/* Looks at the top that may be needed; a tree as deep as this does not exist, one that is being refilled does. */
#define LOOKS_MAX 100000

struct removal {
	int top;
	unsigned long moved; /* names given so far */
	bool progress;       /* in this look */
	int failure;         /* the first in this look, -errno */
};

static void note(struct removal *r, int failure)
{
	if (failure < 0 && r->failure == 0)
		r->failure = failure;
	if (failure == 0)
		r->progress = true;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* 0, or -EISDIR for what has to be emptied first, or another -errno. Gone already is success. */
static int unlink_file(int dir, const char *name)
{
	return unlinkat(dir, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

static int move_up(struct removal *r, int dir, const char *name)
{
	char up[32];
	int result;

	do {
		snprintf(up, sizeof(up), ".removed.%lu", r->moved++);
		result = renameat2(dir, name, r->top, up, RENAME_NOREPLACE);
	} while (result < 0 && errno == EEXIST);
	return result < 0 && errno != ENOENT ? -errno : 0;
}

/* The first directory in dir, opened; -ENOENT: there is none. */
static int first_directory(int dir, char ret_name[static NAME_MAX + 1])
{
	autodir DIR *entries = path_list(dir, ".", NULL);
	struct dirent *it;

	while (entries && (it = readdir(entries))) {
		int fd = is_dots(it->d_name) ? -1
					     : path_open_same_mount(dir, it->d_name,
								    O_RDONLY | O_DIRECTORY, NULL);

		if (fd < 0)
			continue;
		snprintf(ret_name, NAME_MAX + 1, "%s", it->d_name);
		return fd;
	}
	return -ENOENT;
}

static void unlink_files(int dir)
{
	autodir DIR *entries = path_list(dir, ".", NULL);
	struct dirent *it;

	while (entries && (it = readdir(entries)))
		(void)unlink_file(dir, it->d_name);
}

/* Goes down to a directory without others, two descriptors at a time, and removes that. */
static int remove_a_leaf(int dir)
{
	autofd int parent = -1, at = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	char name[NAME_MAX + 1] = "", below[NAME_MAX + 1];
	int next;

	while (at >= 0 && (next = first_directory(at, below)) >= 0) {
		if (parent >= 0)
			close(parent);
		parent = at;
		at = next;
		memcpy(name, below, sizeof(name));
	}
	if (parent < 0)
		return -ENOENT;
	unlink_files(at);
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static bool is_full(int failure)
{
	return failure == -ENOSPC || failure == -EDQUOT;
}

/* Empties and removes one directory that lies directly below the top. */
static int remove_dir(struct removal *r, const char *name)
{
	autofd int fd = path_open_same_mount(r->top, name, O_RDONLY | O_DIRECTORY, NULL);
	autodir DIR *entries = NULL;
	struct dirent *it;
	struct err e;
	int failure;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	entries = path_list(fd, ".", &e);
	if (!entries)
		return -e.code;
	while ((it = readdir(entries))) {
		if (is_dots(it->d_name))
			continue;
		failure = unlink_file(fd, it->d_name);
		if (failure == -EISDIR)
			failure = move_up(r, fd, it->d_name);
		if (is_full(failure))
			failure = remove_a_leaf(fd);
		note(r, failure);
	}
	return unlinkat(r->top, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

/* 1: there was something at the top, 0: it is empty. */
static int look(struct removal *r)
{
	struct err e;
	autodir DIR *entries = path_list(r->top, ".", &e);
	struct dirent *it;
	int failure, found = 0;

	if (!entries)
		return -e.code;
	r->progress = false;
	r->failure = 0;
	while ((it = readdir(entries))) {
		if (is_dots(it->d_name))
			continue;
		found = 1;
		failure = unlink_file(r->top, it->d_name);
		if (failure == -EISDIR)
			failure = remove_dir(r, it->d_name);
		note(r, failure);
	}
	return found;
}

static int empty(int top)
{
	struct removal r = { .top = top };
	int found;

	for (int i = 0; i < LOOKS_MAX; i++) {
		found = look(&r);
		if (found <= 0)
			return found;
		if (!r.progress)
			return r.failure;
	}
	return -EBUSY;
}

int path_remove_tree(int dir, const char *name, struct err *e)
{
	autofd int top = -1;
	int r;

	if (!*name || strchr(name, '/') || is_dots(name))
		return err_set(e, EINVAL, "remove %s: not a name", name);
	if (unlinkat(dir, name, 0) == 0)
		return 1;
	if (errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return err_sys(e, "remove %s", name);

	top = path_open_same_mount(dir, name, O_RDONLY | O_DIRECTORY, e);
	if (top == -ENOENT)
		return 0;
	if (top < 0) {
		(void)err_in(e, "remove %s", name);
		return top;
	}
	r = empty(top);
	if (r < 0)
		return err_set(e, -r, "remove %s: %s", name, strerror(-r));
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_sys(e, "remove %s", name);
	return 1;
}
