/*
 * The sources are root's own (named in the host's file), so plain resolution is
 * right here. What is capped is the size and the depth, since all jails' base
 * lies in memory.
 */
#include "reconcile/tree/base_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/hash.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define DEPTH_MAX  16
#define PAGE_BYTES 4096

/* Zone data once more, in variants that nothing in a jail asks for: half of the space. */
static const char *const skipped[] = { "/usr/share/zoneinfo/posix", "/usr/share/zoneinfo/right" };

static bool is_skipped(const char *path)
{
	for (size_t i = 0; i < ELEMENTS(skipped); i++)
		if (strcmp(path, skipped[i]) == 0)
			return true;
	return false;
}

static uint64_t signature(const char *path, const struct stat *st)
{
	const uint64_t values[] = {
		st->st_dev,
		st->st_ino,
		st->st_mode,
		S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size,
		(uint64_t)st->st_mtim.tv_sec,
		(uint64_t)st->st_mtim.tv_nsec,
	};
	uint64_t hash = hash_bytes(HASH_START, path, strlen(path));

	return hash_bytes(hash, values, sizeof values);
}

uint64_t base_signature_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : signature(path, &st);
}

static void see(struct base_walk *w, const char *path)
{
	if (w->n_seen == w->room_seen) {
		size_t room = w->room_seen ? 2 * w->room_seen : 64;
		const char **more = arena_new(w->arena, room * sizeof *more);

		if (w->n_seen)
			memcpy(more, w->seen, w->n_seen * sizeof *more);
		w->seen = more;
		w->room_seen = room;
	}
	w->seen[w->n_seen++] = arena_dup(w->arena, path);
}

static int account(struct base_walk *w, const char *path, off_t size, struct err *e)
{
	size_t bytes = ((size_t)size + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES + PAGE_BYTES;

	if ((uint64_t)size > w->bytes_max || w->bytes + bytes > w->bytes_max)
		return err_set(e, EFBIG,
			       "the base of the jails would be larger than %zu MB (at %s): it is "
			       "held in memory, take something out of `base`",
			       w->bytes_max >> 20, path);
	w->bytes += bytes;
	return 0;
}

/* Joins and takes "." and ".." out, by text alone. ret has room for PATH_MAX bytes. */
static bool normalise(const char *dir, const char *rest, char *ret)
{
	char joined[PATH_MAX];
	char *save = NULL;
	size_t len = 0;
	int n = snprintf(joined, sizeof joined, "%s/%s", *rest == '/' ? "" : dir, rest);

	if (n < 0 || (size_t)n >= sizeof joined)
		return false;
	for (char *name = strtok_r(joined, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			while (len > 0 && ret[--len] != '/')
				;
			continue;
		}
		len += (size_t)snprintf(ret + len, PATH_MAX - len, "/%s", name);
	}
	ret[len] = '\0';
	return true;
}

static bool holds(const char *a, const char *b)
{
	size_t len = strlen(a);

	return strncmp(a, b, len) == 0 && (b[len] == '\0' || b[len] == '/');
}

/* Also in the jail the link will lead to something that the base has. */
static bool link_stays(const struct base_walk *w, const char *dir, const char *target)
{
	char path[PATH_MAX];

	if (!normalise(dir, target, path))
		return false;
	for (size_t i = 0; i < ELEMENTS(skipped); i++)
		if (holds(skipped[i], path))
			return false;
	for (size_t i = 0; i < w->sources->count; i++)
		if (holds(w->sources->items[i], path))
			return true;
	return false;
}

static int copy_bytes(int from, int to, const char *path, struct err *e)
{
	ssize_t n;

	do
		n = copy_file_range(from, NULL, to, NULL, 1 << 20, 0);
	while (n > 0);
	if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP)) {
		char bytes[16384];

		while ((n = read(from, bytes, sizeof bytes)) > 0)
			if (write(to, bytes, (size_t)n) != n)
				return err_sys(e, "copy %s", path);
	}
	return n < 0 ? err_sys(e, "copy %s", path) : 0;
}

/* Follows links. What is no regular file, or not for everybody to read, is left out. */
static int walk_file(struct base_walk *w, const char *path, int to, const char *name, struct err *e)
{
	autofd int from = -1, copy = -1;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return 0;
	w->signature += signature(path, &st);
	if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IROTH))
		return 0;
	r = account(w, path, st.st_size, e);
	if (r < 0 || to < 0)
		return r;
	from = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (from < 0)
		return err_sys(e, "open %s", path);
	if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & S_IROTH))
		return 0;
	copy = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (copy < 0)
		return err_sys(e, "copy %s", path);
	r = copy_bytes(from, copy, path, e);
	if (r == 0 && fchmod(copy, st.st_mode & 0555) < 0)
		r = err_sys(e, "copy %s", path);
	return r;
}

static int walk_link(struct base_walk *w, const char *dir, const char *path, int to,
		     const char *name, struct err *e)
{
	char target[PATH_MAX];
	int r;

	if (!path_read_link(AT_FDCWD, path, target, sizeof target))
		return 0;
	if (!link_stays(w, dir, target)) {
		see(w, path);
		return walk_file(w, path, to, name, e);
	}
	w->signature +=
		hash_bytes(hash_bytes(HASH_START, path, strlen(path)), target, strlen(target));
	r = account(w, path, 0, e);
	if (r == 0 && to >= 0 && symlinkat(target, to, name) < 0)
		r = err_sys(e, "copy %s", path);
	return r;
}

static int walk_dir(struct base_walk *w, const char *path, int to, const char *name, int depth,
		    struct err *e);

static int walk_entry(struct base_walk *w, const char *dir, const char *name, int to, int depth,
		      struct err *e)
{
	char path[PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof path, "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof path || is_skipped(path) || lstat(path, &st) < 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return walk_dir(w, path, to, name, depth + 1, e);
	if (S_ISLNK(st.st_mode))
		return walk_link(w, dir, path, to, name, e);
	return walk_file(w, path, to, name, e);
}

static int make_dir(int to, const char *name, const char *path, struct err *e)
{
	int fd;

	if (mkdirat(to, name, 0700) < 0)
		return err_sys(e, "copy %s", path);
	fd = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, "copy %s", path) : fd;
}

static int walk_dir(struct base_walk *w, const char *path, int to, const char *name, int depth,
		    struct err *e)
{
	autodir DIR *d = opendir(path);
	autofd int made = -1;
	struct stat st;
	int r;

	if (!d || fstat(dirfd(d), &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open %s", path);
	see(w, path);
	w->signature += signature(path, &st);
	if (depth > DEPTH_MAX || (st.st_mode & (S_IROTH | S_IXOTH)) != (S_IROTH | S_IXOTH))
		return 0;
	r = account(w, path, 0, e);
	if (r < 0)
		return r;
	if (to >= 0) {
		made = make_dir(to, name, path, e);
		if (made < 0)
			return made;
	}
	for (const struct dirent *entry; (entry = readdir(d));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = walk_entry(w, path, entry->d_name, made, depth, e);
		if (r < 0)
			return r;
	}
	return made >= 0 && fchmod(made, 0755) < 0 ? err_sys(e, "copy %s", path) : 0;
}

int base_walk(struct base_walk *w, const char *source, int to, const char *name, struct err *e)
{
	struct stat st;

	if (stat(source, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return walk_dir(w, source, to, name, 0, e);
	see(w, source);
	return walk_file(w, source, to, name, e);
}
