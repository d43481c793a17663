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
#include "agent/base/path.h"

#define LINKS_MAX 16

static bool is_ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

/* root's group, or that of whoever runs `check` in a checkout of his own. */
static bool is_our_group(gid_t gid)
{
	return gid == 0 || (geteuid() != 0 && gid == getegid());
}

/* Where the descriptor is, for messages. */
static const char *place_of(int fd, char ret[static PATH_MAX])
{
	struct path_fd path = path_of_fd(fd);
	ssize_t n = readlink(path.text, ret, PATH_MAX - 1);

	ret[n < 0 ? 0 : n] = '\0';
	return ret;
}

static int check(int fd, bool last, struct err *e)
{
	char place[PATH_MAX];
	struct stat st;
	bool others;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "%s", place_of(fd, place));
	others = (st.st_mode & 0002) || ((st.st_mode & 0020) && !is_our_group(st.st_gid));
	if (!is_ours(&st))
		return err_set(e, EPERM,
			       "%s belongs to uid %u, who could replace what is in it: it must be "
			       "root's (chown root)",
			       place_of(fd, place), (unsigned)st.st_uid);
	if (others && (last || !(st.st_mode & S_ISVTX)))
		return err_set(
			e, EPERM,
			"%s may be written by others than root (its mode is %04o, its gid %u): "
			"chmod go-w",
			place_of(fd, place), (unsigned)st.st_mode & 07777, (unsigned)st.st_gid);
	return 0;
}

/* Puts the link's target before what is left of the path. */
static int expand(int dir, const char *name, char rest[static PATH_MAX], struct err *e)
{
	char target[PATH_MAX], joined[2 * PATH_MAX], place[PATH_MAX];
	struct stat st;
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "%s/%s", place_of(dir, place), name);
	if (!is_ours(&st))
		return err_set(
			e, EPERM,
			"the link %s/%s belongs to uid %u: it must be root's (chown -h root)",
			place_of(dir, place), name, (unsigned)st.st_uid);
	target[n] = '\0';
	n = snprintf(joined, sizeof(joined), "%s/%s", target, rest);
	if (n >= PATH_MAX)
		return err_set(e, ENAMETOOLONG, "the link %s/%s leads to a path that is too long",
			       place_of(dir, place), name);
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
	char place[PATH_MAX];
	struct stat st;
	int there;

	if (fstatat(*fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "%s/%s", place_of(*fd, place), name);
	if (S_ISLNK(st.st_mode)) {
		int r = ++*links > LINKS_MAX
				? err_set(e, ELOOP, "%s/%s: more than %d links follow each other",
					  place_of(*fd, place), name, LINKS_MAX)
				: expand(*fd, name, rest, e);

		if (r < 0 || rest[0] != '/')
			return r;
		there = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		there = openat(*fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (there < 0)
		return err_sys(e, "%s/%s", place_of(*fd, place), name);
	close(*fd);
	*fd = there;
	return 0;
}

/* On from *fd, along all of rest. What it ends at is not checked. */
static int walk(int *fd, char rest[static PATH_MAX], struct err *e)
{
	char name[NAME_MAX + 1];
	unsigned links = 0;

	while (next(rest, name)) {
		int r = check(*fd, false, e);

		if (r == 0)
			r = step(fd, name, rest, &links, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int trusted_open_dir(const char *path, struct err *e)
{
	autofd int fd = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char rest[PATH_MAX];
	int r, dir;

	if (fd < 0)
		return err_sys(e, "%s", path);
	if (strlen(path) >= sizeof(rest))
		return err_set(e, ENAMETOOLONG, "%s", path);
	memcpy(rest, path, strlen(path) + 1);
	r = walk(&fd, rest, e);
	if (r == 0)
		r = check(fd, true, e);
	if (r < 0) {
		(void)err_in(e, "%s", path);
		return r; /* also without e */
	}
	dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? err_sys(e, "%s", path) : dir;
}

int trusted_open_link(int dir, const char *name, struct err *e)
{
	autofd int fd = openat(dir, *name == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char rest[PATH_MAX];
	struct stat st;
	int r, file;

	if (fd < 0)
		return err_sys(e, "%s", name);
	if (strlen(name) >= sizeof(rest))
		return err_set(e, ENAMETOOLONG, "%s", name);
	memcpy(rest, name, strlen(name) + 1);
	r = walk(&fd, rest, e);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "%s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s is not a regular file", place_of(fd, rest));
	file = open(path_of_fd(fd).text, O_RDONLY | O_CLOEXEC);
	return file < 0 ? err_sys(e, "%s", place_of(fd, rest)) : file;
}
