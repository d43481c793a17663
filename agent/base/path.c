/*
 * Opening beneath a descriptor, by openat2(2) and nothing else. glibc has no
 * wrapper for it yet. RESOLVE_BENEATH keeps the kernel's walk inside the tree,
 * RESOLVE_NO_SYMLINKS keeps it off links: measured against a renaming attacker,
 * no other way of looking first and acting later was safe.
 */
#include "agent/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"

#define RACE_TRIES 8

static const struct {
	const char *name;
	long number;
} needed_calls[] = {
	{ "openat2", SYS_openat2 },       { "open_tree", SYS_open_tree },
	{ "move_mount", SYS_move_mount }, { "mount_setattr", SYS_mount_setattr },
	{ "pidfd_open", SYS_pidfd_open },
};

/* Arguments that none of them takes: a kernel that has the call says so, one that lacks it says ENOSYS. */
int path_require_kernel(struct err *e)
{
	for (size_t i = 0; i < ELEMENTS(needed_calls); i++)
		if (syscall(needed_calls[i].number, -1L, NULL, -1L, NULL, -1L) < 0 &&
		    errno == ENOSYS)
			return err_set(
				e, ENOSYS,
				"this kernel (or a system call filter) has no %s; Linux 5.12 "
				"or later is needed",
				needed_calls[i].name);
	return 0;
}

/*
 * Without O_NOFOLLOW: together with O_PATH it would make the kernel hand out
 * the last link itself, while RESOLVE_NO_SYMLINKS alone refuses it.
 */
static int open_beneath(int dir, const char *path, int flags, uint64_t resolve, struct err *e)
{
	struct open_how how = {
		.flags = (uint64_t)((flags & ~O_NOFOLLOW) | O_CLOEXEC),
		.mode = flags & O_CREAT ? 0600 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | resolve,
	};
	long fd = -1;

	for (int i = 0; i < RACE_TRIES; i++) {
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd < 0)
		return err_sys(e, "open %s", path);
	return (int)fd;
}

int path_open(int dir, const char *path, int flags, struct err *e)
{
	return open_beneath(dir, path, flags, 0, e);
}

int path_open_same_mount(int dir, const char *path, int flags, struct err *e)
{
	return open_beneath(dir, path, flags, RESOLVE_NO_XDEV, e);
}

int path_open_dir(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_sys(e, "open %s", path) : fd;
}

/* The descriptor of the directory name in dir, made if need be. *made stays as it is if it was there. */
static int step_into(int dir, const char *name, mode_t mode, int *made)
{
	bool is_new = mkdirat(dir, name, mode & 0700) == 0;
	autofd int fd = -1;

	if (!is_new && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (is_new && fchmod(fd, mode) < 0)
		return -errno;
	if (is_new)
		*made = 1;
	return take_fd(fd);
}

#define PARENT_MODE 0755

int path_make_dirs(const char *path, mode_t mode, struct err *e)
{
	autofd int at = -1;
	autofree char *copy = NULL;
	char *rest = NULL;
	int made = 0, next;

	at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at >= 0)
		return 0;
	if (errno != ENOENT)
		return err_sys(e, "make %s", path);
	at = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return err_sys(e, "make %s", path);

	copy = memory_dup(path);
	for (char *name = strtok_r(copy, "/", &rest); name; name = strtok_r(NULL, "/", &rest)) {
		bool is_last = rest[strspn(rest, "/")] == '\0';

		next = step_into(at, name, is_last ? mode : PARENT_MODE, &made);
		if (next < 0)
			return err_set(e, -next, "make %s: %s: %s", path, name, strerror(-next));
		close(at);
		at = next;
	}
	return made;
}

/*
 * Up to max_bytes + 1: one more than allowed shows that a file grew, or lies about its size (proc).
 * Room for its size at once: two reads, the second of which says that there is no more.
 */
static int read_to_end(int fd, size_t expected, size_t room, char **ret_text, size_t *ret_len)
{
	size_t len = 0, size = expected + 2 > 4096 ? expected + 2 : 4096;
	autofree char *text = memory_resize(NULL, size, 1);
	ssize_t n;

	for (;;) {
		if (len + 1 >= size) {
			size *= 2;
			text = memory_resize(text, size, 1);
		}
		n = read(fd, text + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > room)
			return -EFBIG;
	}
	text[len] = '\0';
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

DIR *path_list(int dir, const char *path, struct err *e)
{
	autofd int fd = path_open(dir, path, O_RDONLY | O_DIRECTORY, NULL);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd < 0)
		errno = -fd;
	if (!d)
		err_sys(e, "list %s", path);
	else
		(void)take_fd(fd); /* d's, from here on */
	return d;
}

int path_read_fd(int fd, const char *path, size_t max_bytes, char **ret_text, size_t *ret_len,
		 struct err *e)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, S_ISDIR(st.st_mode) ? EISDIR : EINVAL,
			       "read %s: not a regular file", path);
	r = st.st_size > 0 && (uint64_t)st.st_size > max_bytes
		    ? -EFBIG
		    : read_to_end(fd, (size_t)st.st_size, max_bytes, ret_text, ret_len);
	if (r == -EFBIG)
		return err_set(e, EFBIG, "read %s: larger than %zu bytes", path, max_bytes);
	if (r < 0)
		return err_set(e, -r, "read %s: %s", path, strerror(-r));
	return 0;
}

int path_read(int dir, const char *path, size_t max_bytes, char **ret_text, size_t *ret_len,
	      struct err *e)
{
	/* Not blocking, in case it is a FIFO that nobody writes to. */
	autofd int fd = path_open(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, e);

	return fd < 0 ? fd : path_read_fd(fd, path, max_bytes, ret_text, ret_len, e);
}

bool path_read_link(int dir, const char *path, char *ret, size_t room)
{
	ssize_t n = readlinkat(dir, path, ret, room);

	if (n < 0 || (size_t)n >= room)
		return false;
	ret[n] = '\0';
	return true;
}

struct path_fd path_of_fd(int fd)
{
	struct path_fd p;

	snprintf(p.text, sizeof(p.text), "/proc/self/fd/%d", fd);
	return p;
}
