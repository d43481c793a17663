/*
 * The tmpfs outlives the agent, so it says itself what it was made from: .made
 * has a line "SIGNATURE SOURCE" for each source. New copies are made in .next,
 * which jails' users cannot enter, and exchanged with the old by one rename.
 */
#include "reconcile/tree/base_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "reconcile/tree/base_copy.h"
#include "reconcile/tree/jail.h"

#define BYTES_MAX  ((size_t)64 << 20)
#define TMPFS_DATA "mode=0755,size=160m,nr_inodes=200k" /* old and new side by side */
#define MADE       ".made"
#define NEXT       ".next"
#define COPY       "copy" /* in NEXT */
#define MADE_MAX   (1u << 20)

struct source {
	const char *path;
	uint64_t signature; /* of what its copy was made from; 0: there is none */
	uint64_t shallow;   /* of the paths below, when signature was true; 0: look deeper */
	const char **seen;
	size_t n_seen, bytes;
	struct arena arena; /* owns seen */
};

struct base_tree {
	char *path;
	int dir; /* root of the tmpfs; -1: none */
	bool writable;
	struct source *sources;
	struct text_list paths;
	size_t n;
};

static const struct {
	const char *name;
	unsigned minor;
} devices[] = { { "null", 3 }, { "zero", 5 }, { "full", 7 }, { "random", 8 }, { "urandom", 9 } };

static const struct {
	const char *path, *target;
} account_links[] = { { "etc/passwd", "../../" JAIL_PASSWD },
		      { "etc/group", "../../" JAIL_GROUP } };

bool base_tree_root(const struct base_tree *b, struct attached *ret)
{
	return b->dir >= 0 && attach_look(b->dir, false, ret, NULL) == 0;
}

int base_tree_clone(const struct base_tree *b, struct err *e)
{
	int fd = b->dir < 0 ? err_set(e, ENOENT, "not there")
			    : attach_clone(b->dir, "", BASE_FLAGS, e);

	return fd < 0 ? err_in(e, "base of the jails") : fd;
}

/* A root-owned tmpfs that is mounted at path. -ENOENT: there is none. */
static int mounted_open(const char *path)
{
	autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct attached at;
	struct statfs fs;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC ||
	    attach_look(fd, false, &at, NULL) < 0 || !at.is_mount)
		return -ENOENT;
	return take_fd(fd);
}

static int make_devices(int dir, struct err *e)
{
	autofd int dev = -1;

	if (mkdirat(dir, "dev", 0755) < 0 && errno != EEXIST)
		return err_sys(e, "make dev");
	dev = path_open(dir, "dev", O_RDONLY | O_DIRECTORY, e);
	if (dev < 0)
		return dev;
	if (fchmod(dev, 0755) < 0)
		return err_sys(e, "chmod dev");
	for (size_t i = 0; i < ELEMENTS(devices); i++) {
		const char *name = devices[i].name;

		if (mknodat(dev, name, S_IFCHR | 0666, makedev(1, devices[i].minor)) < 0 &&
		    errno != EEXIST)
			return err_sys(e, "mknod dev/%s", name);
		if (fchmodat(dev, name, 0666, 0) < 0)
			return err_sys(e, "chmod dev/%s", name);
	}
	return 0;
}

/* In the place where a jail has its clone they lead to its own files. */
static int make_account_links(int dir, struct err *e)
{
	if (mkdirat(dir, "etc", 0755) < 0 && errno != EEXIST)
		return err_sys(e, "make etc");
	if (fchmodat(dir, "etc", 0755, 0) < 0)
		return err_sys(e, "chmod etc");
	for (size_t i = 0; i < ELEMENTS(account_links); i++)
		if (symlinkat(account_links[i].target, dir, account_links[i].path) < 0 &&
		    errno != EEXIST) /* the host's `base` may name it */
			return err_sys(e, "make %s", account_links[i].path);
	return 0;
}

/* What is there besides copies; an earlier version may have made the tmpfs. */
static int furnish(int dir, struct err *e)
{
	int r = make_devices(dir, e);

	if (r == 0)
		r = make_account_links(dir, e);
	return r < 0 ? r : attach_set_flags(dir, ATTACH_NO_SUID, e);
}

static int mount_new(const char *path, struct err *e)
{
	autofd int fd = -1;
	int r = path_make_dirs(path, 0755, e);

	if (r < 0)
		return r;
	if (mount("webspaces-base", path, "tmpfs", MS_NOSUID, TMPFS_DATA) < 0)
		return err_sys(e, "mount a tmpfs on %s", path);
	fd = mounted_open(path);
	if (fd < 0)
		return err_set(e, -fd, "mount a tmpfs on %s: it is not there", path);
	r = furnish(fd, e);
	return r < 0 ? r : take_fd(fd);
}

static struct source *find(const struct base_tree *b, const char *path)
{
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->sources[i].path, path) == 0)
			return &b->sources[i];
	return NULL;
}

