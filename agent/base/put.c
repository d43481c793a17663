/*
 * Files and links that are there in one step or not at all: made under a
 * temporary name beside their place, then renamed over it. What is there is
 * compared first, so to put the same thing again is five system calls that
 * write nothing, and the file keeps its time and inode.
 */
#include "agent/base/put.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define NAME_TRIES 16
#define CHUNK_MAX  (256u << 10)
#define TEMPORARY  256 /* NAME_MAX and a NUL */

int put_all(int fd, const char *text, size_t len, struct err *e)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "write");
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static bool same_content(int fd, const char *text, size_t len)
{
	size_t at = 0, room = len < CHUNK_MAX ? len + 1 : CHUNK_MAX;
	autofree char *chunk = memory_resize(NULL, room, 1);
	ssize_t n;

	while (at < len) {
		n = read(fd, chunk, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (size_t)n > len - at || memcmp(chunk, text + at, (size_t)n) != 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* Somebody else's file, or one with a second name, is not ours even if it reads the same today. */
static bool already_there(int dir, const char *name, mode_t mode, const char *text, size_t len)
{
	autofd int fd =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	return S_ISREG(st.st_mode) && (st.st_mode & 07777) == mode && st.st_uid == geteuid() &&
	       st.st_nlink == 1 && (uint64_t)st.st_size == len && same_content(fd, text, len);
}

/* ".NAME.XXXXXX". NAME is cut where the whole would be longer than a file's name may be. */
static int temporary_name(const char *name, char ret[static TEMPORARY])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char random[6];

	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	for (size_t i = 0; i < sizeof(random); i++)
		random[i] = (unsigned char)letters[random[i] % 32];
	snprintf(ret, TEMPORARY, ".%.240s.%.6s", name, (const char *)random);
	return 0;
}

/* The link to target under a temporary name, or with target NULL an open new file. */
static int make_temporary(int dir, const char *name, const char *target, char ret[static TEMPORARY])
{
	int r = -EEXIST;

	for (int i = 0; i < NAME_TRIES && r == -EEXIST; i++) {
		r = temporary_name(name, ret);
		if (r < 0)
			return r;
		r = target ? symlinkat(target, dir, ret)
			   : openat(dir, ret, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				    0600);
		if (r < 0)
			r = -errno;
	}
	return r;
}

static int fill(int fd, mode_t mode, const char *text, size_t len, enum put_sync sync,
		struct err *e)
{
	int r = put_all(fd, text, len, e);

	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0)
		return err_sys(e, "chmod");
	if (sync == PUT_BEGUN)
		(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	if (sync >= PUT_DATA && fsync(fd) < 0)
		return err_sys(e, "fsync");
	return 0;
}

int put_sync_dir(int dir, struct err *e)
{
	return fsync(dir) < 0 ? err_sys(e, "fsync of the directory") : 0;
}

int put_sync_files(int dir, struct err *e)
{
	autodir DIR *files = path_list(dir, ".", e);
	const struct dirent *it;

	if (!files)
		return err_in(e, "sync");
	while ((it = readdir(files))) {
		autofd int fd = -1;

		if (it->d_type != DT_REG)
			continue;
		fd = openat(dir, it->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fsync(fd) < 0)
			return err_sys(e, "fsync %s", it->d_name);
	}
	return put_sync_dir(dir, e);
}

int put_dir(int dir, const char *name, mode_t mode, struct err *e)
{
	if (mkdirat(dir, name, mode) < 0 && errno != EEXIST)
		return err_sys(e, "mkdir %s", name);
	return put_sync_dir(dir, e) < 0 ? err_in(e, "mkdir %s", name) : 0;
}

int put_file(int dir, const char *name, mode_t mode, const char *text, size_t len,
	     enum put_sync sync, struct err *e)
{
	char temporary[TEMPORARY];
	autofd int fd = -1;
	int r;

	if (already_there(dir, name, mode, text, len))
		return sync == PUT_SYNC ? put_sync_dir(dir, e) : 0;
	fd = make_temporary(dir, name, NULL, temporary);
	if (fd < 0)
		return err_set(e, -fd, "write %s: %s", name, strerror(-fd));

	r = fill(fd, mode, text, len, sync, e);
	if (r == 0 && renameat(dir, temporary, dir, name) < 0)
		r = err_sys(e, "rename");
	if (r < 0) {
		(void)unlinkat(dir, temporary, 0);
		(void)err_in(e, "write %s", name);
		return r;
	}
	if (sync == PUT_SYNC && (r = put_sync_dir(dir, e)) < 0) {
		(void)err_in(e, "write %s", name);
		return r;
	}
	return 1;
}

static bool link_is(int dir, const char *name, const char *target)
{
	char is[4096];
	ssize_t len = readlinkat(dir, name, is, sizeof(is));

	return len >= 0 && (size_t)len == strlen(target) && memcmp(is, target, (size_t)len) == 0;
}

int put_link(int dir, const char *name, const char *target, struct err *e)
{
	char temporary[TEMPORARY];
	int r;

	if (link_is(dir, name, target))
		return 0;
	r = make_temporary(dir, name, target, temporary);
	if (r < 0)
		return err_set(e, -r, "link %s to %s: %s", name, target, strerror(-r));
	if (renameat(dir, temporary, dir, name) < 0) {
		r = err_sys(e, "link %s to %s: rename", name, target);
		(void)unlinkat(dir, temporary, 0);
		return r;
	}
	return 1;
}
