/*
 * Reading a configuration file as root: whoever may write it is root in all but
 * name, so its keepers are looked at on the open descriptor, and what is no
 * plain small file is refused before it can block or fill memory.
 */
#include "agent/model/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/model/trusted.h"

static int check_owner(const struct stat *st, const char *name, struct err *e)
{
	uid_t me = geteuid();
	/* A group of root's, or of whoever runs `check` in a checkout of his own. */
	bool our_group = st->st_gid == 0 || (me != 0 && st->st_gid == getegid());

	if (st->st_uid != 0 && st->st_uid != me)
		return err_set(e, EPERM, "%s belongs to uid %u: it must be root's (chown root)",
			       name, (unsigned)st->st_uid);
	if ((st->st_mode & 0002) || ((st->st_mode & 0020) && !our_group))
		return err_set(e, EPERM,
			       "%s may be written by others: its mode is %04o (chmod go-w)", name,
			       (unsigned)st->st_mode & 07777);
	return 0;
}

static int open_checked(int dir, const char *name, struct stat *st, struct err *e)
{
	/* NONBLOCK: a FIFO must not keep us. */
	autofd int fd =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0 && errno == ELOOP) {
		r = fd = trusted_open_link(dir, name, e);
		/* Not -ENOENT: the link is there. */
		if (r < 0) {
			(void)err_in(e, "%s is a symbolic link that cannot be followed", name);
			return r == -ENOENT ? -ENOLINK : r;
		}
	}
	if (fd < 0 || fstat(fd, st) < 0)
		return err_sys(e, "%s", name);
	if (!S_ISREG(st->st_mode))
		return err_set(e, EINVAL, "%s is not a regular file", name);
	r = check_owner(st, name, e);
	if (r < 0)
		return r;
	if (st->st_size > LOAD_MAX_BYTES)
		return err_set(e, EFBIG, "%s is larger than %d bytes", name, LOAD_MAX_BYTES);
	return take_fd(fd);
}

int load_read(int dir, const char *name, char **ret_text, size_t *ret_len, struct err *e)
{
	struct stat st;
	autofd int fd = open_checked(dir, name, &st, e);
	autofree char *text = NULL;
	size_t len = 0;

	if (fd < 0)
		return fd;
	/* Ten thousand mostly small files: no more room than each needs, and one to see it grow. */
	size_t room = (size_t)st.st_size + 1;

	text = memory_new(room + 1);
	while (len < room) {
		ssize_t n = read(fd, text + len, room - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read %s", name);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len == room)
		return err_set(e, EAGAIN, "%s grew while it was read", name);
	text[len] = '\0';
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}