/* The copy goes, whatever is there. path is absolute, as the source's. */
static int drop_copy(struct base_tree *b, const char *path, struct err *e)
{
	autofree char *dir = memory_dup(path + 1);
	char *slash = strrchr(dir, '/');
	autofd int parent = -1;

	if (slash)
		*slash = '\0';
	parent = path_open(b->dir, slash ? dir : ".", O_RDONLY | O_DIRECTORY, e);
	if (parent == -ENOENT)
		return 0;
	return parent < 0 ? parent : path_remove_tree(parent, strrchr(path, '/') + 1, e);
}

/* Takes over the signatures of a base that an earlier agent made; copies that nobody wants any more go. */
static int read_made(struct base_tree *b, struct err *e)
{
	autofree char *text = NULL;
	size_t len;
	char *save = NULL;
	int r = 0;

	if (path_read(b->dir, MADE, MADE_MAX, &text, &len, NULL) < 0)
		return 0;
	for (char *line = strtok_r(text, "\n", &save); line && r >= 0;
	     line = strtok_r(NULL, "\n", &save)) {
		char *path = strchr(line, ' ');
		struct source *s = path ? find(b, path + 1) : NULL;

		if (s)
			s->signature = strtoull(line, NULL, 16);
		else if (path && path[1] == '/' && b->writable)
			r = drop_copy(b, path + 1, e);
	}
	return r < 0 ? r : 0;
}

static int write_made(struct base_tree *b, struct err *e)
{
	autobuf struct buf text = { 0 };
	int r;

	for (size_t i = 0; i < b->n; i++)
		if (b->sources[i].signature)
			buf_printf(&text, "%016" PRIx64 " %s\n", b->sources[i].signature,
				   b->sources[i].path);
	r = put_file(b->dir, MADE, 0600, buf_text(&text), text.len, PUT_BATCH, e);
	return r < 0 ? r : 0;
}

static bool is_in_dev(const char *path)
{
	return strncmp(path, "/dev", 4) == 0 && (path[4] == '/' || path[4] == '\0');
}

/* Those that lie inside another, repetitions, and devices, which are made here anyway, are left out. */
static bool is_inside_another(const struct text_list *paths, size_t i)
{
	const char *path = paths->items[i];

	for (size_t k = 0; k < paths->count; k++) {
		const char *other = paths->items[k];
		size_t len = strlen(other);

		if (k == i || strncmp(other, path, len) != 0)
			continue;
		if (path[len] == '/' || (path[len] == '\0' && k < i))
			return true;
	}
	return false;
}

static void take_sources(struct base_tree *b, const struct text_list *paths)
{
	const char **items = memory_new((paths->count + 1) * sizeof *items);

	b->sources = memory_new((paths->count + 1) * sizeof *b->sources);
	for (size_t i = 0; i < paths->count; i++) {
		if (is_inside_another(paths, i) || is_in_dev(paths->items[i]) ||
		    paths->items[i][0] != '/' || paths->items[i][1] == '\0')
			continue;
		items[b->n] = paths->items[i];
		b->sources[b->n++].path = paths->items[i];
	}
	b->paths = (struct text_list){ items, b->n };
}

int base_tree_open(const struct host *host, bool make, struct base_tree **ret, struct err *e)
{
	struct base_tree *b = memory_new(sizeof *b);
	int r = 0;

	b->path = memory_printf("%s/base", host->run_dir);
	b->writable = make;
	take_sources(b, &host->base);
	b->dir = mounted_open(b->path);
	if (b->dir >= 0)
		r = read_made(b, e);
	if (r >= 0 && b->dir >= 0 && make)
		r = furnish(b->dir, e);
	if (r >= 0 && make)
		r = base_tree_look(b, e);
	if (r < 0) {
		base_tree_close(b);
		return err_in(e, "base of the jails");
	}
	*ret = b;
	return 0;
}

void base_tree_close(struct base_tree *b)
{
	if (!b)
		return;
	if (b->dir >= 0)
		close(b->dir);
	for (size_t i = 0; i < b->n; i++)
		arena_clear(&b->sources[i].arena);
	free((void *)b->paths.items);
	free(b->sources);
	free(b->path);
	free(b);
}

static uint64_t shallow_signature(const struct source *s)
{
	uint64_t sum = 1;

	for (size_t i = 0; i < s->n_seen; i++)
		sum += base_signature_of(s->seen[i]);
	return sum;
}

/* Directories above a copy's place, root's and open to all. Returns the last one's descriptor, *ret_name the copy's own name. */
static int open_parent(struct base_tree *b, const char *path, const char **ret_name, struct err *e)
{
	autofd int at = fcntl(b->dir, F_DUPFD_CLOEXEC, 3);
	autofree char *copy = memory_dup(path + 1);
	char *name = copy;

	for (char *slash; (slash = strchr(name, '/')); name = slash + 1) {
		int next;

		*slash = '\0';
		if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
			return err_sys(e, "make %s", copy);
		next = path_open(at, name, O_RDONLY | O_DIRECTORY, e);
		if (next < 0)
			return next;
		close(at);
		at = next;
		if (fchmod(at, 0755) < 0)
			return err_sys(e, "chmod %s", copy);
	}
	*ret_name = strrchr(path, '/') + 1;
	return take_fd(at);
}

