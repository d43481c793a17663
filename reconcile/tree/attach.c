/* The only file that makes or unmakes a mount, the namespace's own apart. */
#include "reconcile/tree/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"

#ifndef MOVE_MOUNT_BENEATH
#define MOVE_MOUNT_BENEATH 0x200
#endif

static const struct {
	unsigned flag;
	unsigned long st, attr;
	const char *set, *clear;
} flag_rows[] = {
	{ ATTACH_READ_ONLY, ST_RDONLY, MOUNT_ATTR_RDONLY, "ro", "rw" },
	{ ATTACH_NO_SUID, ST_NOSUID, MOUNT_ATTR_NOSUID, "nosuid", "suid" },
	{ ATTACH_NO_DEV, ST_NODEV, MOUNT_ATTR_NODEV, "nodev", "dev" },
	{ ATTACH_NO_EXEC, ST_NOEXEC, MOUNT_ATTR_NOEXEC, "noexec", "exec" },
};

static unsigned long attrs_of(unsigned flags)
{
	unsigned long attrs = 0;

	for (size_t i = 0; i < ELEMENTS(flag_rows); i++)
		if (flags & flag_rows[i].flag)
			attrs |= flag_rows[i].attr;
	return attrs;
}

struct attach_text attach_flags_text(unsigned flags)
{
	struct attach_text t = { "" };
	size_t len = 0;

	for (size_t i = 0; i < ELEMENTS(flag_rows); i++)
		len += (size_t)snprintf(t.text + len, sizeof t.text - len, "%s%s", i ? "," : "",
					flags & flag_rows[i].flag ? flag_rows[i].set
								  : flag_rows[i].clear);
	return t;
}

int attach_look(int fd, bool want_flags, struct attached *ret, struct err *e)
{
	struct statx sx;
	struct statfs fs;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO, &sx) < 0)
		return err_sys(e, "statx");
	*ret = (struct attached){
		.is_mount = (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0,
		.dev = makedev(sx.stx_dev_major, sx.stx_dev_minor),
		.ino = sx.stx_ino,
		.type = sx.stx_mode & S_IFMT,
	};
	if (!want_flags)
		return 0;
	if (fstatfs(fd, &fs) < 0)
		return err_sys(e, "fstatfs");
	for (size_t i = 0; i < ELEMENTS(flag_rows); i++)
		if ((unsigned long)fs.f_flags & flag_rows[i].st)
			ret->flags |= flag_rows[i].flag;
	return 0;
}

/*
 * Private, so that what the host mounts below the source later does not appear
 * in jails, where it would have none of these flags.
 */
int attach_clone(int dir, const char *path, unsigned flags, struct err *e)
{
	struct mount_attr attr = { .attr_set = attrs_of(flags), .propagation = MS_PRIVATE };
	autofd int fd = open_tree(dir, path, AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return err_sys(e, "open_tree %s", path);
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
		return err_sys(e, "mount_setattr %s", path);
	return take_fd(fd);
}

int attach_place(int clone, int place, bool covered, struct err *e)
{
	const unsigned by_fd = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;

	if (covered && move_mount(clone, "", place, "", by_fd | MOVE_MOUNT_BENEATH) == 0)
		return attach_detach(place, e);
	if (covered)
		return err_set(e, EBUSY, "something is mounted there");
	if (move_mount(clone, "", place, "", by_fd) < 0)
		return err_sys(e, "move_mount");
	return 0;
}

int attach_set_flags(int fd, unsigned flags, struct err *e)
{
	struct mount_attr attr = { .attr_set = attrs_of(flags),
				   .attr_clr = attrs_of(ATTACH_FLAGS & ~flags) };

	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
		return err_sys(e, "mount_setattr");
	return 0;
}

int attach_seal(int fd, bool deep, struct err *e)
{
	struct mount_attr attr = { .attr_set = attrs_of(ATTACH_SEALED) };

	if (mount_setattr(fd, "", AT_EMPTY_PATH | (deep ? AT_RECURSIVE : 0), &attr, sizeof attr) <
	    0)
		return err_sys(e, "mount_setattr");
	return 0;
}

/* By the descriptor's magic link: no path of ours is resolved, so nobody can lead it elsewhere. */
int attach_detach(int fd, struct err *e)
{
	if (umount2(path_of_fd(fd).text, MNT_DETACH) < 0)
		return err_sys(e, "umount");
	return 0;
}
