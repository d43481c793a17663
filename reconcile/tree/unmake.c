/* A record that outlives its thing does no harm; so the thing goes first. */
#include "reconcile/tree/unmake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/ownership.h"
#include "reconcile/tree/attach.h"
#include "reconcile/tree/jail.h"

#define STACKED_MAX 16 /* mounts on one place */

bool unmake_is_our_link(const char *target)
{
	while (strncmp(target, "../", 3) == 0)
		target += 3;
	return strncmp(target, JAIL_BASE "/", strlen(JAIL_BASE "/")) == 0;
}

static bool is_our_link(int dir, const char *name)
{
	char target[PATH_MAX];

	return path_read_link(dir, name, target, sizeof target) && unmake_is_our_link(target);
}

int unmake_link(int parent, const char *leaf, struct err *e)
{
	struct stat st;

	if (fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISLNK(st.st_mode))
		return 0;
	return unlinkat(parent, leaf, 0) < 0 ? err_sys(e, "unlink %s", leaf) : 0;
}

/* Whatever is mounted on dir/name, the last first. */
static int uncover(int dir, const char *name, struct err *e)
{
	for (int i = 0; i < STACKED_MAX; i++) {
		autofd int fd = path_open(dir, name, O_PATH, e);
		struct attached at;
		int r = fd < 0 ? fd : attach_look(fd, false, &at, e);

		if (r == -ENOENT || r == -ELOOP)
			return 0;
		if (r >= 0 && !at.is_mount)
			return 0;
		if (r >= 0)
			r = attach_detach(fd, e);
		if (r < 0)
			return r;
	}
	return err_set(e, EBUSY, "something keeps being mounted on it");
}

int unmake_mounts(struct home *h, struct world *w, const char *path, struct err *e)
{
	const char *leaf;
	int parent = home_parent(h, w, path, true, &leaf, e);

	if (parent == -ENOENT)
		return 0;
	return parent < 0 ? parent : uncover(parent, leaf, e);
}

static void remove_our_links(int dir)
{
	autodir DIR *d = path_list(dir, ".", NULL);

	for (const struct dirent *entry; d && (entry = readdir(d));)
		if (is_our_link(dir, entry->d_name))
			(void)unlinkat(dir, entry->d_name, 0);
}

static int remove_dir(int parent, const char *leaf, struct err *e)
{
	autofd int fd = path_open_same_mount(parent, leaf, O_PATH | O_DIRECTORY, e);

	if (fd < 0)
		return fd;
	remove_our_links(fd);
	if (unlinkat(parent, leaf, AT_REMOVEDIR) < 0)
		return err_sys(e, "rmdir %s", leaf);
	return 0;
}

static int remove_mountpoint(int parent, const char *leaf, struct err *e)
{
	struct stat st;
	int r = uncover(parent, leaf, e);

	if (r < 0)
		return r;
	if (fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "stat %s", leaf);
	if (S_ISREG(st.st_mode) && st.st_size > 0)
		return err_set(e, ENOTEMPTY, "%s has content", leaf);
	if (unlinkat(parent, leaf, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0)
		return err_sys(e, "remove %s", leaf);
	return 0;
}

int unmake_place(struct home *h, struct world *w, const char *path, struct err *e)
{
	bool is_mountpoint = ownership_has(w, h->name, MADE_MOUNTPOINT, path);
	bool is_dir = !is_mountpoint && ownership_has(w, h->name, MADE_DIR, path);
	const char *leaf;
	int parent = home_parent(h, w, path, true, &leaf, e);
	int r = parent;

	if (parent >= 0 && is_our_link(parent, leaf))
		r = unlinkat(parent, leaf, 0) < 0 ? err_sys(e, "unlink %s", leaf) : 0;
	else if (parent >= 0 && is_mountpoint)
		r = remove_mountpoint(parent, leaf, e);
	else if (parent >= 0 && is_dir)
		r = remove_dir(parent, leaf, e);
	else if (parent >= 0 && faccessat(parent, leaf, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(e, EEXIST, "%s is there and was not made by us", path);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!is_mountpoint && !is_dir)
		return 0;
	r = ownership_forget(w, h->name, is_mountpoint ? MADE_MOUNTPOINT : MADE_DIR, path, e);
	return r < 0 ? r : 0;
}

int unmake_or_leave(struct home *h, struct world *w, const char *path, struct err *e)
{
	static const char *const kinds[] = { MADE_MOUNTPOINT, MADE_DIR };
	int r = unmake_place(h, w, path, e);

	if (r == -ENOTEMPTY)
		r = 0;
	for (size_t i = 0; i < ELEMENTS(kinds) && r >= 0; i++)
		r = ownership_forget(w, h->name, kinds[i], path, e);
	return r < 0 ? r : 0;
}