/* The new copy takes the old one's place in one step, so that no reader misses it. */
static int put_in_place(struct base_tree *b, int next, const char *path, struct err *e)
{
	const char *name = NULL;
	autofd int parent = open_parent(b, path, &name, e);
	int r;

	if (parent < 0)
		return parent;
	r = renameat2(next, COPY, parent, name, RENAME_EXCHANGE);
	if (r < 0 && errno == ENOENT)
		r = renameat2(next, COPY, parent, name, RENAME_NOREPLACE);
	if (r < 0)
		return err_sys(e, "put %s in place", path);
	r = path_remove_tree(next, COPY, e);
	return r < 0 ? r : 0;
}

static int open_next(struct base_tree *b, struct err *e)
{
	int r = path_remove_tree(b->dir, NEXT, e);

	if (r < 0)
		return r;
	if (mkdirat(b->dir, NEXT, 0700) < 0)
		return err_sys(e, "make " NEXT);
	return path_open(b->dir, NEXT, O_RDONLY | O_DIRECTORY, e);
}

static size_t bytes_of_others(const struct base_tree *b, const struct source *s)
{
	size_t bytes = 0;

	for (size_t i = 0; i < b->n; i++)
		if (&b->sources[i] != s)
			bytes += b->sources[i].bytes;
	return bytes;
}

static int copy_source(struct base_tree *b, struct source *s, struct err *e)
{
	autoarena struct arena arena = { 0 };
	struct base_walk w = { .sources = &b->paths, .bytes_max = BYTES_MAX, .arena = &arena };
	autofd int next = open_next(b, e);
	int r;

	if (next < 0)
		return next;
	w.bytes = bytes_of_others(b, s);
	r = base_walk(&w, s->path, next, COPY, e);
	if (r == 0 && faccessat(next, COPY, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = -ENOENT; /* nothing that may be copied */
	if (r == 0)
		r = put_in_place(b, next, s->path, e);
	if (r == -ENOENT)
		r = drop_copy(b, s->path, e);
	s->signature = r < 0 ? 0 : w.signature;
	(void)path_remove_tree(b->dir, NEXT, NULL);
	return r < 0 ? r : 1;
}

static bool has_copy(const struct base_tree *b, const struct source *s)
{
	return faccessat(b->dir, s->path + 1, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* 1: exchanged. Only a source whose shallow signature changed is walked, only a changed one is copied. */
static int look_at(struct base_tree *b, struct source *s, struct err *e)
{
	struct base_walk w = { .sources = &b->paths, .bytes_max = BYTES_MAX, .arena = &s->arena };
	size_t before;
	int r;

	if (s->shallow && s->shallow == shallow_signature(s) && (!s->bytes || has_copy(b, s)))
		return 0;
	arena_clear(&s->arena);
	s->n_seen = 0;
	s->shallow = 0;
	s->bytes = 0;
	before = w.bytes = bytes_of_others(b, s);
	r = base_walk(&w, s->path, -1, NULL, e);
	if (r < 0 && r != -ENOENT)
		return r;
	s->seen = w.seen;
	s->n_seen = w.n_seen;
	s->bytes = w.bytes - before;
	if (w.signature != s->signature || (s->bytes && !has_copy(b, s)))
		r = copy_source(b, s, e);
	else
		r = 0;
	if (r >= 0)
		s->shallow = s->n_seen ? shallow_signature(s) : 0;
	return r;
}

/* Somebody may have unmounted it, or mounted something else over it. 1: it was made anew. */
static int remount_if_gone(struct base_tree *b, struct err *e)
{
	struct stat is, was;

	if (b->dir >= 0 && stat(b->path, &is) == 0 && fstat(b->dir, &was) == 0 &&
	    is.st_dev == was.st_dev && is.st_ino == was.st_ino)
		return 0;
	if (b->dir >= 0)
		close(b->dir);
	for (size_t i = 0; i < b->n; i++)
		b->sources[i].signature = b->sources[i].shallow = 0;
	b->dir = mount_new(b->path, e);
	return b->dir < 0 ? b->dir : 1;
}

int base_tree_look(struct base_tree *b, struct err *e)
{
	int changed, r;

	if (!b->writable)
		return 0;
	r = changed = remount_if_gone(b, e);
	for (size_t i = 0; i < b->n && r >= 0; i++) {
		r = look_at(b, &b->sources[i], e);
		changed = changed || r > 0;
	}
	if (changed && write_made(b, r < 0 ? NULL : e) < 0 && r >= 0)
		r = -EIO;
	return r < 0 ? r : changed;
}
