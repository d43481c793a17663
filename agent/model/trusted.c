/*
 * Walks a path by hand, component by component, since realpath(3) shows only
 * where a chain of links ends, and each link on the way lies in a directory
 * whose keeper could turn it elsewhere.
 */
#include "agent/model/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/own.h"

#define LINKS_MAX 16

static bool is_ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

static int check(int fd, bool last, const char *path, struct err *e)
{
	struct stat st;
	bool others;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "%s", path);
	others = (st.st_mode & 0002) || ((st.st_mode & 0020) && st.st_gid != 0);
	if (!is_ours(&st) || (others && (last || !(st.st_mode & S_ISVTX))))
		return err_set(e, EPERM,
			       "%s: a directory on the way can be changed by others than root (uid "
			       "%u, mode %04o)",
			       path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
	return 0;
}

/* Puts the link's target before what is left of the path. */
static int expand(int dir, const char *name, char rest[static PATH_MAX], struct err *e)
{
	char target[PATH_MAX], joined[2 * PATH_MAX];
	struct stat st;
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "readlink %s", name);
	if (!is_ours(&st))
		return err_set(e, EPERM, "%s: the link belongs to uid %u", name,
			       (unsigned)st.st_uid);
	target[n] = '\0';
	n = snprintf(joined, sizeof(joined), "%s/%s", target, rest);
	if (n >= PATH_MAX)
		return err_set(e, ENAMETOOLONG, "%s", name);
	memcpy(rest, joined, (size_t)n + 1);
	return 0;
}

/* The first component of rest goes to name; rest moves on. false: none is left. */
static bool next(char rest[static PATH_MAX], char name[static NAME_MAX + 1])
{
	size_t skip = strspn(rest, "/"), len = strcspn(rest + skip, "/");

	if (len == 0 || len > NAME_MAX)
		return false;
	memcpy(name, rest + skip, len);
	name[len] = '\0';
	memmove(rest, rest + skip + len, strlen(rest + skip + len) + 1);
	return true;
}

/* One component on from *fd. */
static int step(int *fd, const char *name, char rest[static PATH_MAX], unsigned *links,
		struct err *e)
{
	struct stat st;
	int there;

	if (fstatat(*fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "%s", name);
	if (S_ISLNK(st.st_mode)) {
		int r = ++*links > LINKS_MAX ? err_set(e, ELOOP, "%s", name)
					     : expand(*fd, name, rest, e);

		if (r < 0 || rest[0] != '/')
			return r;
		there = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		there = openat(*fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (there < 0)
		return err_sys(e, "%s", name);
	close(*fd);
	*fd = there;
	return 0;
}

int trusted_open_dir(const char *path, struct err *e)
{
	autofd int fd = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char rest[PATH_MAX], name[NAME_MAX + 1];
	unsigned links = 0;
	int r, dir;

	if (fd < 0)
		return err_sys(e, "%s", path);
	if (strlen(path) >= sizeof(rest))
		return err_set(e, ENAMETOOLONG, "%s", path);
	memcpy(rest, path, strlen(path) + 1);
	while (next(rest, name)) {
		r = check(fd, false, path, e);
		if (r == 0)
			r = step(&fd, name, rest, &links, e);
		if (r < 0) {
			(void)err_in(e, "%s", path);
			return r; /* also without e */
		}
	}
	r = check(fd, true, path, e);
	if (r < 0)
		return r;
	dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? err_sys(e, "%s", path) : dir;
}
